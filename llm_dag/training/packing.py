"""Whole conversations in rows of fixed length, as a pure function of (seed, step).

A conversation of n ids takes n - 1 places: each id but the last as an input, the next one as its label where the
assistant says it. Each epoch draws an order from (seed, epoch) and puts each conversation into the first open row with
room (first fit over the `OPEN` latest rows; n conversations cost n · OPEN comparisons). No conversation is cut.
Attention is blocked between the conversations of a row and positions begin at 0 in each, so a conversation is trained
as if it stood alone; what is left of a row is padding that no label names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from llm_dag.training.loop import IGNORED, Batch

OPEN = 64
NOBODY = -1  # the segment of padding


@dataclass(frozen=True)
class Example:
    """One conversation: its ids, and which of them the model is trained to say."""

    id: str
    ids: np.ndarray  # int32
    mask: np.ndarray  # bool

    @property
    def places(self) -> int:
        return len(self.ids) - 1

    @property
    def targets(self) -> int:
        """Labels; the first id of a conversation opens a turn, so it is never one."""
        return int(self.mask[1:].sum())


def pack(places: Sequence[int], length: int) -> list[list[int]]:
    """Which examples go into which row, by index. Raises ValueError for one that is longer than a row."""
    rows: list[list[int]] = []
    room: list[int] = []
    for at, size in enumerate(places):
        if size > length:
            raise ValueError(f"example {at} takes {size} places; a row has {length}")
        first = max(0, len(rows) - OPEN)
        row = next((row for row in range(first, len(rows)) if room[row] >= size), None)
        if row is None:
            rows.append([at])
            room.append(length - size)
        else:
            rows[row].append(at)
            room[row] -= size
    return rows


def lay_out(rows: Sequence[Sequence[Example]], length: int) -> Batch:
    """Rows as tensors RT: tokens, labels, positions, segments."""
    shape = (len(rows), length)
    tokens, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    labels, segments = np.full(shape, IGNORED, np.int64), np.full(shape, NOBODY, np.int64)
    for row, examples in enumerate(rows):
        start = 0
        for segment, example in enumerate(examples):
            places = slice(start, start + example.places)
            tokens[row, places] = example.ids[:-1]
            labels[row, places] = np.where(example.mask[1:], example.ids[1:], IGNORED)
            positions[row, places] = np.arange(example.places)
            segments[row, places] = segment
            start += example.places
    named = {"tokens": tokens, "labels": labels, "positions": positions, "segments": segments}
    return {name: torch.from_numpy(values) for name, values in named.items()}


@dataclass
class PackedRows:
    """The training conversations over `epochs` epochs, `rows` rows of `length` places a step."""

    examples: Sequence[Example]
    length: int
    rows: int
    epochs: int
    seed: int
    _packed: list[list[int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._packed = []
        for epoch in range(self.epochs):
            order = np.random.Generator(np.random.PCG64([self.seed, epoch])).permutation(len(self.examples)).tolist()
            found = pack([self.examples[at].places for at in order], self.length)
            self._packed += [[order[at] for at in row] for row in found]

    @property
    def steps(self) -> int:
        """Steps of all epochs; the last one may have rows of padding."""
        return -(-len(self._packed) // self.rows)

    @property
    def fill(self) -> float:
        """The fraction of places that hold a conversation."""
        return self.epochs * sum(one.places for one in self.examples) / (self.steps * self.rows * self.length)

    def row(self, at: int) -> list[Example]:
        return [self.examples[one] for one in self._packed[at]] if at < len(self._packed) else []

    def batch(self, step: int, start: int, stop: int) -> Batch:
        """Rows `start` to `stop` of a step."""
        return lay_out([self.row(step * self.rows + row) for row in range(start, stop)], self.length)

    def targets(self, step: int) -> int:
        """Labels of a whole step."""
        return sum(one.targets for row in range(self.rows) for one in self.row(step * self.rows + row))


class PackedHeldout:
    """The held-out conversations, packed in their order."""

    def __init__(self, examples: Sequence[Example], length: int) -> None:
        self._rows = [[examples[at] for at in row] for row in pack([one.places for one in examples], length)]
        self._length = length

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, start: int, stop: int) -> Batch:
        """Rows `start` to `stop`; beyond the last, rows of padding."""
        return lay_out([self._rows[at] if at < len(self) else [] for at in range(start, stop)], self._length)
