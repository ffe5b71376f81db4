"""Exact overlap of word n-grams."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from llm_dag.curation.decontamination import Benchmarks, Item, ngrams, read_items
from tests.curation.chain import eval_sets

WORDS = st.lists(st.sampled_from(["a", "b", "c", "it's", "1,000"]), max_size=12).map(" ".join)


@given(WORDS, WORDS, st.integers(1, 4))
def test_an_overlap_is_found_exactly_if_there_is_one(text: str, item: str, n: int) -> None:
    overlap = Benchmarks([Item("task", "0", item)], n).overlap(text)
    shared = [ngram for ngram in ngrams(text, n) if ngram in set(ngrams(item, n))]
    assert (overlap.ngram if overlap else None) == (shared[0] if shared else None)


def test_case_punctuation_and_line_breaks_do_not_hide_a_text() -> None:
    item = Item("t", "0", "What, then, is the capital of France? Paris")
    assert Benchmarks([item], 7).overlap("so WHAT then\nis “the capital” of France") is not None


def test_where_items_share_an_ngram_the_first_counts() -> None:
    items = [Item("t", str(number), "one two three") for number in range(3)]
    overlap = Benchmarks(items, 3).overlap("zero one two three")
    assert overlap is not None
    assert overlap.item == "0"


@given(st.lists(WORDS, max_size=5), st.integers(1, 4))
def test_items_that_cannot_be_looked_for_are_counted(texts: list[str], n: int) -> None:
    benchmarks = Benchmarks([Item("task", str(number), text) for number, text in enumerate(texts)], n)
    found = sum(benchmarks.overlap(text) is not None for text in texts)
    assert (benchmarks.items, benchmarks.items - benchmarks.too_short) == (len(texts), found)


def test_no_benchmarks_find_nothing(tmp_path: Path) -> None:
    benchmarks = Benchmarks(read_items(eval_sets(tmp_path).path("benchmarks.parquet")), 13)
    assert len(benchmarks) == 0
    assert benchmarks.overlap("any text") is None
