"""Benchmark items from local JSONL files: what decontamination looks for.

A line is `{"task", "question", "answer"}` with texts (an answer may be a whole number: the index of the right one of
`choices`, a list of texts). An item's text is its question, its choices and its answer, the question in one line: a
page that holds the question, or the whole item, shares its n-grams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_dag.store.canonical import named_files
from llm_dag.tasks.jsonl import bad_line, read_objects


@dataclass(frozen=True)
class BenchmarkItem:
    """One pinned item: `item` is its number within its task, from 0, in the order of the files."""

    task: str
    item: int
    text: str


def read_benchmarks(files: Iterable[str]) -> Iterator[BenchmarkItem]:
    """The items of files or globs, in order. Raises BadFile, naming file and line, at the first malformed line."""
    counts: dict[str, int] = {}
    for value in files:
        for _, path in named_files(value, "tasks.files"):
            for line, record in read_objects(path):
                task, text = item_text(record, path, line)
                yield BenchmarkItem(task, counts.get(task, 0), text)
                counts[task] = counts.get(task, 0) + 1


def item_text(record: dict[str, Any], path: Path, line: int) -> tuple[str, str]:
    """(task, text) of one record. Raises BadFile."""
    for name in ("task", "question"):
        value = record.get(name)
        if not isinstance(value, str) or not value.strip():
            raise bad_line(path, line, f'"{name}": {value!r}', f'a text under "{name}"')
    choices = record.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise bad_line(path, line, f'"choices": {str(choices)[:80]}', 'a list of texts under "choices"')
    answer = record.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool) and choices:
        if not 0 <= answer < len(choices):
            raise bad_line(path, line, f'"answer": {answer}', f"the index of one of {len(choices)} choices")
        answer = choices[answer]
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    if not isinstance(answer, str):
        raise bad_line(path, line, f'"answer": {answer!r}', 'a text, a number, or an index of "choices"')
    last = [answer] if answer not in choices else []
    question = " ".join(record["question"].split())
    return record["task"], "\n".join([question, *(part.strip() for part in [*choices, *last] if part.strip())])
