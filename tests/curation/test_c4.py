"""C4's rules: datatrove's texts, decisions and reasons, with what was cut in the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter
from hypothesis import example, given, settings

from llm_dag.curation import c4
from llm_dag.curation.words import Splitter
from tests.curation.chain import extracted, node, run, verdicts_for
from tests.curation.webtext import texts

PAGE = """The library opened in the spring. [1] People came to see it! Was it full?
More news
It has two floors [edit] that look over the river. Nobody counted the visitors.
Please enable JavaScript to see the map.
By using this site you agree to our Terms of Use.
The coffee was gone [citation needed] before noon."""


@pytest.fixture(scope="module")
def splitter() -> Splitter:
    return Splitter()


@given(text=texts())
@example("[1] [2] [3]\nOne. Two. Three. Four. Five words here.")
@example("Nothing. But. Lorem ipsum { here. javascript")
@settings(deadline=None, max_examples=75)
def test_texts_and_decisions_are_those_of_datatrove(splitter: Splitter, text: str) -> None:
    for sentences in (5, 1):
        document = Document(text=text, id="1")
        block = C4QualityFilter(filter_no_terminal_punct=False, min_num_sentences=sentences)
        result = block.filter(document)
        page = c4.clean(text, node("c4", min_sentences=sentences), splitter)
        assert page.reason == ("" if result is True else result[1])
        if not page.reason:
            assert page.text == document.text


def test_what_was_cut_is_in_the_ledger(tmp_path: Path) -> None:
    """The block rewrites texts and counts nothing for a page: our verdict has counts for each rule."""
    pages = [("a", PAGE), ("b", "Too short. A page."), ("c", "A page with a { bracket in it. " * 6)]
    text = extracted(tmp_path, [pages])
    carried = {"cluster": lambda doc_id: f"cluster of {doc_id}", "split_key": lambda doc_id: f"key of {doc_id}"}
    judged = verdicts_for("minhash_deduped", tmp_path, text, **carried)
    made = run(c4.build, "c4_filtered", node("c4"), [text, judged], tmp_path)
    kept, short, bracket = made.rows()
    assert (kept["lines"], kept["cut_few_words"], kept["cut_javascript"], kept["cut_policy"]) == (6, 1, 1, 1)
    assert (kept["cut_citations"], kept["cut_long_word"], kept["sentences"]) == (3, 0, 6)
    (left,) = made.rows("text")
    assert kept["characters_cut"] == len(PAGE) - len(left["text"]) == made.metrics["characters_cut"]
    assert (left["cluster"], left["split_key"]) == ("cluster of a", "key of a")
    assert left["text"].splitlines() == [
        "The library opened in the spring.  People came to see it! Was it full?",
        "It has two floors  that look over the river. Nobody counted the visitors.",
        "The coffee was gone  before noon.",
    ]
    assert (short["reason"], short["sentences"], short["characters_cut"]) == ("too_few_sentences", 2, None)
    assert (bracket["reason"], bracket["sentences"]) == ("curly_bracket", None)


def test_only_pages_that_are_no_duplicates_are_judged(tmp_path: Path) -> None:
    text = extracted(tmp_path, [[("a", PAGE), ("b", PAGE)]])
    judged = verdicts_for(
        "minhash_deduped", tmp_path, text, dropped=["b"], cluster=lambda _: "a", split_key=lambda _: "a"
    )
    assert run(c4.build, "c4_filtered", node("c4"), [text, judged], tmp_path).kept() == ["a"]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"min_words_per_line": 2}, 4),
        ({"max_word_length": 7}, 1),
        ({"cut_javascript": False}, 4),
        ({"cut_policy": False}, 4),
        ({"min_sentences": 7}, 0),
        ({}, 3),
    ],
)
def test_rules_have_an_effect(splitter: Splitter, changes: dict[str, int], lines: int) -> None:
    page = c4.clean(PAGE, node("c4", **{"min_sentences": 0, **changes}), splitter)
    assert len(page.text.splitlines()) == lines


def test_switches_have_an_effect(splitter: Splitter) -> None:
    def reason(text: str, **changes: bool) -> str:
        return c4.clean(PAGE + "\n" + text, node("c4", **changes), splitter).reason

    assert reason("A line with { a bracket.") == "curly_bracket"
    assert reason("A line with { a bracket.", drop_curly_bracket=False) == ""
    assert reason("A lorem ipsum text.") == "lorem_ipsum"
    assert reason("A lorem ipsum text.", drop_lorem_ipsum=False) == ""
    assert "[edit]" in c4.clean(PAGE, node("c4", cut_citations=False), splitter).text
