"""What a step is: a function over `Work`, its place in the graph, and the checks of what it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult
from llm_dag.store.errors import StoreError

if TYPE_CHECKING:
    from llm_dag.store.work import Work


@dataclass(frozen=True)
class Input:
    """An asset whose bytes a step opens.

    `dumps` is the key of the list of dumps to open where the step is not partitioned and the asset is.
    `via` opens what another input was made from: an evaluation reads the arrays that its model was trained on, also
    when the model is held and newer arrays exist.
    """

    asset: str
    dumps: str = ""
    via: str = ""


@dataclass(frozen=True)
class EarlierDumps:
    """Artifacts of earlier dumps that a partitioned step opens after those of its own dump, its own asset's included.

    `key` is the field of the step's node that lists the dumps. A node that says what it asks of one dump (`of_dump`)
    leaves there what stands before that dump, so that one configuration serves all of them; a list that leads in a
    circle is an error.
    """

    key: str
    assets: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """A check of an artifact; a blocking one must pass before the artifact is opened as an input.

    `run` has its module imported where it is called, so declaring a check costs nothing.
    """

    name: str
    run: Callable[[Artifact], CheckResult]
    blocking: bool = True

    @property
    def description(self) -> str:
        return (self.run.__doc__ or self.name).strip().split("\n")[0]


@dataclass(frozen=True)
class Step:
    """One asset of the graph."""

    name: str
    build: Callable[[Work], None]
    group: str
    node: str  # dotted key of its node in the identity config
    inputs: tuple[Input, ...] = ()
    partitioned: bool = False
    earlier: EarlierDumps | None = None
    checks: tuple[Check, ...] = ()
    held: bool = False
    kinds: frozenset[str] = frozenset()
    owners: tuple[str, ...] = ()
    pool: str = ""
    together: bool = False  # with compute.nodes > 1, every process that a launcher started takes part

    @property
    def description(self) -> str:
        return (self.build.__doc__ or "").strip()

    @property
    def blocking(self) -> tuple[str, ...]:
        return tuple(check.name for check in self.checks if check.blocking)


class Graph(Mapping[str, Step]):
    """The steps by name, each after its inputs. Raises StoreError for a missing input or a circle."""

    def __init__(self, steps: Iterable[Step]) -> None:
        waiting: dict[str, Step] = {}
        for step in steps:
            if step.name in waiting:
                raise StoreError(f"two steps are named {step.name}")
            names = [item.asset for item in step.inputs]
            if doubled := sorted({name for name in names if names.count(name) > 1}):
                raise StoreError(f"{step.name} opens {', '.join(doubled)} twice")
            if lost := [item.via for item in step.inputs if item.via and item.via not in names]:
                raise StoreError(f"{step.name} opens an input via {lost[0]}, which is not among its inputs")
            self._check_earlier(step)
            waiting[step.name] = step
        self._steps: dict[str, Step] = {}
        while waiting:
            ready = [step for step in waiting.values() if all(item.asset in self._steps for item in step.inputs)]
            if not ready:
                missing = {item.asset for step in waiting.values() for item in step.inputs} - waiting.keys()
                raise StoreError(
                    f"steps {sorted(waiting)} wait for {sorted(missing - self._steps.keys()) or 'each other'}"
                )
            for step in ready:
                self._steps[step.name] = waiting.pop(step.name)

    @staticmethod
    def _check_earlier(step: Step) -> None:
        """Raises StoreError if a step opens earlier dumps of what it may not depend on."""
        if step.earlier is None:
            return
        if not step.partitioned:
            raise StoreError(f"{step.name} opens earlier dumps, so it is of one dump itself: partitioned")
        before = [item.asset for item in step.inputs]
        if wrong := [asset for asset in step.earlier.assets if asset not in (*before, step.name)]:
            raise StoreError(f"{step.name} opens {wrong[0]} of earlier dumps, which is neither an input nor itself")

    def __getitem__(self, name: str) -> Step:
        return self._steps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)
