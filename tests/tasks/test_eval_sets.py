"""The asset: both splits of the arithmetic problems, the benchmark items, and its check."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from llm_dag.config.tasks import Tasks
from llm_dag.store.work import Work
from llm_dag.tasks import checks, eval_sets


class Folder:
    """A folder that is read as an artifact is."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name


def built(folder: Path, **changed: object) -> tuple[Folder, dict[str, float]]:
    values = {
        "files": [],
        "canaries": "",
        "arithmetic_problems": 90,
        "arithmetic_largest": 9,
        "heldout": 0.25,
        "seed": 4,
        **changed,
    }
    config = Tasks(**values)  # type: ignore[arg-type]
    assert not list(config.problems())
    work = Work("eval_sets", None, config, None, {}, folder)  # type: ignore[arg-type]
    eval_sets.build(work)
    return Folder(folder / "out/data"), work.metrics


def test_splits_are_disjoint_and_every_problem_is_in_one(tmp_path: Path) -> None:
    artifact, metrics = built(tmp_path)
    result = checks.arithmetic_splits_disjoint(artifact)  # type: ignore[arg-type]
    assert result.passed, result.message
    assert result.numbers["heldout_problems"] + result.numbers["train_problems"] == 90
    assert 9 <= result.numbers["heldout_problems"] <= 40
    assert metrics["arithmetic_heldout"] >= result.numbers["heldout_problems"]


def test_the_check_sees_a_shared_problem_and_a_wrong_solution(tmp_path: Path) -> None:
    artifact, _ = built(tmp_path)
    first = artifact.path("arithmetic.jsonl").read_text().splitlines()[0]
    with artifact.path("arithmetic_train.jsonl").open("a") as stream:
        stream.write(first + "\n")
    assert checks.arithmetic_splits_disjoint(artifact).numbers["shared"] == 1  # type: ignore[arg-type]
    record = {**json.loads(first), "solution": "2 + 2 = 5."}
    artifact.path("arithmetic_train.jsonl").write_text(json.dumps(record) + "\n")
    assert checks.arithmetic_splits_disjoint(artifact).numbers["wrong"] == 1  # type: ignore[arg-type]


def test_bytes_repeat_and_every_knob_changes_them(tmp_path: Path) -> None:
    def written(name: str, **changed: object) -> bytes:
        return built(tmp_path / name, **changed)[0].path("arithmetic.jsonl").read_bytes()

    base = written("base")
    assert written("again") == base
    for key, value in {"arithmetic_problems": 60, "arithmetic_largest": 12, "heldout": 0.5, "seed": 5}.items():
        assert written(key, **{key: value}) != base, key


def test_benchmark_items_of_local_files_are_pinned(tmp_path: Path) -> None:
    for name in ("a", "b"):
        line = {"task": name, "question": f"What is {name}?", "answer": "a letter"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
    artifact, metrics = built(tmp_path / "work", files=[str(tmp_path / "*.jsonl")])
    assert pq.read_table(artifact.path("benchmarks.parquet")).to_pylist() == [
        {"task": "a", "item": 0, "text": "What is a?\na letter"},
        {"task": "b", "item": 0, "text": "What is b?\na letter"},
    ]
    assert metrics["benchmark_items"] == metrics["benchmark_tasks"] == 2


@pytest.mark.parametrize(("key", "value"), [("arithmetic_problems", -1), ("arithmetic_largest", 0), ("heldout", 1.0)])
def test_impossible_values_are_named(key: str, value: float) -> None:
    values = {"files": [], "arithmetic_problems": 9, "arithmetic_largest": 9, "heldout": 0.1, "seed": 4, key: value}
    assert [problem.key for problem in Tasks(**values).problems()] == [key]  # type: ignore[arg-type]
