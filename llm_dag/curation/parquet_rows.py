"""Parquet files whose text is ready: every row, and one row again by its number.

Row groups are read in batches of some megabytes, never whole. A row group that cannot be read to its end is one row
with the reason `corrupt_rows`, whose length says how many rows are lost; reading goes on with the next.
"""

from __future__ import annotations

import datetime
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_dag.config.source import Rows
from llm_dag.curation.row_values import RowsError, described, text_of
from llm_dag.curation.warc import Capture

BATCH_BYTES = 8 << 20
BATCH_ROWS = 128  # at most: one long text that many rows share counts once in the size of a row group
BUFFER = 1 << 20  # bytes of a column that are read ahead
WANTED = {"text": "text", "id": "text or whole numbers", "url": "text", "date": "text, a date or a time"}


class ParquetRows:
    """The rows of a file. Raises RowsError for a file that is no Parquet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise RowsError(f"{path}: no Parquet file ({_first_line(error)}); a Parquet file is wanted") from None
        groups = [self._file.metadata.row_group(index) for index in range(self._file.metadata.num_row_groups)]
        self._sizes = [group.num_rows for group in groups]
        self._bytes = [group.total_byte_size for group in groups]
        self._starts = [0, *accumulate(self._sizes)]
        self._reading: Iterator[tuple[int, pa.RecordBatch]] = iter(())
        self._from, self._held, self._group = 0, pa.array([], pa.large_binary()), -1

    def captures(self, columns: Rows) -> Iterator[Capture]:
        """Every row as a capture. Raises RowsError for a column that is missing or has another type."""
        names = {key: getattr(columns, key) for key in WANTED if getattr(columns, key)}
        for key, name in names.items():
            self._check(key, name)
        for group, size in enumerate(self._sizes):
            start = done = self._starts[group]
            try:
                for at, batch in self._batches(group, list(names.values())):
                    rows = {key: _values(batch, name) for key, name in names.items()}
                    for index in range(len(batch)):
                        values = {key: column[index] for key, column in rows.items()}
                        yield described(Capture(at + index, 1, "row"), values, columns)
                    done = at + len(batch)
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                yield Capture(done, start + size - done, "row", field=columns.text, problem="corrupt_rows")

    def text_at(self, row: int, field: str) -> tuple[bytes, int]:
        """(text as UTF-8, characters replaced) of a row; nothing where it holds no text or is there no more."""
        if not 0 <= row < self._starts[-1]:
            return b"", 0
        try:
            while not self._from <= row < self._from + len(self._held):
                self._forward(row, field)
        except (pa.ArrowException, OSError, StopIteration):
            self._group, self._held = -1, self._held[:0]
            return b"", 0
        return text_of(self._held[row - self._from].as_py())[:2]

    def close(self) -> None:
        self._file.close()

    def _forward(self, row: int, field: str) -> None:
        """Hold the next batch of the row group that has the row, from its start where that lies behind."""
        group = bisect_right(self._starts, row) - 1
        if group != self._group or row < self._from:
            self._group, self._reading = group, self._batches(group, [field])
        self._from, batch = next(self._reading)
        self._held = _binary(_column(batch, field))

    def _batches(self, group: int, names: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(number of the first row, rows) of a row group in turn."""
        mean = max(1, self._bytes[group] // max(1, self._sizes[group]))
        rows, at = max(1, min(BATCH_ROWS, BATCH_BYTES // mean)), self._starts[group]
        for batch in self._file.iter_batches(rows, row_groups=[group], columns=names, use_threads=False):
            yield at, batch
            at += len(batch)

    def _check(self, key: str, name: str) -> None:
        schema = self._file.schema_arrow
        kind = _kind(schema, name)
        if kind is None:
            empty = "" if key == "text" else f", or set source.{key}= where there is none"
            found = ", ".join(schema.names) or "none"
            raise RowsError(f"{self.path}: no column {name} (source.{key}); it has {found}; name one of them{empty}")
        if not _readable(kind, key):
            raise RowsError(f"{self.path}: the column {name} (source.{key}) holds {kind}; {WANTED[key]} is wanted")


def _kind(schema: pa.Schema, name: str) -> pa.DataType | None:
    """The type of a column, or of a field inside one (`metadata.url`); None where there is not exactly one."""
    if name in schema.names:
        return schema.field(name).type if schema.names.count(name) == 1 else None
    outer, _, inner = name.partition(".")
    kind = _kind(schema, outer) if inner else None
    return _kind(pa.schema(list(kind)), inner) if kind is not None and pa.types.is_struct(kind) else None


def _readable(kind: pa.DataType, key: str) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if _is_text(kind) or pa.types.is_null(kind):
        return True
    if key == "date":
        return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_integer(kind))
    return key == "id" and bool(pa.types.is_integer(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name in batch.schema.names:
        column = batch.column(name)
    else:
        outer, _, inner = name.partition(".")
        column = pc.struct_field(batch.column(outer), inner.split("."))
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _binary(column: pa.Array) -> pa.Array:
    """Texts as bytes: what is no UTF-8 would be an error of the whole batch."""
    wide = column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column
    return wide.cast(pa.large_binary())


def _values(batch: pa.RecordBatch, name: str) -> list[Any]:
    column = _column(batch, name)
    if _is_text(column.type) or pa.types.is_null(column.type):
        values: list[Any] = _binary(column).to_pylist()
        return values
    if pa.types.is_timestamp(column.type):
        seconds = column.cast(pa.timestamp("s", column.type.tz), safe=False).cast(pa.int64())
        return list(map(_instant, seconds.to_pylist()))
    return list(column.cast(pa.string()).to_pylist())


def _instant(seconds: int | None) -> str | None:
    """Seconds since 1970 as WARC writes a date; None where Python knows no such year."""
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC) if seconds is not None else None
    except (ValueError, OverflowError, OSError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
