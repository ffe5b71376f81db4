"""Reading WARC files record by record, and one record again by its place.

A gzipped WARC is a chain of gzip members, one record each, so a record is found again by (offset, length) with one
seek. The members are walked here, not by the parser: a broken member is then one damaged record with a place, and
reading goes on at the next member that starts a WARC record. Each record's bytes are parsed by fastwarc. Memory is
bounded by `MAX_RECORD`, time by one decompression of the file (a damaged stretch is searched once for the next member).

A file that is not a WARC (ARC, WET, one gzip stream around many records) is an error; a damaged record never is.
Source: the WARC 1.1 specification (ISO 28500:2017), annex D for the gzip members.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import mmap
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fastwarc import ArchiveIterator, WarcRecord

from llm_dag.curation.warc_digests import judged
from llm_dag.store.errors import StoreError

MAX_RECORD = 64 << 20  # bytes of one record; Common Crawl cuts pages at 1 to 5 MiB
MAX_HEADER = 64 << 10
MAX_ROBOTS = 8 << 10  # characters of X-Robots-Tag that are kept; servers send some dozens
MOST = MAX_RECORD + (1 << 20)  # bytes of a file that are read for one record; a longer one is damaged or too large
FIRST, STEP = 16 << 10, 1 << 20  # bytes of a gzip member that are read at first, and at a time at most
BEHIND = 32 << 20  # bytes of a file that stay mapped behind the reader; a multiple of the system's page
GZIP_MAGIC = b"\x1f\x8b\x08"
PAGES = ("response", "resource", "revisit")
_LENGTH = re.compile(rb"^content-length[ \t]*+:(.*)$", re.IGNORECASE | re.MULTILINE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_NEXT_PLAIN = re.compile(rb"(?<=\n)WARC/\d\.\d\r?\n")
_AFTER_BLOCK = re.compile(rb"(?:\r?\n){2}|[\r\n]*(?:WARC/|\Z)")  # what stands behind a block that is as long as it says


class WarcError(StoreError):
    """A file that cannot be read as WARC at all: the message names it, what was found, and what is wanted."""


@dataclass(frozen=True)
class Capture:
    """One record, or one damaged place; of a data set one row (`kind` is `row` or `line`, the payload is its text).

    `problem` is empty for a whole record; else a reason (`corrupt_gzip`; `clipped`: less is there than its
    Content-Length says; `corrupt_record`: its header is damaged, or more is there than it says; `corrupt_http`;
    `record_too_large`; `wrong_digest`: its bytes are not those that it states a digest of), and the other fields hold
    what could still be read. `payload` is the record's body as stored, after the HTTP headers and before any decoding;
    `encodings` names the codings to undo, the outermost first (`chunked, gzip`). `digests` says what came of comparing
    a stated digest: `same`, `other`, or "" where none is stated.
    """

    offset: int
    length: int
    kind: str = "damaged"
    url: str = ""
    date: str = ""
    record_id: str = ""
    status: int | None = None
    content_type: str = ""
    charset: str = ""
    encodings: str = ""
    truncated: str = ""
    robots: str = ""  # the X-Robots-Tag headers, one a line
    line: int | None = None  # of a file of JSON lines, from 1
    field: str = ""  # the column that holds the text of a row
    payload: bytes = b""
    problem: str = ""
    digests: str = ""


def captures(path: Path, called: str = "") -> Iterator[Capture]:
    """Every record of a file in file order, requests and metadata too; messages name the file as it is `called`.

    Raises:
        WarcError: the file is not a WARC.
    """
    if path.stat().st_size == 0:
        return
    name = called or str(path)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        form, behind = _form(view, name), 0
        for piece in _members(view) if form == "gzip" else _plain_records(view):
            yield _capture(piece, name, verify=True)
            if piece.offset - behind > BEHIND:  # what was read would count as this process's memory
                view.madvise(mmap.MADV_DONTNEED, behind, BEHIND)
                behind += BEHIND


def fetch(path: Path, offset: int, length: int) -> Capture:
    """The record at a place, read with one seek. What is there now may be damaged: see `problem`."""
    with path.open("rb") as stream:
        stream.seek(offset)
        return parsed(stream.read(min(length, MOST)), str(path), offset)


def parsed(content: bytes, name: str, offset: int) -> Capture:
    """The record whose bytes stand at `offset` of the file `name`; its digests are not compared again."""
    piece = _member(content, 0) if content.startswith(GZIP_MAGIC) else _Piece(0, len(content), content)
    return replace(_capture(piece, name), offset=offset)


def payload_digest(payload: bytes) -> str:
    """The sha1 of a payload in WARC's notation."""
    sha1 = hashlib.sha1(payload, usedforsecurity=False).digest()
    return f"sha1:{base64.b32encode(sha1).decode()}"


