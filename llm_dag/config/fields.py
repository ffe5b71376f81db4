"""What a schema field may say beyond its type, and how a schema says what is wrong with its values.

A schema is a dataclass of one node of conf/; its fields have no values (`MISSING`), because values live in conf/ alone.

    @dataclass
    class Gopher:
        min_words: int = MISSING
        lists: str = path()
        language: str = as_before("en")
        max_loss: float = gate()

        def problems(self) -> Iterator[Problem]:
            yield from at_least("min_words", self.min_words, 0)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

PATH = "llm_dag.path"
URLS = "llm_dag.urls"
AS_BEFORE = "llm_dag.as_before"
GATE = "llm_dag.gate"


def path() -> Any:
    """A field that holds a path, a glob, or a list of them: it enters a recipe as the digests of the files."""
    return field(default=MISSING, metadata={PATH: True})


def paths(urls: bool = False, new: bool = False) -> Any:
    """A field that holds a list of paths or globs; one that is `new` does not enter a recipe while it is empty.

    With `urls`, URLs may stand beside them: a URL enters a recipe as it is written, no configuration asks the network.
    """
    return field(default_factory=list, metadata={PATH: True, URLS: urls, **({AS_BEFORE: []} if new else {})})


def as_before(value: Any) -> Any:
    """A field that does not enter a recipe while it has `value`: so a new knob makes nothing stale."""
    return field(default=MISSING, metadata={AS_BEFORE: value})


def gate() -> Any:
    """A field that only a check compares with: it decides what may be opened, not what is made.

    It enters no recipe. A check sees its present value, and runs again when that changes.
    """
    return field(default=MISSING, metadata={GATE: True})


@dataclass(frozen=True)
class Problem:
    """A value that makes no sense: its key (relative to the node), what was given, what is allowed."""

    key: str
    given: Any
    allowed: str


def at_least(key: str, given: float, low: float) -> Iterator[Problem]:
    """A problem if `given` is under `low`."""
    if given < low:
        yield Problem(key, given, f"{low} or more")


def within(key: str, given: float, low: float, high: float) -> Iterator[Problem]:
    """A problem if `given` is outside `[low, high]`."""
    if not low <= given <= high:
        yield Problem(key, given, f"a number from {low} to {high}")


def one_of(key: str, given: Any, allowed: Sequence[Any]) -> Iterator[Problem]:
    """A problem if `given` is none of `allowed`."""
    if given not in allowed:
        yield Problem(key, given, "one of " + ", ".join(map(str, allowed)))
