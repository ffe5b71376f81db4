"""How steps and checks are declared: `@step(...)` over a function of `Work`, `@blocking` over one of `Artifact`."""

from __future__ import annotations

from collections.abc import Callable

from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult
from llm_dag.store.step import Check, EarlierDumps, Input, Step
from llm_dag.store.work import Work

OWNERS = ("team:llm-dag",)


def step(
    *,
    group: str,
    node: str,
    inputs: tuple[str | Input, ...] = (),
    partitioned: bool = False,
    earlier: EarlierDumps | None = None,
    checks: tuple[Check, ...] = (),
    held: bool = False,
    kinds: tuple[str, ...] = (),
    pool: str = "",
    together: bool = False,
) -> Callable[[Callable[[Work], None]], Step]:
    """Declare an asset; the function's name is the asset's, its docstring the description."""

    def declare(build: Callable[[Work], None]) -> Step:
        return Step(
            name=build.__name__,
            build=build,
            group=group,
            node=node,
            inputs=tuple(Input(item) if isinstance(item, str) else item for item in inputs),
            partitioned=partitioned,
            earlier=earlier,
            checks=checks,
            held=held,
            kinds=frozenset(kinds),
            owners=OWNERS,
            pool=pool,
            together=together,
        )

    return declare


def shown(run: Callable[[Artifact], CheckResult]) -> Check:
    """A check that people should see and that stops nothing."""
    return Check(run.__name__, run, blocking=False)


def blocking(run: Callable[[Artifact], CheckResult]) -> Check:
    """A check that must pass before the artifact is opened as an input."""
    return Check(run.__name__, run, blocking=True)
