"""Shingles, similarity, and the hit rate of MinHash bands."""

from __future__ import annotations

import random
import re
import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.curation.minhash_signatures import CHUNK, Hasher
from llm_dag.curation.shingles import Shingler, jaccard, normalize
from tests.curation.chain import node

WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "eins", "zwei", "10", "20"]), max_size=30)


def true_jaccard(one: list[str], other: list[str], n: int) -> float:
    sets = []
    for words in (one, other):
        size = min(n, len(words))
        sets.append({tuple(words[at : at + size]) for at in range(len(words) - size + 1)} if words else set())
    union = sets[0] | sets[1]
    return len(sets[0] & sets[1]) / len(union) if union else 0.0


@given(WORDS, WORDS, st.integers(1, 6))
def test_similarity_is_the_true_jaccard_of_word_ngrams(one: list[str], other: list[str], n: int) -> None:
    shingler = Shingler(n)
    if min(len(one), len(other)) >= n or len(one) == len(other):
        found = jaccard(shingler.shingles(" ".join(one)), shingler.shingles(" ".join(other)))
        assert found == true_jaccard(one, other, n)


def test_case_punctuation_and_accents_do_not_count() -> None:
    assert normalize("The Café,\nthe NAÏVE (one)—42!") == ["the", "cafe", "the", "naive", "one", "42"]


def test_numbers_count() -> None:
    """With digits made equal, price lists that differ in each value would be duplicates."""
    lists = [" ".join(f"item {k} costs {k * factor} dollars" for k in range(20)) for factor in (3, 7)]
    shingler = Shingler(5)
    assert jaccard(*(shingler.shingles(text) for text in lists)) < 0.1


def test_a_text_without_words_has_no_shingles() -> None:
    assert len(Shingler(5).shingles("... ?! —")) == 0
    assert len(Shingler(5).shingles("just three words")) == 1


def test_long_texts_are_hashed_in_chunks() -> None:
    hasher = Hasher(node("minhash").signatures)
    values = np.random.default_rng(0).integers(0, 2**63, 2 * CHUNK + 5).astype(np.uint64)
    parts = [hasher.minima(values[:CHUNK]), hasher.minima(values[CHUNK:])]
    assert np.array_equal(hasher.minima(values), np.minimum(*parts))


def test_bands_agree_as_often_as_theory_says() -> None:
    """1 - (1 - s^8)^14 within four standard errors, at similarities on the steep part of the curve."""
    hasher = Hasher(node("minhash").signatures)
    draw = random.Random(5)
    pairs = 400
    for similarity in (0.5, 0.7, 0.8):
        union = 600
        shared = round(similarity * union)
        hits = 0
        for _ in range(pairs):
            values = np.array([draw.getrandbits(64) for _ in range(union)], np.uint64)
            middle = shared + (union - shared) // 2
            one, other = values[:middle], np.concatenate([values[:shared], values[middle:]])
            hits += bool((hasher.bands(one) == hasher.bands(other)).any())
        expected = 1 - (1 - (shared / union) ** 8) ** 14
        error = (expected * (1 - expected) / pairs) ** 0.5
        assert abs(hits / pairs - expected) < 4 * error, similarity


def test_equal_values_in_different_bands_are_no_agreement() -> None:
    bands = Hasher(node("minhash").signatures).bands(np.array([7], np.uint64))
    assert len(set(bands.tolist())) == len(bands) == 14


@given(st.text(alphabet=st.sampled_from("aé\u0301\u0327 x_'ǅ漢゛ﬁİ\u0345ά-7"), max_size=30))
def test_accents_are_left_out_wherever_they_stand(text: str) -> None:
    """Runs beyond ASCII are taken apart one by one, and the words are those of the whole text taken apart."""
    parts = unicodedata.normalize("NFD", text.lower())
    bare = "".join(character for character in parts if unicodedata.category(character) != "Mn")
    assert normalize(text) == re.findall(r"[^\W_]+", bare)


def test_the_bands_of_many_pages_are_those_of_each() -> None:
    hasher = Hasher(node("minhash").signatures)
    pages = [np.random.default_rng(seed).integers(0, 2**63, 40 + seed).astype(np.uint64) for seed in range(5)]
    together = hasher.joined(np.stack([hasher.minima(page) for page in pages]))
    assert np.array_equal(together, np.stack([hasher.bands(page) for page in pages]))
