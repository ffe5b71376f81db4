"""Benchmark text in pages: exact overlap of word n-grams (Brown et al. 2020, appendix C, with their n of 13).

A text is compared as its lower-case words, without punctuation. A benchmark item with fewer words than n has no n-gram
and cannot be looked for: it is counted. Memory: about 200 bytes for each n-gram of the benchmarks. Cost: one look-up
for each word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Item:
    """One benchmark item; its text has all that a model could learn by heart."""

    task: str
    item: str
    text: str


@dataclass(frozen=True)
class Overlap:
    """The first n-gram of a text that stands in a benchmark item."""

    task: str
    item: str
    ngram: str


def ngrams(text: str, n: int) -> Iterator[str]:
    """Each n words of a text that follow each other, in order."""
    words = WORD.findall(text.lower())
    for start in range(len(words) - n + 1):
        yield " ".join(words[start : start + n])


class Benchmarks:
    """The n-grams of benchmark items. Where items share one, the first item counts.

    `items` is how many there are; `too_short` of them have fewer than n words, so that nothing of them is looked for.
    """

    def __init__(self, items: Iterable[Item], n: int) -> None:
        self.n = n
        self.items = self.too_short = 0
        self._items: dict[str, Item] = {}
        for item in items:
            looked_for = list(ngrams(item.text, n))
            for ngram in looked_for:
                self._items.setdefault(ngram, item)
            self.items += 1
            self.too_short += not looked_for

    def __len__(self) -> int:
        return len(self._items)

    def overlap(self, text: str) -> Overlap | None:
        """The first n-gram that the text shares with a benchmark item, if there is one."""
        if not self._items:
            return None
        for ngram in ngrams(text, self.n):
            if (item := self._items.get(ngram)) is not None:
                return Overlap(item.task, item.item, ngram)
        return None


def read_items(path: Path) -> list[Item]:
    """The rows of `benchmarks.parquet` (task, item, text)."""
    rows = pq.read_table(path, columns=["task", "item", "text"], partitioning=None).to_pylist()
    return [Item(row["task"], str(row["item"]), row["text"]) for row in rows]
