"""Words and sentences are datatrove's, token for token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from datatrove.utils.text import split_into_sentences
from datatrove.utils.word_tokenizers import WordTokenizer, load_word_tokenizer
from hypothesis import example, given, settings

from llm_dag.curation import words
from llm_dag.curation.words import Splitter
from tests.curation.webtext import texts

SLOW_AT_FIRST = settings(deadline=None, max_examples=75)


@pytest.fixture(scope="module")
def splitter() -> Splitter:
    return Splitter()


@pytest.fixture(scope="module")
def reference() -> WordTokenizer:
    return load_word_tokenizer("eng")


@given(text=texts())
@example("x:) )")  # a run that seems to go on across the space shadows the emoticon
@example("x:)  )")
@example("Note: (a) first; 8 ) last :-\n)")
@example("He said: 'cause I can' t. 10 a.m . Go")
@SLOW_AT_FIRST
def test_words_are_those_of_the_reference(splitter: Splitter, reference: WordTokenizer, text: str) -> None:
    assert splitter.words(text) == reference.word_tokenize(text)


@given(text=texts(20))
@example("")
@example(" \t ")
@example("One.  Two.   ")
@example(" . leading")
@example("One. [1]  ) Two? :) Three")
@SLOW_AT_FIRST
def test_sentences_are_counted_as_the_reference_counts(splitter: Splitter, text: str) -> None:
    assert splitter.sentences(text) == len(split_into_sentences(text, "eng"))


def test_special_cases_across_white_space_take_the_slow_path(splitter: Splitter) -> None:
    pieces = splitter._pieces(["x:)", ")", "and", "more"])
    assert list(splitter._crossings(pieces)) == [1]
    assert list(splitter._crossings(splitter._pieces(["an", "ordinary", "sentence,", "(no", "more)."]))) == []


def test_steps_of_a_thread_share_a_splitter() -> None:
    assert Splitter.here() is Splitter.here()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(Splitter.here).result() is not Splitter.here()


def test_starting_anew_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "The page's words: don't, can't. (Yes!) No..."
    before = Splitter().words(text)
    monkeypatch.setattr(words, "REMEMBERED", 2)
    small = Splitter()
    assert [small.words(text) for _ in range(3)] == [before] * 3
    assert len(small._remembered) < 12
