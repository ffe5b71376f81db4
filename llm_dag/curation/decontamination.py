"""Benchmark text in pages: exact overlap of word n-grams (Brown et al. 2020, appendix C, with their n of 13).

A text is compared as its lower-case words, without punctuation. What is looked for of an item are its *runs*: each n
words in a row; and, where it is shorter than that, the whole item and the whole question, if they have `SHORTEST` words
or more (the least n of the same source). Two kinds of runs are left out, because pages hold them by themselves:

- those with few telling words: of thirteen words at least eight are to be different, of letters alone and of two or
  more of them, or the run is a list of numbers or an idiom of a programming language;
- those that stand in more than `FRAME` different items: the frame of a task, or a phrase that the items quote.

An item's *share* is the part of its words that a page holds in runs, and 1 where it holds the whole question. A long
passage shares a stock phrase with many pages, so the caller decides from which share on an item counts as found.

Words are numbered, so a run is a row of numbers. It is found by a 64-bit hash of its first `SHORTEST` words (sum of
number × odd coefficient) and then compared word by word, so what is found is exact. Memory: some 60 bytes for each run
of the benchmarks. Cost of a page: splitting it into words, one look-up of each word, and arithmetic over the places
where enough words in a row are known.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

SHORTEST = 8  # words of the shortest run, if n is not smaller still
TELLING = 0.6  # smallest part of a run's words that are telling, each counted once
FRAME = 5  # most different items that a run may stand in
WORD = re.compile(r"[^\W_]+")
MARKS = "’‘“”–—…•·\u00a0"  # what keeps most lines of English pages from being ASCII; none is a letter or digit
SPACED = bytes(code if chr(code).isalnum() else ord(" ") for code in range(128)).ljust(256)
COEFFICIENT = 0x9E3779B97F4A7C15  # odd; its powers differ in all their bits

Numbers = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Item:
    """One benchmark item; its text has all that a model could learn by heart, and its first line is the question."""

    task: str
    item: str
    text: str


@dataclass(frozen=True)
class Overlap:
    """The item of which a text holds the largest share, and the first run of its words there."""

    task: str
    item: str
    ngram: str
    share: float


def words(text: str) -> list[str]:
    """The lower-case runs of letters and digits of a text, in order. Lines of ASCII alone are split the fast way."""
    text = text.lower()
    if text.isascii():
        return text.encode().translate(SPACED).decode().split()
    for mark in MARKS:
        text = text.replace(mark, " ")
    found: list[str] = []
    for line in text.split("\n"):
        found += line.encode().translate(SPACED).decode().split() if line.isascii() else WORD.findall(line)
    return found


class Benchmarks:
    """What is looked for. Of items with the same words the first counts.

    `items` is how many there are; of `too_short` of them nothing can be looked for: they have too few words, or too few
    telling ones.
    """

    def __init__(self, items: Iterable[Item], n: int) -> None:
        self.n = n
        self._prefix = min(n, SHORTEST)
        self._vocabulary: dict[str, int] = {}
        self._names: list[tuple[str, str]] = []
        self._same: list[int] = []  # for each item the first one with its words
        numbers, lengths, questions = array("Q"), array("q"), array("q")
        first: dict[bytes, int] = {}
        for item in items:
            question = words(item.text.partition("\n")[0])
            found = [*question, *words(item.text.partition("\n")[2])]
            content = hashlib.blake2b(" ".join(found).encode(), digest_size=16).digest()
            self._same.append(first.setdefault(content, len(self._names)))
            if self._same[-1] == len(self._names):
                numbers.extend(self._vocabulary.setdefault(word, len(self._vocabulary) + 1) for word in found)
            lengths.append(len(found) if self._same[-1] == len(self._names) else 0)
            questions.append(len(question))
            self._names.append((item.task, item.item))
        self.items = len(self._names)
        self._numbers = np.array(numbers, np.uint32)
        self._lengths, self._questions = np.array(lengths, np.int64), np.array(questions, np.int64)
        self._begins = np.cumsum(self._lengths) - self._lengths
        self._index(self._left_out(self._all_runs()))
        looked_for = set(self._runs[:, 2].tolist())
        self.too_short = sum(one not in looked_for for one in self._same)

    def __len__(self) -> int:
        return len(self._hashes)

    def overlap(self, text: str) -> Overlap | None:
        """The item that the text shares a run with: of several, the one with the largest share, then the first."""
        if not len(self):
            return None
        found = words(text)
        numbers = np.fromiter(map(self._vocabulary.get, found, repeat(0)), np.uint64, len(found))
        held: dict[int, set[int]] = {}  # of each item the places of its words that the text holds in runs
        runs: dict[int, str] = {}
        for at, row in self._candidates(numbers):
            last = np.searchsorted(self._hashes, self._hashes[row], "right")
            for place, length, item in self._runs[row:last].tolist():
                if np.array_equal(numbers[at : at + length], self._numbers[place : place + length]):
                    held.setdefault(item, set()).update(range(place, place + length))
                    runs.setdefault(item, " ".join(found[at : at + length]))
        if not held:
            return None
        shares = {item: self._share(item, places) for item, places in held.items()}
        best = min(shares, key=lambda item: (-shares[item], item))
        return Overlap(*self._names[best], runs[best], shares[best])

    def _share(self, item: int, held: set[int]) -> float:
        begin, question = int(self._begins[item]), int(self._questions[item])
        if question >= self._prefix and held.issuperset(range(begin, begin + question)):
            return 1.0
        return len(held) / int(self._lengths[item])

    def _all_runs(self) -> Places:
        """Rows of (place of the first word, number of words, item), in the order of the items."""
        length = np.minimum(self._lengths, self.n)
        many = np.where(length < self._prefix, 0, self._lengths - length + 1)
        item = np.repeat(np.arange(len(many)), many)
        within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        asked = np.flatnonzero((self._questions >= SHORTEST) & (self._questions < length))
        runs = np.concatenate(
            [
                np.stack([self._begins[item] + within, length[item], item], axis=1),
                np.stack([self._begins[asked], self._questions[asked], asked], axis=1),
            ]
        )
        return runs[np.argsort(runs[:, 2], kind="stable")]

    def _left_out(self, runs: Places) -> Places:
        """The runs without those that have few telling words, and without the frames of tasks."""
        known = sorted(self._vocabulary, key=self._vocabulary.__getitem__)
        tells = np.array([False, *(len(word) > 1 and word.isalpha() for word in known)])
        before = self._occurrences_before()
        telling, whole = np.zeros(len(runs), np.int64), np.zeros(len(runs), np.uint64)
        for offset in range(int(runs[:, 1].max(initial=0))):
            inside = np.flatnonzero(offset < runs[:, 1])
            place = runs[inside, 0] + offset
            telling[inside] += tells[self._numbers[place]] & (before[place] < runs[inside, 0])
            whole[inside] += self._numbers[place].astype(np.uint64) * _power(offset)
        runs, whole = runs[telling >= TELLING * runs[:, 1]], whole[telling >= TELLING * runs[:, 1]]
        _, run = np.unique(whole, return_inverse=True)
        pairs = np.unique(np.stack([run.reshape(-1), runs[:, 2]], axis=1), axis=0)  # (run, item), each once
        items = np.bincount(pairs[:, 0], minlength=1)
        return runs[items[run.reshape(-1)] <= FRAME]

    def _occurrences_before(self) -> Places:
        """For each place the last place before it that has the same word; -1 where there is none."""
        order = np.argsort(self._numbers, kind="stable")
        before = np.full(len(order), -1, np.int64)
        again = np.flatnonzero(self._numbers[order][1:] == self._numbers[order][:-1]) + 1
        before[order[again]] = order[again - 1]
        return before

    def _index(self, runs: Places) -> None:
        """Sort the runs by the hash of their first words."""
        hashes = self._hash(self._numbers.astype(np.uint64))[runs[:, 0]]
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._runs = hashes[order], runs[order].astype(np.uint32)
        bits = min(28, 3 + len(runs).bit_length())
        self._shift = np.uint64(64 - bits)
        self._begun = np.zeros(1 << bits, np.bool_)  # which first bits of a hash occur: one in eight at most
        self._begun[hashes >> self._shift] = True

    def _candidates(self, numbers: Numbers) -> Iterator[tuple[int, int]]:
        """(place, first row of runs) where the hash of the next words is one of a run's."""
        counts = np.concatenate([[0], np.cumsum(numbers > 0)])
        places = np.flatnonzero(counts[self._prefix :] - counts[: -self._prefix] == self._prefix)
        if len(places):
            hashes = self._hash(numbers)[places]
            begun = np.flatnonzero(self._begun[hashes >> self._shift])
            places, hashes = places[begun], hashes[begun]
            rows = np.minimum(np.searchsorted(self._hashes, hashes), len(self) - 1)
            equal = self._hashes[rows] == hashes
            yield from zip(places[equal].tolist(), rows[equal].tolist(), strict=True)

    def _hash(self, numbers: Numbers) -> Numbers:
        """The hash of the words that begin at each place, modulo 2^64."""
        many = max(0, len(numbers) - self._prefix + 1)
        total = np.zeros(many, np.uint64)
        for offset in range(self._prefix):
            total += numbers[offset : offset + many] * _power(offset)
        return total


def _power(offset: int) -> np.uint64:
    return np.uint64(pow(COEFFICIENT, offset + 1, 1 << 64))


def read_items(path: Path) -> list[Item]:
    """The rows of `benchmarks.parquet` (task, item, text)."""
    rows = pq.read_table(path, columns=["task", "item", "text"], partitioning=None).to_pylist()
    return [Item(row["task"], str(row["item"]), row["text"]) for row in rows]
