"""What pretraining reads: windows of fixed length over token arrays, as a pure function of (seed, step).

Position p of the arrays is cut into windows of `length` inputs, `[k · length, (k + 1) · length)`, whose labels are the
inputs moved by one. Each epoch is a permutation of all windows drawn from (seed, epoch); a step takes the next rows of
that endless sequence. Nothing is padded; the tail after the last whole window (less than one window) is never trained
on and is counted. One window costs one slice of a memory map; memory is one permutation, eight bytes a window.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch

from llm_dag.store.errors import StoreError
from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.training.loop import IGNORED, Batch

RANGES = pa.schema(
    {
        "dump": pa.string(),
        "shard": pa.string(),
        "first_token": pa.int64(),
        "tokens": pa.int64(),
        "times": pa.int64(),
    }
)


class TooFewTokens(StoreError):
    """The arrays hold not even one window."""


@dataclass
class Windows:
    """The training split as rows of `length` tokens, `rows` of them a step."""

    arrays: TokenArrays
    length: int
    rows: int
    seed: int
    _order: tuple[int, np.ndarray] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise TooFewTokens(
                f"{len(self.arrays)} training tokens; pretrain.sequence={self.length} wants {self.length + 1} or more"
            )

    @property
    def count(self) -> int:
        """Windows of one epoch."""
        return (len(self.arrays) - 1) // self.length

    @property
    def cropped(self) -> int:
        """Tokens behind the last window: those that are never an input."""
        return len(self.arrays) - self.count * self.length

    def window(self, at: int) -> int:
        """The window of row `at` of the endless sequence of epochs."""
        epoch, place = divmod(at, self.count)
        if self._order is None or self._order[0] != epoch:
            draw = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            self._order = (epoch, draw.permutation(self.count))
        return int(self._order[1][place])

    def batch(self, step: int, start: int, stop: int) -> Batch:
        """Rows `start` to `stop` of a step: `tokens` and `labels`, RT."""
        found = [self.window(step * self.rows + row) for row in range(start, stop)]
        ids = np.stack([self.arrays.slice(at * self.length, self.length + 1) for at in found]).astype(np.int64)
        both = torch.from_numpy(ids)
        return {"tokens": both[:, :-1].contiguous(), "labels": both[:, 1:].contiguous()}

    def targets(self, step: int) -> int:
        """Labels of a whole step."""
        return self.rows * self.length

    def consumed(self, steps: int) -> np.ndarray:
        """How often each window was read in `steps` steps."""
        epochs, rest = divmod(steps * self.rows, self.count)
        times = np.full(self.count, epochs, np.int64)
        for place in range(rest):
            times[self.window(epochs * self.count + place)] += 1
        return times


def seen_documents(windows: Windows, steps: int) -> pa.Table:
    """Each document of which a token was an input: dump, doc_id, tokens, and tokens_seen with repeats counted.

    Exact: with C(p) = inputs read before position p, a document of [first, end) was read C(end) - C(first) tokens.
    """
    times = np.append(windows.consumed(steps), 0)
    before = np.concatenate([[0], np.cumsum(times[:-1])]) * windows.length

    def read_before(positions: np.ndarray) -> np.ndarray:
        at = np.minimum(positions // windows.length, windows.count)
        inside = np.minimum(positions - at * windows.length, windows.length)
        return np.asarray(before[at] + inside * times[at])

    table = windows.arrays.documents(0, len(windows.arrays))
    first = table.column("first_token").to_numpy()
    seen = read_before(first + table.column("tokens").to_numpy()) - read_before(first)
    chosen = table.select(["dump", "doc_id", "tokens"]).append_column("tokens_seen", pa.array(seen, pa.int64()))
    return chosen.filter(pa.array(seen > 0)).combine_chunks()


def seen_ranges(windows: Windows, steps: int) -> pa.Table:
    """Runs of input tokens read equally often: dump, shard, first_token (in the shard's file), tokens, times."""
    times = windows.consumed(steps)
    edges = np.flatnonzero(np.diff(times)) + 1
    starts = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [windows.count]])
    rows: list[tuple[str, str, int, int, int]] = []
    bounds = windows.arrays.starts
    for begin, end in zip(starts, ends, strict=True):
        low, high = int(begin) * windows.length, int(end) * windows.length
        at = int(np.searchsorted(bounds, low, side="right")) - 1
        while low < high and times[begin]:
            stop = min(high, int(bounds[at + 1]))
            if stop > low:
                shard = windows.arrays.shards[at]
                rows.append((shard.dump, shard.ids.stem, low - int(bounds[at]), stop - low, int(times[begin])))
            low, at = stop, at + 1
    return pa.Table.from_pylist([dict(zip(RANGES.names, row, strict=True)) for row in rows], RANGES)


@dataclass(frozen=True)
class HeldoutWindows:
    """Some windows of the held-out split; the last one of the split may be short, and is padded with ignored labels."""

    arrays: TokenArrays
    length: int
    chosen: tuple[int, ...]

    @classmethod
    def choose(cls, arrays: TokenArrays, length: int, tokens: int, seed: int) -> HeldoutWindows:
        """About `tokens` tokens, or all, spread over the split by `seed`. Raises TooFewTokens for an empty split."""
        if len(arrays) < 2:
            raise TooFewTokens(f"{len(arrays)} held-out tokens; wanted 2 or more")
        count = -(-(len(arrays) - 1) // length)
        draw = np.random.Generator(np.random.PCG64([seed, 1 << 32]))
        picked = np.sort(draw.permutation(count)[: max(1, tokens // length)])
        return cls(arrays, length, tuple(picked.tolist()))

    def ids(self, at: int) -> np.ndarray:
        """Inputs and the last label of the chosen window `at`: `length + 1` ids, fewer at the end of the split."""
        start = self.chosen[at] * self.length
        return self.arrays.slice(start, min(self.length + 1, len(self.arrays) - start))

    def batch(self, start: int, stop: int) -> Batch:
        """Chosen windows `start` to `stop`, RT; beyond the last, rows of which every label is ignored."""
        tokens = np.zeros((stop - start, self.length), np.int64)
        labels = np.full((stop - start, self.length), IGNORED, np.int64)
        for row, at in enumerate(range(start, min(stop, len(self.chosen)))):
            ids = self.ids(at)
            tokens[row, : len(ids) - 1], labels[row, : len(ids) - 1] = ids[:-1], ids[1:]
        return {"tokens": torch.from_numpy(tokens), "labels": torch.from_numpy(labels)}

    def __len__(self) -> int:
        return len(self.chosen)
