"""What every way of reading a file that lies elsewhere shares: what is known of the file, and how patience runs out.

A read that was interrupted goes on at the byte where it stopped. Between two attempts the pause doubles, by a fixed
schedule (`PAUSES`, two minutes in all); a server that asks for more time (Retry-After) gets it. What makes progress is
never given up: the schedule begins again once a megabyte has arrived.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from llm_dag.store.errors import StoreError

STEP = 1 << 20  # bytes read at a time, and the progress after which patience is whole again
PAUSES = (1, 2, 4, 8, 16, 32, 64)  # seconds before each further attempt
LONGEST = 600  # seconds that a server may ask to wait
Result = TypeVar("Result")


class RemoteError(StoreError):
    """A file elsewhere cannot be read: the message names its URL, what was found and what is wanted."""


class Changed(RemoteError):
    """A file elsewhere is no longer the one that was looked at."""


class Interrupted(Exception):
    """An attempt failed in a way that may pass; `after` seconds are what the server asks for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True)
class State:
    """What is said of a file before it is read.

    `etag` is its strong entity tag without quotes, "" where there is none: equal tags mean equal bytes. `modified` is
    too coarse for that, and does to know one's own copy by. `ranges`: a part of the file can be asked for.
    """

    bytes: int
    etag: str = ""
    modified: str = ""
    ranges: bool = True

    @property
    def tag(self) -> str:
        """What a copy is known by; "": by nothing."""
        return f"etag {self.etag}" if self.etag else f"modified {self.modified}" if self.modified else ""


class Reader(Protocol):
    """One way of reading files elsewhere."""

    def state(self, url: str) -> State:
        """Size and entity tag. Raises RemoteError."""

    def read(self, url: str, state: State, start: int, stop: int) -> Iterator[bytes]:
        """Bytes `[start, stop)` in order. Raises RemoteError; Changed if the file is no longer in `state`."""


@dataclass(frozen=True)
class Patience:
    """How often is tried again, and who is told."""

    said: Callable[[str], None] = field(default=lambda text: None)
    pauses: tuple[float, ...] = PAUSES

    def wait(self, url: str, failures: int, error: Interrupted) -> None:
        """Pause after the failure of this number. Raises RemoteError when there were enough."""
        if failures > len(self.pauses):
            tried = f"; tried {failures} times in {sum(self.pauses):.0f} s" if self.pauses else ""
            raise RemoteError(f"{url}: {error}{tried}") from error
        if error.after > LONGEST:
            raise RemoteError(
                f"{url}: {error}, and the server asks to wait {error.after:.0f} s; at most {LONGEST} s are waited"
            ) from error
        seconds = max(self.pauses[failures - 1], error.after)
        self.said(f"{url}: {error}; again in {seconds:.0f} s")
        pause(seconds)

    def until(self, url: str, ask: Callable[[], Result]) -> Result:
        """What `ask` returns once it is not interrupted."""
        failures = 0
        while True:
            try:
                return ask()
            except Interrupted as error:
                failures += 1
                self.wait(url, failures, error)

    def resumed(self, url: str, start: int, stop: int, begin: Callable[[int], Iterator[bytes]]) -> Iterator[bytes]:
        """Bytes `[start, stop)`; `begin(at)` yields what stands from `at` on, until it is interrupted."""
        at, failures, since = start, 0, start
        while at < stop:
            try:
                for piece in begin(at):
                    chunk = piece[: stop - at]
                    at += len(chunk)
                    yield chunk
                    if at == stop:
                        return
                raise Interrupted(f"the answer ends at byte {at}; {stop} bytes are wanted")
            except Interrupted as error:
                failures, since = (1, at) if at - since >= STEP else (failures + 1, since)
                self.wait(url, failures, error)


def pause(seconds: float) -> None:
    """Sleep; a name of its own, so that a test need not."""
    time.sleep(seconds)
