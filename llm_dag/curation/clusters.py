"""Connected components over numbered pages, in one array: a union-find (Tarjan 1975) whose steps are numpy's.

Pages that share a value belong together. The pairs of a block are joined at once: each is led to the roots of its two
trees, and the larger root is hung below the smallest root that any pair wants it below; pairs whose roots still differ
go round again. A tree's root is its smallest page, so the result does not depend on the order of the pairs.

Memory: 4 bytes for each page, and some hundred for each pair of a block. Cost: near linear in the pairs.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from llm_dag.store.errors import StoreError

Numbered = NDArray[np.uint32]
BLOCK = 1 << 20


class Forest:
    """Pages 0 to `size` - 1, each at first alone. Raises StoreError for more than 32 bits can number."""

    def __init__(self, size: int) -> None:
        if size > np.iinfo(np.uint32).max:
            raise StoreError(f"{size} pages are to be compared with each other; at most 2^32 - 1 can be")
        self._parents = np.arange(size, dtype=np.uint32)

    def roots(self, pages: Numbered) -> Numbered:
        """The smallest page of each page's tree. Every page on the way is hung higher: a chain is halved each time."""
        found = pages
        while not np.array_equal(above := self._parents[found], found):
            higher = self._parents[above]
            self._parents[found] = higher
            found = higher
        self._parents[pages] = found
        return found

    def join(self, ones: Numbered, others: Numbered) -> None:
        """Make one tree of the trees of each pair."""
        while len(ones):
            ones, others = self.roots(ones), self.roots(others)
            apart = ones != others
            ones, others = ones[apart], others[apart]
            low, high = np.minimum(ones, others), np.maximum(ones, others)
            np.minimum.at(self._parents, high, low)

    def join_equal(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Join the pages of equal values, from batches of (value, page) in the order of the values."""
        last = np.empty(0, np.uint64), np.empty(0, np.uint32)  # the last value, and the first page that had it
        for batch in batches:
            values = np.concatenate([last[0], batch.column(0).to_numpy()])
            pages = np.concatenate([last[1], batch.column(1).to_numpy()])
            starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
            firsts = np.repeat(pages[starts], np.diff(starts, append=len(values)))
            more = firsts != pages
            self.join(firsts[more], pages[more])
            last = values[-1:], firsts[-1:]

    def joined(self, below: int) -> NDArray[np.bool_]:
        """Which pages share a tree with another page, of trees whose smallest page is under `below`."""
        found = np.zeros(len(self._parents), bool)
        for start in range(0, len(found), BLOCK):
            pages = np.arange(start, min(start + BLOCK, len(found)), dtype=np.uint32)
            roots = self.roots(pages)
            more = (roots != pages) & (roots < below)
            found[pages[more]] = True
            found[roots[more]] = True
        return found
