"""Documents come back out of token arrays byte for byte, and the sample is a matter of hashes."""

from __future__ import annotations

from typing import Any

import pytest

from llm_dag.evaluation import heldout
from llm_dag.store.errors import StoreError
from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.tokenization.vocabulary import Vocabulary

TEXTS = ["the thing\n  joining", "übergröße\x00\n", "a", "another one, the last\n"]


def test_documents_are_read_back_exactly(arrays_of: Any, vocabulary: Vocabulary) -> None:
    arrays = TokenArrays.open([arrays_of(["unused"], TEXTS)], "heldout")
    documents = list(heldout.read(arrays, arrays.documents(0, len(arrays)), vocabulary))
    assert [one.text.decode() for one in documents] == TEXTS
    for one in documents:
        assert vocabulary.end_of_text not in one.ids
        assert sum(one.lengths) == len(one.text)
        assert len(one.lengths) == len(one.ids)
    assert documents[2].url == "https://docs.example/heldout/2"


def test_texts_of_all_dumps_or_of_some_rows(arrays_of: Any, vocabulary: Vocabulary) -> None:
    dumps = [arrays_of(TEXTS[:2], ["x"], "dump-1"), arrays_of(TEXTS[2:], ["y"], "dump-2")]
    arrays = TokenArrays.open(dumps, "train")
    assert [text.decode() for text in heldout.texts(arrays, vocabulary)] == TEXTS
    some = arrays.documents(0, len(arrays)).take([1, 3])
    assert [text.decode() for text in heldout.texts(arrays, vocabulary, some)] == [TEXTS[1], TEXTS[3]]


def test_all_documents_are_chosen_where_they_fit(arrays_of: Any) -> None:
    arrays = TokenArrays.open([arrays_of(["x"], TEXTS)], "heldout")
    chosen = heldout.choose(arrays, 10_000, seed=1)
    assert chosen.whole
    assert chosen.table.column("doc_id").to_pylist() == [f"heldout-{at}" for at in range(4)]
    assert chosen.bytes == sum(len(text.encode()) for text in TEXTS)


def test_a_sample_stays_under_its_limit_and_depends_on_the_seed(arrays_of: Any) -> None:
    arrays = TokenArrays.open([arrays_of(["x"], [f"document {at}\n" for at in range(50)])], "heldout")
    picked = [heldout.choose(arrays, 100, seed).table.column("doc_id").to_pylist() for seed in (1, 1, 2)]
    assert picked[0] == picked[1] != picked[2]
    assert not heldout.choose(arrays, 100, 1).whole
    assert heldout.choose(arrays, 100, 1).bytes <= 100
    assert set(picked[0]) <= set(heldout.choose(arrays, 200, 1).table.column("doc_id").to_pylist())


def test_one_document_is_chosen_even_if_it_is_too_long(arrays_of: Any) -> None:
    arrays = TokenArrays.open([arrays_of(["x"], ["long" * 100])], "heldout")
    assert len(heldout.choose(arrays, 1, seed=1).table) == 1


def test_an_empty_split_is_an_error(arrays_of: Any) -> None:
    arrays = TokenArrays.open([arrays_of(["x"], [])], "heldout")
    with pytest.raises(StoreError, match="heldout split holds no documents"):
        heldout.choose(arrays, 10, seed=1)
