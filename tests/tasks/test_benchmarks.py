"""Benchmark files: what an item's text is, and errors that name file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_dag.store.errors import StoreError
from llm_dag.tasks.benchmarks import BenchmarkItem, read_benchmarks

GOOD = {"task": "colours", "question": "Which colour has the sky?", "answer": "blue"}


def written(folder: Path, *lines: object) -> str:
    path = folder / "items.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return str(path)


def test_items_are_numbered_within_their_task(tmp_path: Path) -> None:
    chosen = {"task": "pick", "question": "Which is even?", "choices": ["three", "four"], "answer": 1}
    items = list(read_benchmarks([written(tmp_path, GOOD, "", chosen, GOOD)]))
    assert items == [
        BenchmarkItem("colours", 0, "Which colour has the sky?\nblue"),
        BenchmarkItem("pick", 0, "Which is even?\nthree\nfour"),
        BenchmarkItem("colours", 1, "Which colour has the sky?\nblue"),
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("{", "no JSON"),
        ("[1]", "a JSON list"),
        ('{"task": ' + "9" * 5000 + "}", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ({**GOOD, "task": ""}, '"task"'),
        ({"task": "t", "answer": "a"}, '"question"'),
        ({"task": "t", "question": "q"}, '"answer"'),
        ({**GOOD, "choices": "a b"}, '"choices"'),
        ({**GOOD, "choices": ["a"], "answer": 3}, '"answer": 3'),
    ],
)
def test_a_malformed_line_is_an_error_that_names_it(tmp_path: Path, line: object, found: str) -> None:
    name = written(tmp_path, GOOD, line)
    with pytest.raises(StoreError) as error:
        list(read_benchmarks([name]))
    assert f"{name}:2: found" in str(error.value)
    assert found in str(error.value)
    assert "wanted" in str(error.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere\.jsonl"):
        list(read_benchmarks([str(tmp_path / "nowhere.jsonl")]))


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\xfe\n")
    with pytest.raises(StoreError, match=r"items\.jsonl:2: found bytes that are not UTF-8"):
        list(read_benchmarks([str(path)]))
