"""Writing pages as WARC records, one gzip member each; equal pages give equal bytes.

A planted page may be what a crawl also holds: a revisit, a message whose codings or headers are broken, a record that
is damaged. `DAMAGES` names the damages and says what each does to the record.
"""

from __future__ import annotations

import io
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastwarc import GzipWriter, WarcRecord, WarcRecordType

from llm_dag.curation.python_docs.site import EPOCH, Page

STATUS = {200: "OK", 301: "Moved Permanently", 302: "Found", 404: "Not Found", 410: "Gone"}
LEVEL = 6
RECORDS = ("response", "resource", "revisit")
DAMAGES = {
    "member": "the gzip member around the record is broken near its end: its bytes cannot be had",
    "cut": "less stands in the record than it states",
    "overlong": "more stands in the record than it states",
    "altered": "a byte of the record is another one than when its digest was taken",
    "http": "the message has a header of LONG_LINE bytes",
    "padded": "the record goes on with blanks up to PADDED bytes",
}
NAMELESS = ("member",)  # damages that take the record's id with them
CUT = 200  # bytes that a cut or overlong record misses or has too many of
PADDED = 65 << 20  # a mebibyte more than readers accept
LONG_LINE = 128 << 10  # of one HTTP header: twice what readers accept
STEP = 1 << 20


@dataclass(frozen=True)
class Planted(Page):
    """A page that is written as a record of another kind, with further HTTP headers, or with a damage."""

    record: str = "response"
    headers: tuple[tuple[str, str], ...] = ()
    damage: str = ""


def write_pages(path: Path, pages: Iterable[Page]) -> dict[str, int]:
    """Write a WARC file of a warcinfo record and one record for each page; returns where each URL's record begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    places: dict[str, int] = {}
    with path.open("wb") as stream:
        _write(stream, _info(path.name))
        for page in pages:
            places[page.url] = stream.tell()
            planted = page if isinstance(page, Planted) else Planted(**vars(page))
            record = _record(planted)
            if planted.damage:
                _write_damaged(stream, record, planted.damage)
            else:
                _write(stream, record)
    return places


def _write(stream: object, record: WarcRecord) -> None:
    writer = GzipWriter(stream, compression_level=LEVEL)  # type: ignore[arg-type]
    record.write(writer, checksum_data=True)
    writer.finish()


def _write_damaged(stream: io.BufferedWriter, record: WarcRecord, damage: str) -> None:
    plain = io.BytesIO()
    record.write(plain, checksum_data=True)
    content = plain.getvalue()
    header, _, block = content.partition(b"\r\n\r\n")
    stated = b"\r\nContent-Length: %d" % record.content_length
    if damage == "cut":
        block = block[: record.content_length - CUT]
    elif damage == "overlong":
        header = header.replace(stated, b"\r\nContent-Length: %d" % (record.content_length - CUT))
    elif damage == "altered":
        middle = record.content_length // 2
        block = block[:middle] + bytes([block[middle] ^ 1]) + block[middle + 1 :]
    elif damage == "padded":
        header = header.replace(stated, b"\r\nContent-Length: %d" % PADDED)
        block = block[: record.content_length]
    packer = zlib.compressobj(LEVEL, wbits=31)
    parts = [packer.compress(header + b"\r\n\r\n" + block)]
    if damage == "padded":
        left = PADDED - len(block)
        parts += [packer.compress(b" " * min(STEP, left - start)) for start in range(0, left, STEP)]
        parts += [packer.compress(b"\r\n\r\n")]
    packed = b"".join([*parts, packer.flush()])
    if damage == "member":  # its checksum is another one
        packed = packed[:-8] + bytes(255 - byte for byte in packed[-8:-4]) + packed[-4:]
    stream.write(packed)


def _info(name: str) -> WarcRecord:
    record = WarcRecord()
    record.init_headers(WarcRecordType.warcinfo, _urn(uuid.uuid5(uuid.NAMESPACE_URL, name)))
    record.record_date = EPOCH
    record.headers["WARC-Filename"] = name
    record.headers["Content-Type"] = "application/warc-fields"
    record.set_bytes_content(b"format: WARC File Format 1.1\r\nconformsTo: ISO 28500:2017\r\n")
    return record


def _record(page: Planted) -> WarcRecord:
    head = [f"HTTP/1.1 {page.status} {STATUS[page.status]}", f"Content-Type: {page.content_type}"]
    if page.location:
        head.append(f"Location: {page.location}")
    head += [f"{name}: {value}" for name, value in page.headers]
    if page.damage == "http":
        head.append(f"Set-Cookie: seen={'0' * LONG_LINE}")
    head.append(f"Content-Length: {len(page.content)}")
    record = WarcRecord()
    record.init_headers(getattr(WarcRecordType, page.record), _urn(page.record_id))
    record.record_date = datetime.strptime(page.date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    record.headers["WARC-Target-URI"] = page.url
    record.headers["Content-Type"] = "application/http; msgtype=response"
    record.set_bytes_content("\r\n".join([*head, "", ""]).encode("latin-1", "replace") + page.content)
    return record


def _urn(value: uuid.UUID | str) -> bytes:
    return str(value).removeprefix("urn:").encode() if isinstance(value, str) else f"uuid:{value}".encode()
