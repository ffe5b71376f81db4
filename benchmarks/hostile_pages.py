"""Crawls made to break a pipeline, and what has to become of each of their pages.

Every maker writes a file of a crawl and returns by name of page the step that has to drop it and the reason. `DROPPED`
is left to the extractor: what has no text for one is no English for the other.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import zlib
from pathlib import Path

GIGABYTE = 1 << 30
DEEP = b"<div>" * 200_000  # a megabyte
LONG = b"all work and no play makes a dull page, and so on " * 20_000  # a megabyte without a line break
SITE = "https://hostile.example/"
DROPPED = "dropped"
Fates = dict[str, str]


def bombs(path: Path) -> Fates:
    """Nested tags, gzip in gzip, one line of 100 MB, bytes that are no text: pages that are small on the way."""
    many_megabytes = GIGABYTE // len(DEEP)
    deep = (b"<html><body>", DEEP, many_megabytes)
    line = (b"<html><body><p>", LONG, 100)
    with path.open("wb") as file:
        _write(file, "deep", *deep)
        _write(file, "deep-coded", b"", _gzipped(*deep), 1, "gzip")
        _write(file, "deep-small", b"<html><body>", DEEP, 8)
        _write(file, "zip-in-zip", b"", gzip.compress(_gzipped(*deep), mtime=0), 1, "gzip, gzip")
        _write(file, "zeros", b"", _gzipped(b"<html>", bytes(1 << 20), 1 << 10), 1, "gzip")
        _write(file, "line", *line)
        _write(file, "line-coded", b"", _gzipped(*line), 1, "gzip")
        _write(file, "line-small", b"<html><body><p>", LONG, 9)
        _write(file, "brackets", b"<html><body><p>", b"(" * (1 << 20), 9)
        _write(file, "attributes", b"<html><body><div ", b" ".join(b"a%d=1" % n for n in range(100_000)), 9)
        _write(file, "unclosed", b"<html><body>", b"<b><p>" * 100_000, 10)
        _write(file, "noise", b"<html><body><p>", random.Random(1).randbytes(1 << 20), 9)
        _write(file, "invalid", b"<html><body><p>", b"\xc3\x28 \xff\xfe \xed\xa0\x80 and so on, \xf0\x9f " * 10_000, 20)
        _write(file, "nul", b"<html><body><p>", b"\0" * (1 << 20), 9)
    too_large = ("deep-coded", "zip-in-zip", "zeros", "line-coded")
    return {
        **dict.fromkeys(("deep", "line"), "raw_pages: record_too_large"),
        **dict.fromkeys(too_large, "extracted_text: html_too_large"),
        **dict.fromkeys(("deep-small", "attributes", "unclosed"), "extracted_text: html_bomb"),
        **dict.fromkeys(("line-small", "invalid"), "gopher_filtered: gopher_long_doc"),
        "brackets": "gopher_filtered: gopher_short_doc",
        "noise": DROPPED,
        "nul": DROPPED,
    }


def rows(path: Path) -> Fates:
    """Lines of JSON: one of 100 MB, one that is well, one nested 100,000 deep, and one that is no UTF-8."""
    head = b'{"id": "%s", "url": "' + SITE.encode() + b'%s", "date": "2024-03-01", "text": '
    with path.open("wb") as file:
        for name, value in (
            (b"line", json.dumps(LONG.decode() * 100).encode()),
            (b"well", b'"A text of one line that is well."'),
            (b"nested", b"[" * 100_000),
            (b"bytes", b'"\xff\xfe \xed\xa0\x80"'),
        ):
            file.write(head % (name, name) + value + b"}\n")
    wanted = {"line": "line_too_long", "nested": "bad_json", "bytes": "not_utf8"}
    return {**{name: f"raw_pages: {reason}" for name, reason in wanted.items()}, "well": "gopher_filtered: top_3_gram"}


def one_line_pages(path: Path, count: int = 50_000) -> Fates:
    """So many pages of one short line each, all different: of so few words two are a large part."""
    with path.open("wb") as file:
        for number in range(count):
            text = b"<html><body><p>Page %d has one line, which says %d.</p></body></html>" % (number, number * 7919)
            _write(file, f"line/{number}", text, b"", 0)
    return {f"line/{number}": "gopher_filtered: top_" for number in range(count)}


def _gzipped(head: bytes, part: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(head), *(packer.compress(part) for _ in range(times)), packer.flush()])


def _write(file: io.BufferedWriter, name: str, head: bytes, part: bytes, times: int, coding: str = "") -> None:
    """A gzipped WARC record of a page, written piece by piece: the page itself is never held."""
    said = f"Content-Encoding: {coding}\r\n" if coding else ""
    http = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n{said}\r\n".encode()
    length = len(http) + len(head) + len(part) * times
    record = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {SITE}{name}\r\nWARC-Date: 2024-03-01T12:00:00Z\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {length}\r\n\r\n"
    ).encode()
    packer = zlib.compressobj(6, wbits=31)
    for piece in (record, http, head, *(part for _ in range(times)), b"\r\n\r\n"):
        file.write(packer.compress(piece))
    file.write(packer.flush())