@dataclass(frozen=True)
class _Piece:
    """The bytes of one record as they stand in the file, decompressed."""

    offset: int
    length: int
    content: bytes
    problem: str = ""


def _form(view: mmap.mmap, name: str) -> str:
    """`gzip` or `plain`. Raises WarcError for anything else, with what it looks like."""
    head = view[:4096]
    form = "gzip" if head.startswith(GZIP_MAGIC[:2]) else "plain"
    if form == "gzip":
        with contextlib.suppress(zlib.error):  # a damaged first member: the walk looks for the next one
            head = zlib.decompressobj(wbits=31).decompress(head, 256)
    if head.startswith(b"filedesc:"):
        raise WarcError(
            f"{name}: an ARC file (starts with 'filedesc:'); WARC is wanted: convert it, e.g. with warcio recompress"
        )
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raise WarcError(f"{name}: a zstd file; a WARC that is plain or gzipped record by record is wanted")
    if head.startswith(b"WARC/"):
        return form
    if (_next_plain(view, 0) if form == "plain" else _next_member(view, 0)) == len(view):
        raise WarcError(
            f"{name}: starts with {head[:24]!r} and holds no WARC record; a WARC that is plain or gzipped is wanted"
        )
    return form


def _members(view: mmap.mmap) -> Iterator[_Piece]:
    offset, size = 0, len(view)
    while offset < size:
        piece = _member(view, offset)
        if piece.problem in ("corrupt_gzip", "clipped"):
            following = _next_member(view, offset + 1)
            piece = replace(piece, length=following - offset)
        yield piece
        offset += piece.length


def _member(view: mmap.mmap | bytes, offset: int) -> _Piece:
    """The gzip member at `offset`, decompressed up to `MAX_RECORD` bytes."""
    reader = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    held, position, step = 0, offset, FIRST
    pending = b""
    try:
        while not reader.eof:
            if not pending:
                pending = view[position : position + step]  # zlib copies what is behind the member
                position, step = position + len(pending), min(2 * step, STEP)
            if not pending:
                return _Piece(offset, len(view) - offset, b"".join(parts), "clipped")
            part = reader.decompress(pending, STEP)
            pending = reader.unconsumed_tail
            held += len(part)
            if held <= MAX_RECORD:
                parts.append(part)
    except zlib.error:
        return _Piece(offset, len(view) - offset, b"".join(parts), "corrupt_gzip")
    length = position - len(reader.unused_data) - offset
    return _Piece(offset, length, b"".join(parts), "record_too_large" if held > MAX_RECORD else "")


def _next_member(view: mmap.mmap, start: int) -> int:
    """The offset of the next gzip member that starts a WARC record, or the end of the file."""
    while (found := view.find(GZIP_MAGIC, start)) >= 0:
        try:
            if zlib.decompressobj(wbits=31).decompress(view[found : found + 512], 8).startswith(b"WARC/"):
                return found
        except zlib.error:
            pass
        start = found + 1
    return len(view)


def _plain_records(view: mmap.mmap) -> Iterator[_Piece]:
    offset, size = 0, len(view)
    while offset < size:
        if view[offset : offset + 5] != b"WARC/":
            end = _next_plain(view, offset + 1)
            if view[offset:end].strip():
                yield _Piece(offset, end - offset, b"", "corrupt_record")
            offset = end
            continue
        header = view[offset : offset + MAX_HEADER]
        ends = _HEADER_END.search(header)
        length = _stated_length(header[: ends.end()]) if ends else None
        if ends is None or length is None:
            end = _next_plain(view, offset + 1)
            yield _Piece(offset, end - offset, header[: ends.end()] if ends else b"", "corrupt_record")
        else:
            end = offset + ends.end() + length
            problem = "record_too_large" if length > MAX_RECORD else ""
            if end > size:
                end, problem = _next_plain(view, offset + 1), "clipped"
            elif not _AFTER_BLOCK.match(view, end):
                end, problem = _next_plain(view, offset + 1), "corrupt_record"
            yield _Piece(offset, end - offset, view[offset : min(end, offset + MAX_RECORD)], problem)
        offset = end
        while view[offset : offset + 1] in (b"\r", b"\n"):
            offset += 1


