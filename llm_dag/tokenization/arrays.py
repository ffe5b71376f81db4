"""Read token arrays: the shards of several dumps as one long sequence of ids, mapped into memory, never copied whole.

The order is that of the artifacts given, then of shard names; position p is the p-th token in that order. A slice costs
one binary search and the copy of what it returns. Where a position came from is a second search, in the
`documents/<shard>.parquet` of the one shard that holds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_dag.store.errors import StoreError

DTYPES = {"uint16": "<u2", "uint32": "<u4"}

TOUCHED = pa.schema(
    {
        "dump": pa.string(),
        "doc_id": pa.string(),
        "url": pa.string(),
        "first_token": pa.int64(),
        "tokens": pa.int64(),
        "bytes": pa.int64(),
    }
)


class ArraysError(StoreError):
    """Token arrays that cannot be read, or not together."""


class Stored(Protocol):
    """What is read of an artifact `token_arrays`."""

    @property
    def partition(self) -> str | None: ...

    def names(self, prefix: str = "") -> list[str]: ...

    def path(self, name: str) -> Path: ...


@dataclass(frozen=True)
class ArrayShard:
    """One shard of one split: its ids, and the table that says whose they are."""

    dump: str
    ids: Path
    documents: Path


@dataclass
class TokenArrays:
    """One split of one or several dumps. `vocabulary` is the digest of the vocabulary that the ids belong to.

    Pickled (for a loader's worker processes) it takes the paths along and maps the files anew.
    """

    split: str
    dtype: np.dtype[Any]
    vocab_size: int
    vocabulary: str
    shards: tuple[ArrayShard, ...]
    starts: np.ndarray = field(init=False)  # position of each shard's first token, and the end
    _maps: dict[int, np.ndarray] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        sizes = [shard.ids.stat().st_size for shard in self.shards]
        for shard, size in zip(self.shards, sizes, strict=True):
            if size % self.dtype.itemsize:
                raise ArraysError(
                    f"{shard.ids}: {size} bytes; wanted a multiple of {self.dtype.itemsize} ({self.dtype})"
                )
        self.starts = np.cumsum([0, *(size // self.dtype.itemsize for size in sizes)])

    @classmethod
    def open(cls, artifacts: Sequence[Stored], split: str) -> TokenArrays:
        """The split `train` or `heldout` of the `token_arrays` of several dumps.

        Raises:
            ArraysError: none given, or they were made with different vocabularies.
        """
        described = {json.dumps(json.loads(one.path("arrays.json").read_text()), sort_keys=True) for one in artifacts}
        if len(described) != 1:
            raise ArraysError(f"{len(artifacts)} token_arrays of {len(described)} kinds; wanted one kind: {described}")
        kind = json.loads(described.pop())
        shards = [
            ArrayShard(one.partition or "", one.path(name), one.path(f"documents/{Path(name).stem}.parquet"))
            for one in artifacts
            for name in one.names(f"{split}/")
        ]
        return cls(split, np.dtype(DTYPES[kind["dtype"]]), kind["vocab_size"], kind["vocabulary"], tuple(shards))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}

    def slice(self, start: int, length: int) -> np.ndarray:
        """`length` ids from position `start`, across shards, as a new array of `dtype`.

        Raises:
            ArraysError: the range is not inside the arrays.
        """
        self._verify(start, length)
        parts = [self._map(at)[begin:end] for at, begin, end in self._pieces(start, length)]
        return np.concatenate(parts) if parts else np.zeros(0, self.dtype)

    def documents(self, start: int, length: int) -> pa.Table:
        """The documents that a range of tokens touches: dump, doc_id, url, first_token (a position), tokens, bytes.

        A document may be touched by its `<|endoftext|>` alone. Raises ArraysError outside the arrays.
        """
        self._verify(start, length)
        found = [TOUCHED.empty_table()]
        for at, begin, end in self._pieces(start, length):
            table = pq.read_table(self.shards[at].documents, partitioning=None)
            table = table.filter(pc.equal(table.column("split"), self.split))
            first = table.column("first_token").to_numpy()
            low = int(np.searchsorted(first, begin, side="right")) - 1
            high = int(np.searchsorted(first, end, side="left"))
            table = table.slice(low, high - low)
            positions = pc.add(table.column("first_token"), int(self.starts[at]))
            dump = pa.array([self.shards[at].dump] * len(table), pa.string())
            table = table.set_column(table.schema.get_field_index("first_token"), "first_token", positions)
            found.append(table.add_column(0, "dump", dump).select(TOUCHED.names).cast(TOUCHED))
        return pa.concat_tables(found)

    def _verify(self, start: int, length: int) -> None:
        if start < 0 or length < 0 or start + length > len(self):
            raise ArraysError(f"tokens {start} to {start + length} of the {self.split} split; it has {len(self)}")

    def _pieces(self, start: int, length: int) -> Iterator[tuple[int, int, int]]:
        """(shard, begin, end) of each part of a range, in positions of the shard."""
        at = int(np.searchsorted(self.starts, start, side="right")) - 1
        end = start + length
        while start < end:
            stop = min(end, int(self.starts[at + 1]))
            if stop > start:
                yield at, start - int(self.starts[at]), stop - int(self.starts[at])
            start, at = stop, at + 1

    def _map(self, at: int) -> np.ndarray:
        if at not in self._maps:
            self._maps[at] = np.memmap(self.shards[at].ids, self.dtype, mode="r")
        return self._maps[at]
