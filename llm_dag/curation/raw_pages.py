"""The pages of a crawl: its WARC files, and an index of every capture in them.

`python_docs` renders its pages and writes one WARC file a shard; `warc` refers to the files where they lie. Both are
then read by the same reader. Every response, resource and revisit record, and every damaged place, has one row in
`pages/<shard>.parquet` and one verdict; a shard is a run of consecutive rows, so a file that is appended to the crawl
changes the last shard only. Cost: one pass over the WARC files; memory: one shard's rows, and 16 bytes for each page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_dag.config.places import resolve
from llm_dag.config.source import PythonDocs
from llm_dag.curation import canaries, listing, warc
from llm_dag.curation.python_docs import site
from llm_dag.curation.warc_writer import write_pages
from llm_dag.ledger import VerdictWriter, document_id, write_table
from llm_dag.store.canonical import file_digest
from llm_dag.store.work import Work

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("date", pa.string(), nullable=False),
        pa.field("warc", pa.string(), nullable=False),  # the file in data/
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("status", pa.int32()),
        pa.field("content_type", pa.string(), nullable=False),
        pa.field("charset", pa.string(), nullable=False),
        pa.field("encodings", pa.string(), nullable=False),  # transfer and content codings to undo, outermost first
        pa.field("payload_digest", pa.string(), nullable=False),  # of the bytes that are there, in WARC's notation
        pa.field("payload_bytes", pa.int64(), nullable=False),
        pa.field("truncated", pa.string(), nullable=False),  # why the crawler cut the record short, if it did
    ]
)
HTML = ("text/html", "application/xhtml+xml")
NAMED = 3  # files that a message names
_LOOKS_LIKE_HTML = re.compile(
    rb"^\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)


@dataclass(frozen=True)
class File:
    """One WARC file of the crawl: its name in `data/`, its digest, and where it is read."""

    name: str
    digest: str
    path: Path


def build(work: Work) -> None:
    """Write or refer to the WARC files, index every capture, and say which are pages."""
    dump = work.config.dump
    files = _rendered(work) if isinstance(work.config, PythonDocs) else _referenced(work)
    kinds: Counter[str] = Counter()
    clashes: Counter[str] = Counter()
    rows = _identified(_captures(files, kinds), dump, clashes)
    kept = 0
    work.progress.start("pages", None, "pages")
    for number, shard in enumerate(_batched(rows, work.config.shard_documents)):
        name = f"{number:05d}"
        counts = _write_shard(work, name, shard)
        kept += counts["documents_kept"]
        work.progress.update(int(work.metrics["documents_in"]))
    if not kept:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "no record at all"
        first = ", ".join(file.name.removeprefix("warc/") for file in files[:NAMED])
        more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        raise listing.SourceError(
            f"source {work.config.kind}: {first}{more}: no HTML page with status 200; found {found}. "
            "WARC files with response records are wanted (WET and WAT files hold no pages)"
        )
    work.metrics |= {f"records/{kind}": count for kind, count in sorted(kinds.items())}
    work.metrics |= {"files": len(files), "repeated_record_ids": clashes.total()}


def _rendered(work: Work) -> list[File]:
    """Render the documentation site and write it as WARC, one file a shard."""
    config = work.config
    made = work.input("crawl_listing")
    listed = listing.read(made.path("listing.parquet"))
    present = listing.rows(listing.subjects(config.distributions))
    if present != listed:
        changed = [row["name"] for row in present if row not in listed] or [row["name"] for row in listed]
        raise listing.SourceError(
            f"{', '.join(changed)}: what is installed has changed since it was listed, under the same versions, so "
            f"crawl_listing counts as fresh; remove the folder {made.location} and run crawl_listing again"
        )
    origins = [row["name"].replace("==", " ") for row in listed]
    pages = site.pages(config.distributions, config.first, config.max_pages, origins)
    known = canaries.read(resolve(config.canaries)) if config.canaries else []
    write_table(canaries.fates(known, config.dump), work.data("canaries.parquet"))
    files = []
    for number, shard in enumerate(_batched(iter(canaries.mixed(pages, known)), config.shard_documents)):
        name = f"warc/{number:05d}.warc.gz"
        path = work.data(name)
        write_pages(path, shard)
        files.append(File(name, file_digest(path), path))
    return files


def _referenced(work: Work) -> list[File]:
    """Refer to the listed WARC files where they lie."""
    listed = {one.digest: one for one in listing.files(work.config.files, work.digest_of)}
    files = []
    for row in listing.read(work.input("crawl_listing").path("listing.parquet")):
        if row["digest"] not in listed:
            raise listing.SourceError(f"{row['name']} has changed since it was listed; run crawl_listing again")
        path = Path(listed[row["digest"]].path)
        work.reference(f"warc/{row['name']}", f"file://{path}", row["digest"], row["bytes"])
        files.append(File(f"warc/{row['name']}", row["digest"], path))
    write_table(canaries.fates([], work.config.dump), work.data("canaries.parquet"))
    return files


def _captures(files: Iterable[File], kinds: Counter[str]) -> Iterator[tuple[File, warc.Capture]]:
    """The captures that get a row, in file order; `kinds` counts every record."""
    for file in files:
        for capture in warc.captures(file.path):
            kinds[capture.kind] += 1
            if capture.problem or capture.kind in warc.PAGES:
                yield file, capture


def _identified(
    found: Iterable[tuple[File, warc.Capture]], dump: str, clashes: Counter[str]
) -> Iterator[tuple[str, File, warc.Capture]]:
    """Each capture with its doc_id. A record id that another record has already is counted and not relied on."""
    seen: set[bytes] = set()
    for file, capture in found:
        doc_id = document_id(dump, capture.record_id) if capture.record_id else ""
        if not doc_id or bytes.fromhex(doc_id) in seen:
            clashes[doc_id] += bool(doc_id)
            doc_id = document_id(dump, file.digest, capture.offset)
        seen.add(bytes.fromhex(doc_id))
        yield doc_id, file, capture


def _write_shard(work: Work, name: str, shard: Iterable[tuple[str, File, warc.Capture]]) -> dict[str, int]:
    verdicts = VerdictWriter({})
    columns: dict[str, list[object]] = {field: [] for field in SCHEMA.names}
    for row, (doc_id, file, capture) in enumerate(shard):
        values = _row(doc_id, file, capture)
        for field, column in columns.items():
            column.append(values[field])
        verdicts.add(doc_id, row, reason=reason(capture))
    paths = {kind: f"{kind}/{name}.parquet" for kind in ("pages", "verdicts")}
    write_table(pa.table(columns, schema=SCHEMA), work.data(paths["pages"]))
    counts = verdicts.write(work.data(paths["verdicts"]))
    for key, value in counts.items():
        work.metrics[key] = work.metrics.get(key, 0) + value
    work.declare_shard(name, list(paths.values()), counts)
    return counts


def _row(doc_id: str, file: File, capture: warc.Capture) -> dict[str, object]:
    sha1 = hashlib.sha1(capture.payload, usedforsecurity=False).digest()
    return {
        "doc_id": doc_id,
        "url": capture.url,
        "date": capture.date,
        "warc": file.name,
        "offset": capture.offset,
        "length": capture.length,
        "record_id": capture.record_id,
        "status": capture.status,
        "content_type": capture.content_type,
        "charset": capture.charset,
        "encodings": capture.encodings,
        "payload_digest": f"sha1:{base64.b32encode(sha1).decode()}",
        "payload_bytes": len(capture.payload),
        "truncated": capture.truncated,
    }


def reason(capture: warc.Capture) -> str:
    """Why a capture is not a page; empty for an HTML page with status 200."""
    if capture.problem:
        return capture.problem
    if capture.kind == "revisit":
        return "revisit"
    if not re.match(r"https?://", capture.url, re.IGNORECASE):
        return "not_http"
    if capture.kind == "response" and capture.status != 200:
        return "redirect" if capture.status and 300 <= capture.status < 400 else "http_status"
    if not capture.payload:
        return "no_body"
    if capture.content_type:
        return "" if capture.content_type in HTML else "not_html"
    return "" if capture.encodings or _LOOKS_LIKE_HTML.match(capture.payload[:4096]) else "not_html"


def _batched(items: Iterator[Any], size: int) -> Iterator[Iterator[Any]]:
    """Runs of `size` items, each of which is used up before the next begins: a shard's pages are never held at once."""
    for first in items:
        yield chain([first], islice(items, size - 1))
