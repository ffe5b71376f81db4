"""Gopher's rules: datatrove's decisions and reasons, and scores from which decisions are replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from hypothesis import given, settings

from llm_dag.config.curation import Gopher
from llm_dag.curation import gopher
from llm_dag.curation.words import Splitter
from tests.curation.chain import extracted, node, run, verdicts_for
from tests.curation.webtext import texts

PROSE = (
    "The library opened in the spring, and people came to see it with their children. It has two floors that look "
    "over the river. On the first one you find novels, newspapers and a small café; the second belongs to students. "
    "Nobody has counted the visitors of that day, but the coffee was gone before noon, and so were most of the chairs."
)


@pytest.fixture(scope="module")
def splitter() -> Splitter:
    return Splitter()


def reference(text: str, quality: GopherQualityFilter) -> str:
    for block in (GopherRepetitionFilter(), quality):
        result = block.filter(Document(text=text, id="1"))
        if result is not True:
            return str(result[1])
    return ""


@given(text=texts())
@settings(deadline=None, max_examples=75)
def test_decisions_and_reasons_are_those_of_datatrove(splitter: Splitter, text: str) -> None:
    scores = gopher.measure(text, splitter.words(text))
    assert gopher.decide(scores, node("gopher")) == reference(text, GopherQualityFilter())
    # a lower limit lets short texts reach the other quality rules
    assert gopher.decide(scores, node("gopher", min_words=1)) == reference(text, GopherQualityFilter(min_doc_words=1))


EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "empty": ("", {}),
    "dup_para_frac": ("\n\n".join([PROSE] * 3), {}),
    "dup_para_char_frac": (PROSE + "\n\n" + PROSE + "\n\na\n\nb\n\nc\n\nd", {}),
    "dup_line_frac": ("\n".join([PROSE, *["More", "Less"] * 3]), {}),
    "dup_line_char_frac": (PROSE + "\n" + PROSE + "\na\nb\nc\nd", {}),
    "top_2_gram": (PROSE[:200] + " very good" * 20, {}),
    "top_3_gram": (PROSE + " one good cat" * 10, {}),
    "top_4_gram": (PROSE + " one good grey cat" * 6, {}),
    "duplicated_5_n_grams": (PROSE + " " + PROSE[:120], {}),
    "duplicated_6_n_grams": (PROSE + " " + PROSE[:120], {"duplicated_5_n_grams": 1.0}),
    "duplicated_7_n_grams": (PROSE + " " + PROSE[:120], {"duplicated_5_n_grams": 1.0, "duplicated_6_n_grams": 1.0}),
    "gopher_short_doc": (PROSE[:220], {}),
    "gopher_long_doc": (PROSE, {"max_words": 60}),
    "gopher_below_avg_threshold": (PROSE, {"min_mean_word_length": 6.0}),
    "gopher_above_avg_threshold": (PROSE, {"max_mean_word_length": 3.5}),
    "gopher_too_many_hashes": (PROSE + " #" * 12, {"top_2_gram": 1.0, "top_3_gram": 1.0, "top_4_gram": 1.0}),
    "gopher_too_many_ellipsis": (PROSE.replace(" the", "… the").replace(" and", "… and"), {"max_symbol_ratio": 0.03}),
    "gopher_too_many_bullets": ("\n".join("- " + part for part in PROSE.split(". ")), {}),
    "gopher_too_many_end_ellipsis": ("\n".join(part + "..." for part in PROSE.split(". ")), {}),
    "gopher_below_alpha_threshold": (PROSE + "".join(f" {number}" for number in range(100, 140)), {}),
    "gopher_enough_stop_words": (PROSE, {"min_stop_words": 8}),
    "": (PROSE, {}),
}


@pytest.mark.parametrize("reason", EXAMPLES)
def test_each_rule_has_a_page_that_only_it_drops(splitter: Splitter, reason: str) -> None:
    text, changes = EXAMPLES[reason]
    assert gopher.decide(gopher.measure(text, splitter.words(text)), node("gopher", **changes)) == reason


def test_every_threshold_decides_something(splitter: Splitter) -> None:
    """At its strictest value each key alone drops a page that all others keep."""
    text = "\n".join([PROSE, "- wait...", "- wait...", PROSE[:60], "#", "12 34 56"]) + "\n\nb\n\nb\n\n" + PROSE[60:160]
    scores = gopher.measure(text, splitter.words(text))
    most = {name: 1e9 for name in vars(node("gopher")) if not name.startswith("min_")}
    least = {name: 0 for name in vars(node("gopher")) if name.startswith("min_")}
    lenient = Gopher(**{**most, **least})
    assert gopher.decide(scores, lenient) == ""
    for name in vars(lenient):
        strict = Gopher(**{**most, **least, name: 1e9 if name.startswith("min_") else 0})
        assert gopher.decide(scores, strict) != "", name


def test_the_ledger_alone_replays_any_thresholds(tmp_path: Path) -> None:
    """Exclusion records with one reason and no value cannot do this: our verdicts keep each score of each page."""
    pages = [(f"{number:02d}", text) for number, (text, _) in enumerate(EXAMPLES.values())]
    texts = extracted(tmp_path, [pages[:9], pages[9:]])
    languages = verdicts_for("language_filtered", tmp_path, texts, dropped=["03"])
    wanted = node("gopher", min_words=20, duplicated_5_n_grams=0.5, min_stop_words=4, max_bullet_lines=0.1)
    first = run(gopher.build, "gopher_filtered", node("gopher"), [texts, languages], tmp_path / "1")
    again = run(gopher.build, "gopher_filtered", wanted, [texts, languages], tmp_path / "2")
    assert first.reasons() != again.reasons()
    assert {row["doc_id"]: gopher.decide(row, wanted) for row in first.rows()} == again.reasons()
    assert "03" not in first.reasons()
    assert all(row[name] is not None for row in first.rows() for name in gopher.SCORES)
