"""The first steps of the graph over small crawls: WARC files written by hand, through a real store."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from llm_dag.assets import crawl, curation
from llm_dag.config.compose import compose
from llm_dag.progress import Silent
from llm_dag.store.artifact import Artifact
from llm_dag.store.build import materialize
from llm_dag.store.resolve import Resolver
from llm_dag.store.step import Graph
from llm_dag.store.store import Store

STEPS = ("crawl_listing", "raw_pages", "takedowns", "url_filtered", "extracted_text")
PROSE = "The library is open on weekdays, and anybody may borrow a book of their choice for four weeks at a time."


def record(
    url: str,
    body: bytes | str = f"<html><body><article><p>{PROSE}</p><p>{PROSE}</p></article></body></html>",
    *,
    kind: str = "response",
    status: str = "200 OK",
    headers: Sequence[str] = ("Content-Type: text/html; charset=utf-8",),
    record_id: str = "",
    line_end: str = "\r\n",
) -> bytes:
    """One WARC record, not compressed."""
    payload = body.encode() if isinstance(body, str) else body
    block = "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + payload
    head = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: {url}",
        "WARC-Date: 2024-03-01T12:00:00Z",
        *([f"WARC-Record-ID: <urn:uuid:{record_id}>"] if record_id else []),
        "Content-Type: application/http; msgtype=response",
        f"Content-Length: {len(block)}",
    ]
    return line_end.join([*head, "", ""]).encode() + block + b"\r\n\r\n"


def numbered(number: int, **more: Any) -> bytes:
    """A page of its own, by number."""
    return record(f"https://site.example/{number}", record_id=f"00000000-0000-0000-0000-{number:012d}", **more)


def write_warc(path: Path, records: Sequence[bytes]) -> Path:
    """A WARC file; gzipped record by record if its name says so."""
    packed = [gzip.compress(one, mtime=0) for one in records] if path.suffix == ".gz" else records
    path.write_bytes(b"".join(packed))
    return path


def build(store: Path, *overrides: str, until: str = "extracted_text") -> dict[str, Artifact]:
    """The artifacts of the first steps, up to `until`."""
    graph = Graph(
        [crawl.crawl_listing, crawl.raw_pages, crawl.takedowns, curation.url_filtered, curation.extracted_text]
    )
    config = compose(overrides)
    made = {}
    for name in STEPS[: STEPS.index(until) + 1]:
        resolver = Resolver(Store(str(store)), graph, config.identity)
        dump = config.identity.source.dump if graph[name].partitioned else None
        made[name] = materialize(resolver, name, dump, config.compute, Silent()).artifact
    return made


def rows(artifact: Artifact, kind: str) -> list[dict[str, Any]]:
    """All rows of a kind of shard file, in order."""
    return [row for name in artifact.names(f"{kind}/") for row in pq.read_table(artifact.path(name)).to_pylist()]


def from_files(*paths: Path, documents: int = 50_000) -> list[str]:
    """Overrides for a crawl of these files."""
    listed = ",".join(str(path) for path in paths)
    return ["source=warc", f"source.files=[{listed}]", f"source.shard_documents={documents}"]
