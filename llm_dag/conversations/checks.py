"""Checks of `conversations`: well formed, nothing on both sides of the split, and enough held out to measure with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from llm_dag.conversations.dialogue import fault, normal
from llm_dag.store.checks import CheckResult
from llm_dag.tasks.jsonl import read_objects

if TYPE_CHECKING:
    from llm_dag.store.artifact import Artifact

CORPUS_KINDS = ("what", "arguments", "module")
MANY_QUESTIONS = 500
ENOUGH_HELDOUT = 50
SPLITS = ("train", "heldout")


def heldout_subjects_disjoint(artifact: Artifact) -> CheckResult:
    """No subject, no question and no answer of the held-out split stands in the train split."""
    train, heldout = (_records(artifact, split) for split in SPLITS)
    shared = {
        "subjects": len(_subjects(train) & _subjects(heldout)),
        "questions": len(_questions(train) & _questions(heldout)),
        "answers": len(_answers(train) & _answers(heldout)),
    }
    found = ", ".join(f"{count} {name}" for name, count in shared.items())
    return CheckResult(
        passed=not any(shared.values()),
        message=f"{found} stand in both splits; wanted none",
        numbers={f"shared_{name}": count for name, count in shared.items()},
    )


def conversations_well_formed(artifact: Artifact) -> CheckResult:
    """Sides take turns and end with the assistant, no text is empty, ids are unique, and there is a train split."""
    faults: list[str] = []
    ids: Counter[str] = Counter()
    for split in SPLITS:
        for number, record in enumerate(_records(artifact, split), start=1):
            ids[record["id"]] += 1
            if found := fault(record["messages"]):
                faults.append(f"{split}.jsonl:{number}: {found}")
    repeated = sum(count > 1 for count in ids.values())
    train = sum(1 for _ in _records(artifact, "train"))
    first = f" (first: {faults[0]})" if faults else ""
    return CheckResult(
        passed=not faults and not repeated and train > 0,
        message=f"{len(faults)} malformed{first}, {repeated} ids twice, {train} to train on; wanted 0, 0, 1 or more",
        numbers={"malformed": len(faults), "repeated_ids": repeated, "train": train},
    )


def enough_heldout(artifact: Artifact) -> CheckResult:
    """Where the corpus gave more than 500 questions, at least 50 of them are held out."""
    counts = {split: sum(r["kind"] in CORPUS_KINDS for r in _records(artifact, split)) for split in SPLITS}
    wanted = ENOUGH_HELDOUT if sum(counts.values()) > MANY_QUESTIONS else 0
    return CheckResult(
        passed=counts["heldout"] >= wanted,
        message=f"{counts['heldout']} of {sum(counts.values())} corpus questions are held out; wanted {wanted} or more",
        numbers={"corpus_questions_heldout": counts["heldout"], "corpus_questions_train": counts["train"]},
    )


def _records(artifact: Artifact, split: str) -> list[dict[str, Any]]:
    return [record for _, record in read_objects(artifact.path(f"{split}.jsonl"))]


def _subjects(records: list[dict[str, Any]]) -> set[str]:
    return {record["subject"] for record in records}


def _questions(records: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    return {
        tuple(normal(message["content"]) for message in record["messages"] if message["role"] == "user")
        for record in records
    }


def _answers(records: list[dict[str, Any]]) -> set[str]:
    messages = [message for record in records for message in record["messages"]]
    return {normal(message["content"]) for message in messages if message["role"] == "assistant"}