def _stated_length(header: bytes) -> int | None:
    """The Content-Length of a WARC header. None if it has none, several that differ, or one that is no whole number."""
    stated = {value.strip(b" \t\r") for value in _LENGTH.findall(header)}
    digits = stated.pop() if len(stated) == 1 else b""
    return int(digits) if re.fullmatch(rb"[0-9]{1,4000}", digits) else None


def _next_plain(view: mmap.mmap, start: int) -> int:
    found = _NEXT_PLAIN.search(view, start)
    return found.start() if found else len(view)


def _capture(piece: _Piece, name: str, verify: bool = False) -> Capture:
    """A piece as a record. What fastwarc cannot parse is a damaged record."""
    place = Capture(piece.offset, piece.length, problem=piece.problem)
    record = None
    content = _with_crlf(piece.content)
    with contextlib.suppress(OSError, ValueError):  # fastwarc found no WARC header
        record = next(iter(ArchiveIterator(io.BytesIO(content), parse_http=False, strict_mode=False)), None)
    if record is None:
        return replace(place, problem=piece.problem or "corrupt_record")
    capture = replace(
        place,
        kind=_header(record, "WARC-Type").lower() or "unknown",
        url=_header(record, "WARC-Target-URI").strip("<>"),
        date=_header(record, "WARC-Date"),
        record_id=_header(record, "WARC-Record-ID").strip("<>"),
        truncated=_header(record, "WARC-Truncated"),
    )
    if piece.problem:
        return capture
    ends = _HEADER_END.search(content)
    block = ends.end() if ends else len(content)
    length = _stated_length(content[:block])
    if length is None:
        return replace(capture, problem="corrupt_record")
    if len(content) - block < length:
        return replace(capture, problem="clipped")
    following = content[block + length :].lstrip(b"\r\n")
    if following.startswith(b"WARC/"):
        raise WarcError(
            f"{name}: the gzip member at byte {piece.offset} holds more than one record; a WARC gzipped record by "
            "record is wanted: rewrite it, e.g. with `warcio recompress`"
        )
    if following or length != record.content_length:  # bytes that belong to no block
        return replace(capture, problem="corrupt_record")
    found = _with_payload(capture, record)
    if not verify or found.problem or found.kind not in PAGES:
        return found
    digests = judged(record, found.kind, found.encodings, memoryview(content)[block : block + length], found.payload)
    return replace(found, digests=digests, problem="wrong_digest" if digests == "other" else "")


def _with_crlf(content: bytes) -> bytes:
    """A record whose WARC header ends its lines with a bare line feed, as some writers do, in the standard's form."""
    ends = _HEADER_END.search(content)
    if ends is None or b"\r\n" in content[: ends.end()]:
        return content
    return content[: ends.end()].replace(b"\n", b"\r\n") + content[ends.end() :]


def _header(record: WarcRecord, name: str) -> str:
    return (record.headers.get_bytes(name.encode()) or b"").decode("utf-8", "replace").strip()


def _with_payload(capture: Capture, record: WarcRecord) -> Capture:
    """The record with its HTTP headers read off; a record that is no HTTP message keeps its whole block."""
    if capture.kind not in PAGES:
        return capture
    if not record.is_http:
        return replace(capture, content_type=_header(record, "Content-Type").lower(), payload=record.reader.read())
    try:
        record.parse_http(strict_mode=False)
        headers = record.http_headers
        encodings = ", ".join(
            coding
            for name in (b"Transfer-Encoding", b"Content-Encoding")
            for value in headers.get_bytes_multiple(name)
            for coding in value.decode("latin-1").lower().replace(" ", "").split(",")
            if coding not in ("", "identity")
        )
        stated = (headers.get_bytes(b"Content-Type") or b"").decode("latin-1").lower()
        content_type, _, rest = stated.partition(";")
        robots = "\n".join(value.decode("latin-1").strip() for value in headers.get_bytes_multiple(b"X-Robots-Tag"))
        charset = re.search(r"charset=[\"']?([\w.:-]+)", rest)
        return replace(
            capture,
            status=headers.status_code,
            content_type=content_type.strip(),
            charset=charset[1] if charset else "",
            encodings=encodings,
            robots=robots[:MAX_ROBOTS],
            payload=record.reader.read(),
        )
    except (ValueError, OSError, RuntimeError) as error:
        del error  # the HTTP message is malformed: a damaged record
        return replace(capture, problem="corrupt_http")
