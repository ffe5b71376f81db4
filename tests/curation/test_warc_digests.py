"""Digests that records state of themselves: which bytes they are compared with, and what a difference means."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from llm_dag.curation import warc

from .crawling import build, from_files, numbered, record, rows, write_warc

HTML = b"<html><body>a page</body></html>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"


def stating(block: str = "", payload: str = "", **more: object) -> bytes:
    """A record that states digests of its own."""
    made = record("https://site.example/1", HTML, record_id="1", **more)  # type: ignore[arg-type]
    lines = b"".join(
        f"{name}: {value}\r\n".encode()
        for name, value in (("WARC-Block-Digest", block), ("WARC-Payload-Digest", payload))
        if value
    )
    return made.replace(b"Content-Length", lines + b"Content-Length", 1)


def sha1(content: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize(
    ("block", "payload", "digests", "problem"),
    [
        (sha1(HEAD + HTML), sha1(HTML), "same", ""),
        ("sha1:" + hashlib.sha1(HEAD + HTML).hexdigest(), "", "same", ""),
        ("SHA-256:" + hashlib.sha256(HEAD + HTML).hexdigest(), "", "same", ""),
        ("md5:" + hashlib.md5(HEAD + HTML).hexdigest(), "", "same", ""),
        ("", sha1(HTML), "same", ""),
        (sha1(b"other bytes"), "", "other", "wrong_digest"),
        ("", sha1(b"other bytes"), "other", "wrong_digest"),
        (sha1(HEAD + HTML), sha1(b"another reading of payload"), "same", ""),
        ("", "", "", ""),
        ("sha1:short", "crc32:00000000", "", ""),
        ("sha1", "", "", ""),
    ],
)
def test_the_bytes_are_those_that_were_digested(
    tmp_path: Path, block: str, payload: str, digests: str, problem: str
) -> None:
    (found,) = warc.captures(write_warc(tmp_path / "a.warc.gz", [stating(block, payload)]))
    assert (found.digests, found.problem) == (digests, problem)
    assert found.payload == HTML


@pytest.mark.parametrize(
    "more", [{"kind": "revisit"}, {"headers": ("Content-Type: text/html", "Transfer-Encoding: chunked")}]
)
def test_a_payload_digest_that_means_other_bytes_says_nothing(tmp_path: Path, more: dict[str, object]) -> None:
    (found,) = warc.captures(write_warc(tmp_path / "a.warc.gz", [stating(payload=sha1(b"other bytes"), **more)]))
    assert (found.digests, found.problem) == ("", "")


def test_what_was_compared_is_counted_and_what_differs_has_a_verdict(tmp_path: Path) -> None:
    records = [numbered(2), stating(sha1(HEAD + HTML)), stating(sha1(b"other bytes")).replace(b"uuid:1", b"uuid:3")]
    pages = build(tmp_path / "store", *from_files(write_warc(tmp_path / "a.warc", records)), until="raw_pages")[
        "raw_pages"
    ]
    assert [row["reason"] for row in rows(pages, "verdicts")] == ["", "", "wrong_digest"]
    assert (pages.metrics["digests/same"], pages.metrics["digests/other"]) == (1, 1)
    assert pages.metrics["dropped/wrong_digest"] == 1
