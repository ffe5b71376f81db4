"""Data sets whose text is ready (FineWeb, C4 and their like) as captures of the page index.

A row of a Parquet file or a line of JSON is a capture whose payload is its text, so that the index, the verdicts and
every later step are those of a crawl. Its place is the row's number, or the line's byte offset and length in the
decompressed file, and `field` is the column of the text: with the file, that is enough to find the text again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llm_dag.config.source import Jsonl, Rows
from llm_dag.curation import json_lines
from llm_dag.curation.parquet_rows import ParquetRows
from llm_dag.curation.row_values import RowsError
from llm_dag.curation.warc import Capture, payload_digest
from llm_dag.ledger import document_id
from llm_dag.store.artifact import Artifact

KINDS = ("row", "line")  # of a Parquet file, of JSON lines


class Reading:
    """Reads the files of a source, and knows at the end which of the named columns were in none of its lines."""

    def __init__(self, columns: Rows) -> None:
        self._columns = columns
        self._met: dict[str, str] = {}

    def captures(self, path: Path, url: str = "") -> Iterator[Capture]:
        """Every row of a file in its order, those without a text too. Raises RowsError for a file of another kind."""
        if isinstance(self._columns, Jsonl):
            yield from json_lines.captures(path, self._columns, self._met)
            return
        rows = ParquetRows(path)
        try:
            yield from rows.captures(self._columns)
        finally:
            rows.close()

    def check(self) -> None:
        """Raises RowsError for a key of the configuration that no line has: JSON lines have no schema to say it."""
        for key in ("text", "id", "url", "date"):
            name = getattr(self._columns, key)
            if name and "" in self._met and key not in self._met:
                empty = "" if key == "text" else f", or set source.{key}= where there is none"
                raise RowsError(
                    f"source.{key}={name}: no line has this key; the first has {self._met[''] or 'none'}; name one of "
                    f"them{empty}"
                )


class Naming:
    """The ids of rows that have none of their own, or one that another row has already."""

    def __init__(self, dump: str) -> None:
        self._dump = dump
        self._repeated: dict[bytes, int] = {}

    def doc_id(self, row: Capture, taken: set[bytes]) -> str:
        """(dump, URL, text digest, ordinal among the rows that are equal in these): the same in any order of files."""
        parts = (self._dump, row.url, payload_digest(row.payload))
        first = document_id(*parts, 0)
        key = bytes.fromhex(first)
        if key not in taken:
            return first
        ordinal = self._repeated.get(key, 1)
        self._repeated[key] = ordinal + 1
        return document_id(*parts, ordinal)


def addressed(row: Capture, dump: str, doc_id: str) -> Capture:
    """A row of a data set without URLs, with one that a takedown rule can name and no site has (RFC 2606)."""
    return replace(row, url=f"https://rows.invalid/{dump}/{doc_id}")


class Texts:
    """The texts of indexed rows. Rows that follow each other cost one pass over their files."""

    def __init__(self, pages: Artifact) -> None:
        self._pages = pages
        self._file = ""
        self._reader: ParquetRows | json_lines.Lines | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_pages": self._pages, "_file": "", "_reader": None}  # another process opens files of its own

    def fetch(self, page: Mapping[str, Any]) -> tuple[bytes, int]:
        """(text as UTF-8, characters replaced) at the place of a page; nothing where there is no text.

        What comes back may be another text than was indexed: compare its digest.
        """
        if self._reader is None or self._file != page["warc"]:
            if self._reader is not None:
                self._reader.close()
            path = self._pages.path(page["warc"])
            self._reader = ParquetRows(path) if page["kind"] == "row" else json_lines.Lines(path)
            self._file = page["warc"]
        if isinstance(self._reader, ParquetRows):
            return self._reader.text_at(page["offset"], page["field"]) if page["length"] == 1 else (b"", 0)
        return json_lines.text_at(self._reader, page["offset"], page["length"], page["field"])
