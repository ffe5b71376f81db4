"""Writing pages as WARC response records, one gzip member each; equal pages give equal bytes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from fastwarc import GzipWriter, WarcRecord, WarcRecordType

from llm_dag.curation.python_docs.site import EPOCH, Page

STATUS = {200: "OK", 301: "Moved Permanently", 302: "Found", 404: "Not Found", 410: "Gone"}
LEVEL = 6


def write_pages(path: Path, pages: Iterable[Page]) -> None:
    """Write a WARC file of a warcinfo record and one response for each page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        _write(stream, _info(path.name))
        for page in pages:
            _write(stream, _response(page))


def _write(stream: object, record: WarcRecord) -> None:
    writer = GzipWriter(stream, compression_level=LEVEL)  # type: ignore[arg-type]
    record.write(writer, checksum_data=True)
    writer.finish()


def _info(name: str) -> WarcRecord:
    record = WarcRecord()
    record.init_headers(WarcRecordType.warcinfo, _urn(uuid.uuid5(uuid.NAMESPACE_URL, name)))
    record.record_date = EPOCH
    record.headers["WARC-Filename"] = name
    record.headers["Content-Type"] = "application/warc-fields"
    record.set_bytes_content(b"format: WARC File Format 1.1\r\nconformsTo: ISO 28500:2017\r\n")
    return record


def _response(page: Page) -> WarcRecord:
    head = [f"HTTP/1.1 {page.status} {STATUS[page.status]}", f"Content-Type: {page.content_type}"]
    if page.location:
        head.append(f"Location: {page.location}")
    head.append(f"Content-Length: {len(page.content)}")
    record = WarcRecord()
    record.init_headers(WarcRecordType.response, _urn(page.record_id))
    record.record_date = datetime.strptime(page.date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    record.headers["WARC-Target-URI"] = page.url
    record.headers["Content-Type"] = "application/http; msgtype=response"
    record.set_bytes_content("\r\n".join([*head, "", ""]).encode("latin-1", "replace") + page.content)
    return record


def _urn(value: uuid.UUID | str) -> bytes:
    return str(value).removeprefix("urn:").encode() if isinstance(value, str) else f"uuid:{value}".encode()
