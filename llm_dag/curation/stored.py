"""What is stored of indexed pages, wherever it lies: bodies of records, texts of rows, in the order of a shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from llm_dag.curation import data_rows, remote
from llm_dag.store.artifact import Artifact

Row = Mapping[str, Any]  # a page's row of the index: kind, warc, offset, length, field, and what else the caller needs


def payloads(pages: Artifact, rows: Iterable[Row]) -> Iterator[tuple[Row, bytes, int]]:
    """Each row of the page index with the payload at its place, and how many characters of it UTF-8 could not hold.

    Nothing says that it is the payload that was indexed: compare its digest. Memory: one run of records
    (`remote.RUN`), or one row group.
    """
    texts = data_rows.Texts(pages)
    for ready, group in groupby(rows, key=lambda row: row["kind"] in data_rows.KINDS):
        if ready:
            yield from ((row, *texts.fetch(row)) for row in group)
        else:
            yield from ((row, capture.payload, 0) for row, capture in remote.records(pages, group))
