"""Word n-grams of a text as 64-bit numbers, and the similarity of two texts.

A text is compared as its lower-case words without punctuation and accents. Numbers stay as they are: with digits made
equal, tables and price lists that differ in every value would be duplicates. A text of fewer than n words is one
shingle of all its words; a text without words has none.

Cost: one hash for each new word, then numpy over all positions at once. Two different n-grams get the same number with
a probability of 2^-64.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]

WORD = re.compile(r"[^\W_]+")
NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
REMEMBERED = 1_000_000  # words whose hashes are kept; about 100 MB
ODD = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio: odd, so that multiplying by it loses nothing


def normalize(text: str) -> list[str]:
    """The words of a text as they are compared."""
    lowered = text.lower()
    if not lowered.isascii():
        lowered = NOT_ASCII.sub(_without_accents, lowered)
    return WORD.findall(lowered)


def _without_accents(found: re.Match[str]) -> str:
    """A run of characters beyond ASCII. Runs can be taken apart: no mark moves past an ASCII character."""
    parts = unicodedata.normalize("NFD", found[0])
    return "".join(character for character in parts if unicodedata.category(character) != "Mn")


def mixed(values: Numbers) -> Numbers:
    """A bijection of 64-bit numbers in which every input bit reaches every output bit (splitmix64's, Steele 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Shingler:
    """Turns texts into sorted sets of shingles; remembers the hashes of words."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._hashes: dict[str, int] = {}

    def shingles(self, text: str) -> Numbers:
        """The distinct n-grams of a text, sorted."""
        words = normalize(text)
        if not words:
            return np.empty(0, np.uint64)
        hashes = self._hashed(words)
        n = min(self._n, len(hashes))
        count = len(hashes) - n + 1
        sums = np.full(count, n, np.uint64)
        for place in range(n):
            sums = sums * np.uint64(ODD) + hashes[place : place + count]
        return np.unique(mixed(sums))

    def _hashed(self, words: list[str]) -> Numbers:
        if len(self._hashes) > REMEMBERED:
            self._hashes.clear()
        hashes = self._hashes
        for word in [word for word in set(words) if word not in hashes]:  # `-` would walk through all of hashes
            digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
            hashes[word] = int.from_bytes(digest, "big")
        return np.fromiter(map(hashes.__getitem__, words), np.uint64, len(words))


def jaccard(one: Numbers, other: Numbers) -> float:
    """Size of the intersection over size of the union of two sorted sets of shingles; 0 where both are empty."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - shared
    return shared / union if union else 0.0
