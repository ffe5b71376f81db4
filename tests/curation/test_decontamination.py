"""Exact overlap of word n-grams, and which of them count."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_dag.curation import decontamination
from llm_dag.curation.decontamination import FRAME, SHORTEST, TELLING, Benchmarks, Item, read_items, words
from tests.curation.chain import eval_sets

WORDS = st.lists(st.sampled_from(["ab", "cd", "ef", "it's", "1,000"]), max_size=12).map(" ".join)
QUESTION = "Which instrument would a careful scientist use to measure the weight of a small rock"  # 15 words
PAGE = "Nobody had been in the valley since the flood, and the mill stood empty all summer. "


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    found = words(text)
    return [tuple(found[start : start + n]) for start in range(len(found) - n + 1)]


def tells(run: tuple[str, ...]) -> bool:
    return len({word for word in run if len(word) > 1 and word.isalpha()}) >= TELLING * len(run)


def overlap_of(text: str, *items: str, n: int = 13) -> decontamination.Overlap | None:
    return Benchmarks([Item("task", str(number), item) for number, item in enumerate(items)], n).overlap(text)


@given(WORDS, WORDS, st.integers(1, 4))
def test_an_overlap_is_found_exactly_if_there_is_one(text: str, item: str, n: int) -> None:
    overlap = overlap_of(text, item, n=n)
    shared = [run for run in ngrams(text, n) if run in set(ngrams(item, n)) and tells(run)]
    assert (tuple(overlap.ngram.split()) if overlap else None) == (shared[0] if shared else None)
    if overlap:
        places = {at + i for at, run in enumerate(ngrams(item, n)) if run in set(shared) for i in range(n)}
        assert overlap.share == len(places) / len(words(item))


@given(st.text(alphabet=st.sampled_from("aB1_ .,-'\n\t\x1c\x00éßΣİ٣²’…\xa0ー語"), max_size=40))
@example("ΑΣ\nΑΣ")
def test_lines_of_ascii_are_split_as_all_others(text: str) -> None:
    assert words(text) == re.findall(r"[^\W_]+", text.lower())


@given(WORDS, st.lists(WORDS, max_size=4))
def test_equal_hashes_are_no_overlap(text: str, items: list[str]) -> None:
    """Words are compared, not hashes: where all hashes are the same, the same is found."""
    blind = Benchmarks.__new__(Benchmarks)
    blind._hash = np.zeros_like  # type: ignore[method-assign]
    blind.__init__([Item("task", str(number), item) for number, item in enumerate(items)], 2)  # type: ignore[misc]
    assert blind.overlap(text) == overlap_of(text, *items, n=2)


def test_case_punctuation_and_line_breaks_do_not_hide_a_text() -> None:
    item = "What, then, is the capital of France? Paris"
    assert overlap_of("so WHAT then\nis “the capital” of France", item, n=7) is not None


def test_the_item_with_the_largest_share_is_told_and_of_equal_ones_the_first() -> None:
    longer = f"{QUESTION} and how much of it would be left after a long and cold winter in the hills"
    assert getattr(overlap_of(PAGE + QUESTION, longer, QUESTION, QUESTION), "item", None) == "1"


@given(st.lists(WORDS, max_size=5), st.integers(1, 4))
def test_items_that_cannot_be_looked_for_are_counted(texts: list[str], n: int) -> None:
    benchmarks = Benchmarks([Item("task", str(number), text) for number, text in enumerate(texts)], n)
    found = sum(benchmarks.overlap(text) is not None for text in texts)
    assert (benchmarks.items, benchmarks.items - benchmarks.too_short) == (len(texts), found)


def test_no_benchmarks_find_nothing(tmp_path: Path) -> None:
    benchmarks = Benchmarks(read_items(eval_sets(tmp_path).path("benchmarks.parquet")), 13)
    assert len(benchmarks) == 0
    assert benchmarks.overlap("any text") is None


class TestShortItems:
    def test_an_item_of_eight_words_is_found_whole_and_only_whole(self) -> None:
        item = "Which bird can fly backwards for a while?\nhummingbird"
        assert overlap_of(f"{PAGE}{item} {PAGE}", item) is not None
        assert overlap_of(f"{PAGE}Which bird can fly backwards for? {PAGE}", item) is None

    def test_one_of_seven_is_not_looked_for(self) -> None:
        benchmarks = Benchmarks([Item("task", "0", "Which bird can fly backwards?\na hummingbird")], 13)
        assert (len(benchmarks), benchmarks.too_short) == (0, 1)

    def test_the_question_alone_is_the_item(self) -> None:
        """However long the choices are, and whatever stands between them on the page."""
        question = "Which bird can fly backwards for a while?"
        item = "\n".join([question, *(f"the {colour} one that lives near the old mill" for colour in ("red", "blue"))])
        overlap = overlap_of(f"{PAGE}{question} (A) ostrich (B) hummingbird", item)
        assert overlap is not None
        assert (overlap.ngram, overlap.share) == ("which bird can fly backwards for a while", 1.0)
        assert len(words(question)) == SHORTEST


class TestWhatPagesHoldByThemselves:
    @pytest.mark.parametrize(
        "text",
        [
            " ".join(str(number) for number in range(30)),
            "0 1 2 3 4 5 6 7 8 9 a b c d e f",
            "for i in range(len(l)): for j in range(i + 1, len(l)): if i in l",
            "I don't know. I don't know. I don't know. I don't know. I don't know.",
        ],
    )
    def test_few_telling_words_are_no_overlap(self, text: str) -> None:
        assert overlap_of(text, text) is None

    def test_the_frame_of_a_task_is_no_overlap_but_its_items_are(self) -> None:
        frame = "Please answer the following question with one word and give a reason for your choice of it:"
        subjects = ("rivers", "mountains", "bridges", "violins", "kettles", "ferries")
        items = [f"{frame} what does everybody remember about the {one} of this old town?" for one in subjects]
        assert len(items) == FRAME + 1
        assert overlap_of(f"{PAGE}{frame} where is the mill?", *items) is None
        assert overlap_of(f"{PAGE}{frame} where is the mill?", *items[:FRAME]) is not None
        assert getattr(overlap_of(PAGE + items[3], *items), "item", "") == "3"

    def test_copies_of_an_item_make_no_frame(self) -> None:
        assert getattr(overlap_of(PAGE + QUESTION, *[QUESTION] * 9), "item", "") == "0"

    def test_a_phrase_of_a_long_passage_has_a_small_share(self) -> None:
        passage = " ".join(f"{QUESTION.replace('rock', word)}." for word in ("stone", "pebble", "gem", "coin", "shell"))
        overlap = overlap_of(PAGE + " ".join(QUESTION.split()[2:]).replace("rock", "gem"), passage)
        assert overlap is not None
        assert 0.125 < overlap.share < 0.8


def test_what_is_looked_for_goes_to_another_process() -> None:
    benchmarks = pickle.loads(pickle.dumps(Benchmarks([Item("task", "0", QUESTION)], 13)))  # noqa: S301
    assert benchmarks.overlap(PAGE + QUESTION).share == 1.0
