"""JSONL files: each line one JSON object, and an error that names the file and the line where one is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llm_dag.store.errors import StoreError

SURROGATE = re.compile("[\\ud800-\\udfff]")


class BadFile(StoreError):
    """A file holds something else than what its reader wants; the message names file, line, found and wanted."""


def bad_line(path: Path, line: int, found: str, wanted: str) -> BadFile:
    """The error for one line of a file."""
    return BadFile(f"{path}:{line}: found {found}; wanted {wanted}")


def parse_object(text: str, path: Path, line: int) -> dict[str, Any]:
    """One line as a JSON object. Raises BadFile for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_line(path, line, f"no JSON ({error})", "one JSON object a line") from None
    if not isinstance(value, dict):
        raise bad_line(path, line, f"a JSON {type(value).__name__}", "one JSON object a line")
    if "\\ud" in text.lower() and SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise bad_line(path, line, "half of a surrogate pair", "Unicode text, which can be written again")
    return value


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line) of every line that is not blank. Raises BadFile where the bytes are not UTF-8."""
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise bad_line(path, number, f"bytes that are not UTF-8 ({error.reason})", "UTF-8 text") from None
            if text:
                yield number, text


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of every line that is not blank. Raises BadFile."""
    for number, text in read_lines(path):
        yield number, parse_object(text, path, number)


def write_objects(path: Path, objects: Iterable[Mapping[str, Any]]) -> int:
    """Write one object a line, keys in the order given, and return how many there were."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for value in objects:
            stream.write(json.dumps(value, ensure_ascii=False) + "\n")
            count += 1
    return count
