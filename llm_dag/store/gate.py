"""Checks before inputs: run those without a result by their present code and gates; refuse what has not passed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from llm_dag.store.artifact import Artifact
from llm_dag.store.canonical import digest
from llm_dag.store.code_identity import CodeIdentity, identify
from llm_dag.store.resolve import Resolution
from llm_dag.store.step import Check, Step
from llm_dag.store.store import CheckRecord, Store

BROKE = ""  # stands in the record of a check that raised, in the place of its code: no check has this identity


def open_inputs(store: Store, resolution: Resolution, code: Callable[..., CodeIdentity] = identify) -> None:
    """Raises BlockedInput if a blocking check of an input, by its present code, has neither passed nor been accepted.

    A run that was killed after its commit has left its artifact unchecked: it is checked here.
    """
    for found in resolution.inputs.values():
        for one in found:
            if one.artifact is not None:
                run_checks(store, one.step, one.artifact, one.gates, code)
                store.require(one.artifact, one.step, resolution.name)


def run_checks(
    store: Store,
    step: Step,
    artifact: Artifact,
    gates: Mapping[str, Any],
    code: Callable[..., CodeIdentity] = identify,
) -> dict[str, CheckRecord]:
    """Run the checks that have no result yet, whose code or gates changed, or that broke, and record the results."""
    known = store.checks(artifact)
    records = {}
    for check in step.checks:
        version = version_of(check, gates, code)
        record = known.get(check.name)
        if record is None or record.code != version or record.blocking != check.blocking:
            record = _run(check, artifact.under(gates), version)
        records[check.name] = record
    if records != known:
        store.record_checks(artifact, list(records.values()))
    return records


def version_of(check: Check, gates: Mapping[str, Any], code: Callable[..., CodeIdentity] = identify) -> str:
    """The identity of a check's code and of what it compares with: its result holds as long as this does."""
    version = code(check.run).digest
    return digest([version, dict(gates)]) if gates else version


def outdated(store: Store, one: Resolution, code: Callable[..., CodeIdentity] = identify) -> list[str]:
    """The checks of a resolved artifact that the next run runs again, whatever was recorded of them."""
    known = store.checks(one.artifact) if one.artifact else {}
    return [
        check.name
        for check in one.step.checks
        if check.name in known and known[check.name].code != version_of(check, one.gates, code)
    ]


def _run(check: Check, artifact: Artifact, version: str) -> CheckRecord:
    try:
        result = check.run(artifact)
        numbers = {name: float(value) for name, value in result.numbers.items()}
        shown = {name: value for name, value in numbers.items() if math.isfinite(value)}
        lost = "".join(f"; {name} is {numbers[name]}" for name in sorted(numbers.keys() - shown.keys()))
        passed, message = bool(result.passed), result.message + lost
    except Exception as error:  # a check that breaks has not passed; what broke is its message
        # What broke it may be the machine (memory, a full disk), so this is the result of no code: it runs again.
        passed, message, shown, version = False, f"the check broke: {type(error).__name__}: {error}", {}, BROKE
    return CheckRecord(check.name, passed, check.blocking, message, shown, version)
