"""How many documents each step of the curation kept, and why the others went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from llm_dag.evaluation.page.lineage import Node
from llm_dag.evaluation.page.wording import phrase

REASONS = 4  # shown for each step; the rest are one number


@dataclass(frozen=True)
class Reason:
    """Why a step dropped documents, and how many."""

    words: str
    dropped: int


@dataclass(frozen=True)
class Stage:
    """One step: documents in, kept and dropped over all its dumps; shares are of what the first step was given."""

    asset: str
    given: int
    kept: int
    dropped: int
    share: float
    share_dropped: float
    reasons: tuple[Reason, ...]
    balanced: bool  # in = kept + dropped


def funnel(nodes: list[Node]) -> list[Stage]:
    """The steps of one lineage that recorded how many documents they kept, in its order.

    The whole report may know a step twice (a held model was made from an earlier one); a dump is counted once.
    """
    totals: dict[str, Counter[str]] = {}
    counted: set[tuple[str, str | None]] = set()
    for node in nodes:
        known = (node.asset, node.partition) in counted
        if node.artifact is not None and "documents_kept" in node.artifact.metrics and not known:
            counted.add((node.asset, node.partition))
            counts = {name: int(number) for name, number in node.artifact.metrics.items() if _counts_documents(name)}
            totals.setdefault(node.asset, Counter()).update(counts)
    first = next((_given(counts) for counts in totals.values()), 0)
    return [_stage(asset, counts, first or 1) for asset, counts in totals.items()]


def _stage(asset: str, counts: Counter[str], first: int) -> Stage:
    given, kept, dropped = _given(counts), counts["documents_kept"], counts["documents_dropped"]
    by_reason = sorted(
        ((name.removeprefix("dropped/"), number) for name, number in counts.items() if name.startswith("dropped/")),
        key=lambda item: (-item[1], item[0]),
    )
    reasons = [Reason(phrase(name), number) for name, number in by_reason[:REASONS]]
    rest = sum(number for _, number in by_reason[REASONS:])
    if rest:
        reasons.append(Reason(f"{len(by_reason) - REASONS} other reasons", rest))
    return Stage(
        asset, given, kept, dropped, kept / first, dropped / first, tuple(reasons), balanced=given == kept + dropped
    )


def _given(counts: Counter[str]) -> int:
    return counts.get("documents_in", counts["documents_kept"] + counts["documents_dropped"])


def _counts_documents(name: str) -> bool:
    return name in ("documents_in", "documents_kept", "documents_dropped") or name.startswith("dropped/")
