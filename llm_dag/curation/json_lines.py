"""Files of JSON lines, plain, gzipped or compressed with zstd: every line, and one line again by its place.

A place is a byte offset into the decompressed file and a length. Reading goes forward: a later place in a compressed
file costs decompressing what lies between, an earlier one begins again. A line over `MAX_LINE` is passed over in steps
and never held. Of a compressed file that is damaged or cut, the lines before the damage are read (gzip may tell of it
some lines late); the rest is one row with the reason `corrupt_gzip`, `corrupt_zstd` or `clipped`, and length 0.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from llm_dag.config.source import Rows
from llm_dag.curation.row_values import RowsError, described, text_of
from llm_dag.curation.warc import Capture

MAX_LINE = 16 << 20  # bytes, its end included
MAX_OPENED = 1 << 20  # brackets and braces that open in a line; Python makes 500 MB of 16 MiB of empty objects
STEP = 1 << 16
DEEPEST = 100  # nested values; Python's parser recurses, and how far it may depends on who called it
BLANK = "blank"  # the kind of a line with nothing on it
_DAMAGE = (EOFError, OSError, zlib.error, pa.ArrowException)
_OTHERS = {
    b"PAR1": "a Parquet file, which source=parquet reads",
    b"WARC/": "a WARC file, which source=warc reads",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"PK\x03\x04": "a zip archive",
}


@dataclass(frozen=True)
class Line:
    """One line with its end, from 1; `content` is empty where there is a `problem`."""

    offset: int
    length: int
    number: int
    content: bytes
    problem: str = ""


class Lines:
    """The lines of a file. Raises RowsError for a file of another kind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._form, self._stream = _opened(path)
        self._offset = 0

    def __iter__(self) -> Iterator[Line]:
        number, start = 0, 0
        while True:
            number += 1
            try:
                content = self._stream.readline(MAX_LINE + 1)
                length = len(content)
                problem = "line_too_long" if length > MAX_LINE else ""
                while problem and content and content[-1:] != b"\n":
                    content = self._stream.readline(STEP)
                    length += len(content)
            except _DAMAGE as error:
                yield Line(start, 0, number, b"", _damage(error, self._form))
                return
            if not length:
                return
            self._offset = start + length
            yield Line(start, length, number, b"" if problem else content, problem)
            start += length

    def at(self, offset: int, length: int) -> bytes:
        """The bytes at a place; fewer where the file is not what it was."""
        try:
            if self._form == "plain":
                self._stream.seek(offset)
                return self._stream.read(length)
            if offset < self._offset:
                self._stream.close()
                _, self._stream = _opened(self._path)
                self._offset = 0
            while self._offset < offset and (passed := self._stream.read(min(STEP, offset - self._offset))):
                self._offset += len(passed)
            content = self._stream.read(length)
        except _DAMAGE as error:
            _damage(error, self._form)
            return b""
        self._offset += len(content)
        return content

    def close(self) -> None:
        self._stream.close()


def captures(path: Path, columns: Rows, met: dict[str, str]) -> Iterator[Capture]:
    """Every line of a file as a capture; `met` gets each configured column that a line has, and that line's keys.

    Raises:
        RowsError: the file is of another kind.
    """
    names = {key: getattr(columns, key) for key in ("text", "id", "url", "date") if getattr(columns, key)}
    lines = Lines(path)
    try:
        for line in lines:
            yield _capture(line, columns, names, met)
    finally:
        lines.close()


def _capture(line: Line, columns: Rows, names: dict[str, str], met: dict[str, str]) -> Capture:
    place = Capture(line.offset, line.length, "line", line=line.number, field=columns.text, problem=line.problem)
    if line.problem:
        return place
    row, problem = parsed(line.content, line.offset)
    if row is None:
        return replace(place, kind="line" if problem else BLANK, problem=problem)
    values = {key: value_at(row, name) for key, name in names.items()}
    for key, value in values.items():
        if value is not None and key not in met:
            met[key] = ", ".join(map(str, row))
    met.setdefault("", ", ".join(map(str, row)))
    return described(place, values, columns)


def text_at(lines: Lines, offset: int, length: int, field: str) -> tuple[bytes, int]:
    """(text as UTF-8, characters replaced) of the line at a place; nothing where it holds no text."""
    if not 0 < length <= MAX_LINE:
        return b"", 0
    row, _ = parsed(lines.at(offset, length), offset)
    return text_of(value_at(row, field))[:2] if row is not None else (b"", 0)


def parsed(content: bytes, offset: int) -> tuple[dict[str, Any] | None, str]:
    """(object, problem) of a line; neither for a blank one. A byte order mark at the start of a file is no part."""
    try:
        text = content.decode("utf-8" if offset else "utf-8-sig")
    except UnicodeDecodeError:
        return None, "not_utf8"
    if not text or text.isspace():
        return None, ""
    opened = content.count(b"[") + content.count(b"{")
    if opened > MAX_OPENED:
        return None, "json_too_large"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None, "bad_json"
    good = isinstance(value, dict) and (opened <= DEEPEST or not _too_deep(value))
    return (value, "") if good else (None, "bad_json")


def _too_deep(value: Any) -> bool:
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        inside = (inner for one in level for inner in (one.values() if isinstance(one, dict) else one))
        level, depth = [inner for inner in inside if isinstance(inner, dict | list)], depth + 1
    return bool(level)


def value_at(row: dict[str, Any], name: str) -> Any:
    """The value of a key, or of a key inside another (`metadata.url`); None where there is none."""
    if name in row:
        return row[name]
    outer, _, inner = name.partition(".")
    return value_at(row[outer], inner) if inner and isinstance(row.get(outer), dict) else None


def _damage(error: Exception, form: str) -> str:
    """The reason for damaged bytes. Raises an error of the system again, which is none of the file."""
    if form == "plain" or (isinstance(error, OSError) and error.errno is not None):
        raise error
    return "clipped" if isinstance(error, EOFError) or "runcated" in str(error) else f"corrupt_{form}"


def _opened(path: Path) -> tuple[str, IO[bytes]]:
    with path.open("rb") as stream:
        head = stream.read(8)
    for magic, found in _OTHERS.items():
        if head.startswith(magic):
            raise RowsError(f"{path}: {found}; a file of JSON lines is wanted, plain, gzipped or compressed with zstd")
    if head.startswith(b"\x1f\x8b"):
        return "gzip", cast(IO[bytes], gzip.open(path))
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd", io.BufferedReader(_Zstd(path), STEP)
    return "plain", path.open("rb")


class _Zstd(io.RawIOBase):
    """What a zstd file holds, as pyarrow decompresses it."""

    def __init__(self, path: Path) -> None:
        self._stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
