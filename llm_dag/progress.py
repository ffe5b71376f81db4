"""How a step says how far it is: the protocol, and the rate-limited reporter behind it.

A step has no terminal (Dagster captures it), so it never draws. It calls `start`, `update` and `say`; whoever runs it
passes sinks that draw a bar, append a line to a file, or record an observation that the Dagster UI plots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Progress(Protocol):
    """What a step may say while it works."""

    def start(self, task: str, total: int | None, unit: str) -> None:
        """Begin a task of `total` units (None: not known)."""

    def update(self, done: int, **numbers: float) -> None:
        """`done` units of the task are finished; `numbers` are worth plotting (loss, retention)."""

    def say(self, text: str) -> None:
        """One line for a person. Never page text."""


@dataclass(frozen=True)
class Report:
    """One message of a step: a line of text, or a state of its current task."""

    task: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    rate: float = 0.0
    numbers: Mapping[str, float] = field(default_factory=dict)
    text: str = ""


class Silent:
    """A progress that says nothing."""

    def start(self, task: str, total: int | None, unit: str) -> None:
        return None

    def update(self, done: int, **numbers: float) -> None:
        return None

    def say(self, text: str) -> None:
        return None


class Reporter:
    """Passes progress on to `sink`, at most one state each `every` seconds, and always the first and the last."""

    def __init__(
        self,
        sink: Callable[[Report], None],
        every: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._every = every
        self._clock = clock
        self._task = ""
        self._total: int | None = None
        self._unit = ""
        self._begun = 0.0
        self._first: int | None = None
        self._sent = float("-inf")

    def start(self, task: str, total: int | None, unit: str) -> None:
        self._task, self._total, self._unit = task, total, unit
        self._begun, self._first, self._sent = self._clock(), None, float("-inf")
        self._sink(Report(task=task, total=total, unit=unit))

    def update(self, done: int, **numbers: float) -> None:
        now = self._clock()
        if self._first is None:  # a resumed task starts above zero: its rate counts from here
            self._first = done
        last = self._total is not None and done >= self._total
        if not last and now - self._sent < self._every:
            return
        self._sent = now
        seconds = now - self._begun
        rate = (done - self._first) / seconds if seconds > 0 and done > self._first else 0.0
        self._sink(Report(self._task, done, self._total, self._unit, rate, dict(numbers)))

    def say(self, text: str) -> None:
        self._sink(Report(task=self._task, text=text))
