"""The page in one sentence and a few figures. The sentence leaves out what is not recorded; the figures say so."""

from __future__ import annotations

from dataclasses import dataclass

from llm_dag.evaluation.page.funnel import Stage
from llm_dag.evaluation.page.lineage import Node
from llm_dag.evaluation.page.scores import Scores
from llm_dag.evaluation.page.wording import MISSING, about, count, decimal, duration


@dataclass(frozen=True)
class Figure:
    """A number with what it counts."""

    number: str
    words: str


def metric(nodes: list[Node], asset: str, name: str) -> float | None:
    """A recorded number of an asset (the sum over its dumps), or None."""
    found = [node.artifact.metrics.get(name) for node in nodes if node.asset == asset and node.artifact is not None]
    present = [number for number in found if number is not None]
    return sum(present) if present else None


def seconds(nodes: list[Node], asset: str) -> float | None:
    """How long an asset took to make, or None."""
    found = [node.artifact.seconds for node in nodes if node.asset == asset and node.artifact is not None]
    return sum(found) if found else None


def sentence(nodes: list[Node], stages: list[Stage], scores: Scores) -> str:
    """What was made and how good it is, with the numbers as they are."""
    size, took = metric(nodes, "base_model", "parameters"), seconds(nodes, "base_model")
    parts = ["A language model" + (f" of {about(size)} parameters" if size else "")]
    if stages:
        parts.append(f", made from {count(stages[-1].kept)} of {count(stages[0].given)} pages")
    if took is not None:
        parts.append(f" and trained in {duration(took)}")
    model, xz = (scores.get(("heldout_bits_per_byte", name)) for name in ("base", "xz"))
    if model and xz:
        parts.append(f", writes unseen lines in {decimal(model.value, 2)} bits per byte where xz needs ")
        parts.append(decimal(xz.value, 2))
        primed = scores.get(("heldout_bits_per_byte", "xz_primed"))
        if primed:
            parts.append(f" (and {decimal(primed.value, 2)} when it may look into the training text)")
    before, after = (scores.get(("answer_overlap", name)) for name in ("base", "sft"))
    if before and after:
        parts.append(
            "; on subjects held out of its teaching, its answers reach a word overlap of"
            f" {decimal(after.value, 2)} with the reference, against {decimal(before.value, 2)} before it was taught"
        )
    return "".join(parts) + "."


def figures(nodes: list[Node], stages: list[Stage], scores: Scores) -> list[Figure]:
    """The numbers at the top of the page."""
    ratio = scores.get(("heldout_ratio_to_xz", "base"))
    gain = scores.get(("answer_bits_per_byte", "gain"))
    total = sum(node.artifact.seconds for node in nodes if node.artifact is not None)
    return [
        Figure(count(stages[-1].kept) if stages else MISSING, "documents kept"),
        Figure(about(metric(nodes, "base_model", "parameters")), "parameters"),
        Figure(about(metric(nodes, "base_model", "tokens")), "tokens of pretraining"),
        Figure(f"{decimal(ratio.value, 2)} ×" if ratio else MISSING, "the bits that xz needs"),
        Figure(f"{decimal(gain.value, 2)}" if gain else MISSING, "bits per byte of an answer saved by SFT"),
        Figure(duration(total) if nodes else MISSING, "of work, all artifacts together"),
    ]
