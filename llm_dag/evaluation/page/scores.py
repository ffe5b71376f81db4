"""The scores of the harness as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from llm_dag.evaluation.page.wording import between, decimal, percent
from llm_dag.evaluation.plots import Bar, bars
from llm_dag.evaluation.scores import Score

COMPRESSORS = {
    "base": ("base model", "a"),
    "sft": ("SFT model", "b"),
    "xz_primed": ("xz, primed with the training text", "c"),
    "xz": ("xz alone", "c"),
}
COMPARED = {  # metric: name, whether less is better
    "answer_bits_per_byte": ("Bits per byte of the reference answer", True),
    "answer_overlap": ("Word overlap of the generated answer", False),
    "arithmetic_exact": ("Arithmetic answered exactly", False),
}


@dataclass(frozen=True)
class Comparison:
    """Before and after SFT, and the paired difference."""

    name: str
    less_is_better: bool
    before: Score
    after: Score
    gain: Score
    plot: Markup

    @property
    def over(self) -> str:
        """What the interval was resampled over."""
        return "problems" if self.gain.metric == "arithmetic_exact" else "different answers"

    @property
    def gained(self) -> str:
        """The gain with its interval."""
        return f"{decimal(self.gain.value)}, interval {interval(self.gain)},"

    @property
    def verdict(self) -> str:
        """What the interval of the gain allows to say."""
        if self.gain.low is None or self.gain.high is None:
            return "too few answers for an interval"
        if self.gain.low > 0:
            return "better after SFT: the interval of the gain excludes zero"
        if self.gain.high < 0:
            return "worse after SFT: the interval of the gain excludes zero"
        return "no difference that the interval of the gain would support"


Scores = Mapping[tuple[str, str], Score]


def interval(score: Score) -> str:
    """The interval of a score in words."""
    return between(score.low, score.high)


def compressors(scores: Scores) -> list[tuple[str, Score]]:
    """(name, score) of everything that compressed the strict lines, the best first."""
    found = [
        (COMPRESSORS[name][0], scores["heldout_bits_per_byte", name]) for name in COMPRESSORS if _has(scores, name)
    ]
    return sorted(found, key=lambda item: item[1].value)


def compression_plot(scores: Scores) -> Markup:
    """Bars of bits per byte."""
    colours = dict(COMPRESSORS.values())
    rows = [
        Bar(name, f"{decimal(score.value)} bits per byte", score.value, score.low, score.high, colours[name])
        for name, score in compressors(scores)
    ]
    words = "; ".join(f"{row.name}: {row.words}" for row in rows)
    return bars(rows, "Bits per byte on strict held-out lines, less is better", words)


def comparisons(scores: Scores) -> list[Comparison]:
    """Every measure that was taken before and after SFT."""
    found = []
    for metric, (name, less) in COMPARED.items():
        if all((metric, model) in scores for model in ("base", "sft", "gain")):
            before, after, gain = (scores[metric, model] for model in ("base", "sft", "gain"))
            found.append(Comparison(name, less, before, after, gain, _pair(name, before, after)))
    return found


def by_kind(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Held-out questions of each kind: how many, and both models' measures over them."""
    kinds = sorted({row["kind"] for row in answers if row["label"] == "held out"})
    rows = []
    for kind in kinds:
        of_kind = [row for row in answers if row["kind"] == kind and row["label"] == "held out"]
        size = sum(row["bytes"] for row in of_kind) or 1
        rows.append(
            {
                "kind": kind,
                "n": len(of_kind),
                "base_bits": sum(row["base_bits"] for row in of_kind) / size,
                "sft_bits": sum(row["sft_bits"] for row in of_kind) / size,
                "base_overlap": sum(row["base_overlap"] for row in of_kind) / len(of_kind),
                "sft_overlap": sum(row["sft_overlap"] for row in of_kind) / len(of_kind),
            }
        )
    return rows


def _has(scores: Scores, model: str) -> bool:
    return ("heldout_bits_per_byte", model) in scores


def _pair(name: str, before: Score, after: Score) -> Markup:
    share = before.unit == "share"
    written = percent if share else decimal
    rows = [
        Bar("base model", written(before.value), before.value, before.low, before.high, "c"),
        Bar("SFT model", written(after.value), after.value, after.low, after.high, "a"),
    ]
    words = f"base model {written(before.value)}, SFT model {written(after.value)}"
    return bars(rows, name, words, full=None if before.metric == "answer_bits_per_byte" else 1.0)
