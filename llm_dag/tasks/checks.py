"""Checks of `eval_sets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_dag.store.checks import CheckResult
from llm_dag.tasks.arithmetic import Problem, grade, problems_in
from llm_dag.tasks.jsonl import read_objects

if TYPE_CHECKING:
    from llm_dag.store.artifact import Artifact


def arithmetic_splits_disjoint(artifact: Artifact) -> CheckResult:
    """No arithmetic problem, in either order of its operands, stands in both splits, and every solution is right."""
    keys: dict[str, set[str]] = {}
    wrong = 0
    for name in ("arithmetic.jsonl", "arithmetic_train.jsonl"):
        keys[name] = set()
        for _, record in read_objects(artifact.path(name)):
            stated: list[Problem] = list(problems_in(record["solution"]))
            keys[name].update(problem.key for problem in stated)
            wrong += len(stated) != 1 or not grade(stated[0].answer, record["solution"])
    shared = keys["arithmetic.jsonl"] & keys["arithmetic_train.jsonl"]
    return CheckResult(
        passed=not shared and not wrong,
        message=f"{len(shared)} problems stand in both splits and {wrong} solutions are wrong; wanted 0 and 0",
        numbers={
            "shared": len(shared),
            "wrong": wrong,
            "heldout_problems": len(keys["arithmetic.jsonl"]),
            "train_problems": len(keys["arithmetic_train.jsonl"]),
        },
    )
