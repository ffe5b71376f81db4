"""The pages of a crawl: its WARC files, and an index of every capture in them.

`python_docs` renders its pages and writes one WARC file a shard; `warc` and `common_crawl` refer to the files where
they lie. All are then read by the same reader; a file elsewhere is fetched whole, one at a time, as a local copy that
may be kept (`compute.copies_gb`), because damage is looked past in both directions. `parquet` and `jsonl` refer to
their files too, and their rows are indexed like captures. Every response, resource and revisit record, every row, and
every damaged place has one row in `pages/<shard>.parquet` and one verdict; a shard is a run of consecutive rows, so a
file that is appended to the crawl changes the last shard only. Cost: one pass over the files; memory: one shard's rows,
and 82 bytes for each page (a set of digests).
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_dag.config.places import resolve
from llm_dag.config.source import PythonDocs, Rows
from llm_dag.curation import canaries, common_crawl, data_rows, listing, remote, warc
from llm_dag.curation.python_docs import site
from llm_dag.curation.warc_writer import write_pages
from llm_dag.ledger import VerdictWriter, document_id, write_table
from llm_dag.store.artifact import Artifact
from llm_dag.store.canonical import file_digest
from llm_dag.store.remote import Remote
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
        pa.field("robots", pa.string(), nullable=False),  # the response's X-Robots-Tag headers, one a line
        pa.field("kind", pa.string(), nullable=False),  # of the WARC record; `row` of Parquet, `line` of JSON
        pa.field("line", pa.int64()),  # number of a line of JSON, from 1
        pa.field("field", pa.string(), nullable=False),  # the column that holds the text of a row or line
    ]
)
HTML = ("text/html", "application/xhtml+xml")
NAMED = 3  # files that a message names
_LOOKS_LIKE_HTML = re.compile(
    rb"\s*+(?:<\?xml[^>]*+>\s*+)?(?:(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)


@dataclass(frozen=True)
class File:
    """One file of the crawl: its name in `data/`, what it is known by, and where it is read.

    One that lies elsewhere has a URL and its row of the listing, and a path only while it is read.
    """

    name: str
    digest: str
    path: Path | None
    url: str = ""
    row: Mapping[str, Any] | None = None


def build(work: Work) -> None:
    """Write or refer to the WARC files, index every capture, and say which are pages."""
    dump = work.config.dump
    files = _rendered(work) if isinstance(work.config, PythonDocs) else _referenced(work)
    kinds: Counter[str] = Counter()
    clashes: Counter[str] = Counter()
    reading = data_rows.Reading(work.config) if isinstance(work.config, Rows) else None
    rows = _identified(_captures(work, files, kinds, reading.captures if reading else warc.captures), dump, clashes)
    if reading and not work.config.url:
        rows = ((doc_id, file, data_rows.addressed(capture, dump, doc_id)) for doc_id, file, capture in rows)
    kept = 0
    work.progress.start("pages", None, "pages")
    for number, shard in enumerate(_batched(rows, work.config.shard_documents)):
        name = f"{number:05d}"
        counts = _write_shard(work, name, shard)
        kept += counts["documents_kept"]
        work.progress.update(int(work.metrics["documents_in"]))
    if reading:
        reading.check()
    if not kept:
        records = {kind: count for kind, count in kinds.items() if "/" not in kind}
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(records.items())) or "no record at all"
        first = ", ".join(file.name.partition("/")[2] for file in files[:NAMED])
        more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        if reading:
            dropped = sorted((key, work.metrics[key]) for key in work.metrics if key.startswith("dropped/"))
            reasons = ", ".join(f"{int(count)} {key.removeprefix('dropped/')}" for key, count in dropped)
            raise listing.SourceError(
                f"source {work.config.kind}: {first}{more}: no text in source.text={work.config.text}; found {found}"
                f"{f' ({reasons})' if reasons else ''}"
            )
        raise listing.SourceError(
            f"source {work.config.kind}: {first}{more}: no HTML page with status 200; found {found}. "
            "WARC files with response records are wanted (WET and WAT files hold no pages)"
        )
    work.metrics |= {kind if "/" in kind else f"records/{kind}": count for kind, count in sorted(kinds.items())}
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
    files = []
    places: dict[str, tuple[str, int]] = {}
    for number, shard in enumerate(_batched(iter(canaries.mixed(pages, known)), config.shard_documents)):
        name = f"warc/{number:05d}.warc.gz"
        path = work.data(name)
        offsets = write_pages(path, shard)
        files.append(File(name, file_digest(path), path))
        places |= {url: (files[-1].digest, offset) for url, offset in offsets.items()}
    write_table(canaries.fates(known, config.dump, places), work.data("canaries.parquet"))
    return files


def _referenced(work: Work) -> list[File]:
    """Refer to the listed files where they lie; to those elsewhere once they have been read."""
    folder = "rows" if isinstance(work.config, Rows) else "warc"
    rows = listing.read(work.input("crawl_listing").path("listing.parquet"))
    files = []
    local = {one.digest: one for one in listing.local(work.config, work.digest_of)}
    for row in rows:
        name, digest = f"{folder}/{row['name']}", listing.known_by(row["digest"], row["etag"], row["bytes"])
        if row["place"]:
            is_whole = "://" in row["place"]
            url = row["place"] if is_whole else common_crawl.address(work.compute.common_crawl, row["place"])
            files.append(File(name, digest, None, url, row))
        elif digest in local:
            path = Path(local[digest].path)
            work.reference(name, f"file://{path}", digest, row["bytes"])
            files.append(File(name, digest, path))
        else:
            raise listing.SourceError(f"{row['name']} has changed since it was listed; run crawl_listing again")
    write_table(canaries.fates([], work.config.dump, {}), work.data("canaries.parquet"))
    return files


def _captures(
    work: Work, files: Iterable[File], kinds: Counter[str], captures: Callable[[Path, str], Iterator[warc.Capture]]
) -> Iterator[tuple[File, warc.Capture]]:
    """The captures that get a row, in file order; `kinds` counts every record."""
    reader = Remote(work.progress.say)
    for file in files:
        with contextlib.ExitStack() as held:
            path = file.path or held.enter_context(_fetched(work, file, reader))
            for capture in captures(path, file.url):
                kinds[capture.kind] += 1
                if capture.digests:
                    kinds[f"digests/{capture.digests}"] += 1
                if capture.problem or capture.kind in (*warc.PAGES, *data_rows.KINDS):
                    yield file, capture


@contextlib.contextmanager
def _fetched(work: Work, file: File, reader: Remote) -> Iterator[Path]:
    """A local copy of a file elsewhere. Raises SourceError if it is not the one that was listed."""
    listed, made = file.row or {}, work.input("crawl_listing")
    state = reader.state(file.url)
    if (state.bytes, state.etag or listed["etag"]) != (listed["bytes"], listed["etag"]):
        raise _changed(file, f"{state.bytes} bytes, entity tag {state.etag or 'none'}", made)
    work.progress.say(f"reading {file.url} ({listed['bytes']:,} bytes)")
    with remote.copies(made, work.compute.copies_gb, reader).held(file.url, state) as copy:
        if listed["digest"] not in ("", copy.digest):
            raise _changed(file, f"sha256 {copy.digest}", made)
        work.reference(file.name, file.url, copy.digest, listed["bytes"])
        yield copy.path


def _changed(file: File, found: str, made: Artifact) -> listing.SourceError:
    row = file.row or {}
    wanted = f"sha256 {row['digest']}" if row["digest"] else f"entity tag {row['etag']}"
    return listing.SourceError(
        f"{file.url} has changed since it was listed: {found}; listed were {row['bytes']} bytes, {wanted}. If the new "
        f"file is wanted, remove the folder {made.location} and run crawl_listing again"
    )


def _identified(
    found: Iterable[tuple[File, warc.Capture]], dump: str, clashes: Counter[str]
) -> Iterator[tuple[str, File, warc.Capture]]:
    """Each capture with its doc_id. A record id that another record has already is counted and not relied on."""
    seen: set[bytes] = set()
    rows = data_rows.Naming(dump)
    for file, capture in found:
        doc_id = document_id(dump, capture.record_id) if capture.record_id else ""
        if not doc_id or bytes.fromhex(doc_id) in seen:
            clashes[doc_id] += bool(doc_id)
            placed = capture.problem or capture.kind not in data_rows.KINDS
            doc_id = document_id(dump, file.digest, capture.offset) if placed else rows.doc_id(capture, seen)
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
        "payload_digest": warc.payload_digest(capture.payload),
        "payload_bytes": len(capture.payload),
        "truncated": capture.truncated,
        "robots": capture.robots,
        "kind": capture.kind,
        "line": capture.line,
        "field": capture.field,
    }


def reason(capture: warc.Capture) -> str:
    """Why a capture is not a page; empty for an HTML page with status 200, and for a row with a text."""
    if capture.problem:
        return capture.problem
    if capture.kind in data_rows.KINDS:
        return ""
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
