"""The ledger: one verdict row for each document that a step judged, and the text shards they point into.

A verdict row is `doc_id, row, kept, reason, <each measured score>`; `row` is the document's row in the shard that was
judged. Both doc_ids are compared while reading, so a verdict can never be applied to another document's text.
Files are written to a temporary name and renamed; bytes depend on the rows alone (one row group size, one codec, no
clock).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_dag.store.errors import StoreError

VERDICT_FIELDS: tuple[pa.Field, ...] = (
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("row", pa.int64(), nullable=False),
    pa.field("kept", pa.bool_(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
)

TEXT_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("date", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)

ROW_GROUP = 5_000


class LedgerError(StoreError):
    """Verdicts and the shard that they judge do not belong together."""


def document_id(*parts: str | int) -> str:
    """32 hex digits of blake2b-128 over length-prefixed parts: (dump, WARC-Record-ID), or (dump, digest, offset)."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        piece = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(piece).to_bytes(8, "big"))
        digest.update(piece)
    return digest.hexdigest()


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file atomically; equal tables give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, partial, compression="zstd", row_group_size=ROW_GROUP)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _extended(schema: pa.Schema, further: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema with further columns. Raises ValueError for a name that it has already."""
    if taken := further.keys() & set(schema.names):
        raise ValueError(f"columns {sorted(taken)} are the ledger's own; choose other names")
    return pa.schema([*schema, *(pa.field(name, kind) for name, kind in further.items())])


class VerdictWriter:
    """Collects the verdicts of one shard and counts them.

    `scores` gives the type of each measured score; a score that was not measured for a document is null.

        verdicts = VerdictWriter({"language": pa.string(), "language_score": pa.float32()})
        verdicts.add(document.doc_id, document.row, reason="language", language="fr", language_score=0.98)
        counts = verdicts.write(shard.write("verdicts"))
    """

    def __init__(self, scores: Mapping[str, pa.DataType]) -> None:
        self.schema = _extended(pa.schema(VERDICT_FIELDS), scores)
        self._columns: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        self._scores = tuple(scores)
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._columns["doc_id"])

    def add(self, doc_id: str, row: int, *, reason: str = "", **scores: Any) -> None:
        """Judge one document: an empty `reason` keeps it. Raises KeyError for a score that was not declared."""
        unknown = scores.keys() - set(self._scores)
        if unknown:
            raise KeyError(f"undeclared scores {sorted(unknown)}; declared are {list(self._scores)}")
        columns = self._columns
        columns["doc_id"].append(doc_id)
        columns["row"].append(row)
        columns["kept"].append(not reason)
        columns["reason"].append(reason)
        for name in self._scores:
            columns[name].append(scores.get(name))
        if reason:
            self.dropped[reason] += 1

    def counts(self) -> dict[str, int]:
        """Documents in, kept, dropped, and dropped for each reason: what a step returns as its metrics."""
        dropped = self.dropped.total()
        by_reason = {f"dropped/{reason}": self.dropped[reason] for reason in sorted(self.dropped)}
        return {
            "documents_in": len(self),
            "documents_kept": len(self) - dropped,
            "documents_dropped": dropped,
            **by_reason,
        }

    def write(self, path: Path) -> dict[str, int]:
        """Write the shard's verdicts and return `counts()`."""
        write_table(pa.table(self._columns, schema=self.schema), path)
        return self.counts()


def read_verdicts(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The verdicts of one shard, in the order in which they were judged."""
    return pq.read_table(path, columns=list(columns) if columns else None, partitioning=None)


@dataclass(frozen=True)
class Document:
    """One kept document of a text shard; `extra` holds the shard's further columns."""

    doc_id: str
    row: int
    url: str
    date: str
    text: str
    extra: Mapping[str, Any]


def kept_rows(judged: pa.Table, verdicts: pa.Table, where: str) -> pa.Table:
    """The rows of `judged` that `verdicts` kept, with their row numbers as a column `row`.

    Raises:
        LedgerError: a verdict points outside the shard, or to a row with another doc_id.
    """
    rows = verdicts.column("row")
    if len(rows) and (pc.max(rows).as_py() >= len(judged) or pc.min(rows).as_py() < 0):
        outside = pc.max(rows).as_py() if pc.min(rows).as_py() >= 0 else pc.min(rows).as_py()
        raise LedgerError(f"{where}: a verdict points to row {outside} of a shard with {len(judged)}")
    found = judged.take(rows)
    equal = pc.equal(found.column("doc_id"), verdicts.column("doc_id"))
    if len(rows) and not pc.all(equal).as_py():
        at = pc.index(equal, False).as_py()
        raise LedgerError(
            f"{where}: verdict {at} judges {verdicts['doc_id'][at]}, but row {rows[at]} holds {found['doc_id'][at]}"
        )
    return found.append_column("row", rows).filter(verdicts.column("kept"))


def read_kept(text: Path, verdicts: Path | None = None) -> pa.Table:
    """A text shard's rows (all, or those that a later step's verdicts kept) with a column `row`."""
    judged = pq.read_table(text, partitioning=None)
    if verdicts is None:
        return judged.append_column("row", pa.array(range(len(judged)), pa.int64()))
    return kept_rows(judged, read_verdicts(verdicts, ["doc_id", "row", "kept"]), str(verdicts))


def documents(text: Path, verdicts: Path | None = None) -> Iterator[Document]:
    """The documents of a text shard, or only those that a later step's verdicts kept, in shard order."""
    for batch in read_kept(text, verdicts).to_batches(max_chunksize=1_000):
        for values in batch.to_pylist():
            yield Document(
                doc_id=values.pop("doc_id"),
                row=values.pop("row"),
                url=values.pop("url"),
                date=values.pop("date"),
                text=values.pop("text"),
                extra=values,
            )


class TextWriter:
    """Collects the documents of one text shard; `extra` gives further columns after `TEXT_SCHEMA`."""

    def __init__(self, extra: Mapping[str, pa.DataType] | None = None) -> None:
        self.schema = _extended(TEXT_SCHEMA, extra or {})
        self._columns: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        self.characters = 0

    def __len__(self) -> int:
        return len(self._columns["doc_id"])

    def add(self, doc_id: str, url: str, date: str, text: str, **extra: Any) -> None:
        """Add one document. Raises KeyError for an undeclared or a missing column."""
        values = {"doc_id": doc_id, "url": url, "date": date, "text": text, **extra}
        if values.keys() != self._columns.keys():
            raise KeyError(f"columns {sorted(values)} given, {sorted(self._columns)} wanted")
        for name, value in values.items():
            self._columns[name].append(value)
        self.characters += len(text)

    def write(self, path: Path) -> None:
        """Write the shard."""
        write_table(pa.table(self._columns, schema=self.schema), path)
