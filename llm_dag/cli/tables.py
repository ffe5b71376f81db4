"""Tables that commands share."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from llm_dag.cli.session import Session
from llm_dag.store.gate import outdated
from llm_dag.store.resolve import Resolution, State

COLOURS = {
    State.FRESH: "green",
    State.HELD: "cyan",
    State.RESUME: "yellow",
    State.BUILD: "yellow",
    State.UNDECIDED: "magenta",
}
WORDS = {State.FRESH: "reuse", State.HELD: "held"}


def plan_table(session: Session, resolutions: Sequence[Resolution]) -> Table:
    """What a run would do with each asset, and why."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("asset", "would", "why"):
        table.add_column(name)
    for one in resolutions:
        again = outdated(session.store, one, session.resolver.code)
        refusals = session.store.refusals(one.artifact, one.step) if one.artifact else []
        blocked = [f"blocked by its check {reason}" for reason in refusals if reason.split(":")[0] not in again]
        checked = [f"checked again: {', '.join(again)}"] if again else []
        why = "; ".join([*one.reasons, *blocked, *checked])
        table.add_row(one.name, f"[{COLOURS[one.state]}]{WORDS.get(one.state, one.state.value)}[/]", escape(why))
    return table


def size(count: float) -> str:
    """Bytes as a person says them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
