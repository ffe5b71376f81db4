"""Which documents a tokenizer is trained on: a sample by hash, of bounded size, the same on every machine.

Documents are ordered by blake2b of their doc_id and taken until the next one would pass the limit. So a sample draws
from all shards alike, a larger one contains a smaller one, and a document that leaves the corpus moves only the end.
Two passes: ids and lengths first (9 bytes of memory for each document), then the texts, shard after shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Sample:
    """Rows of text shards: `chosen[i]` are row numbers of `shards[i]`, ascending."""

    shards: tuple[Path, ...]
    chosen: tuple[np.ndarray, ...]
    documents: int
    size: int  # UTF-8 bytes

    def texts(self) -> Iterator[list[str]]:
        """The texts, a batch at a time, in shard order."""
        for path, rows in zip(self.shards, self.chosen, strict=True):
            first = 0
            for batch in pq.ParquetFile(path).iter_batches(batch_size=1_000, columns=["text"]):
                inside = rows[(rows >= first) & (rows < first + len(batch))] - first
                first += len(batch)
                if len(inside):
                    yield batch.column("text").take(pa.array(inside)).to_pylist()


def draw(shards: Sequence[Path], split: str, limit: int) -> Sample:
    """Choose documents of one split (`train` or `heldout`) with at most `limit` bytes of text together.

    Shards have the columns doc_id, text and split.
    """
    priorities, sizes, members = [], [], []
    for path in shards:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=10_000, columns=["doc_id", "text", "split"]):
            priorities.append(np.array([_priority(doc_id) for doc_id in batch.column("doc_id").to_pylist()], np.uint64))
            sizes.append(pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False).astype(np.int64))
            members.append(pc.equal(batch.column("split"), split).to_numpy(zero_copy_only=False))
    if not priorities:
        return Sample((), (), 0, 0)
    size, member = np.concatenate(sizes), np.concatenate(members)
    order = np.argsort(np.concatenate(priorities), kind="stable")
    order = order[member[order]]
    taken = order[np.cumsum(size[order]) <= limit]
    chosen = np.zeros(len(size), bool)
    chosen[taken] = True
    ends = np.cumsum([pq.ParquetFile(path).metadata.num_rows for path in shards])
    rows = tuple(np.flatnonzero(part) for part in np.split(chosen, ends[:-1]))
    return Sample(tuple(shards), rows, len(taken), int(size[taken].sum()))


def _priority(doc_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(doc_id.encode(), digest_size=8).digest(), "big")
