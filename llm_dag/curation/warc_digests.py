"""Digests that a WARC record states of itself: `WARC-Block-Digest`, `WARC-Payload-Digest` (WARC 1.1, section 5.8).

A stated value is `algorithm:value`, base32 in most files (sha1 by custom), hexadecimal in some. What cannot be
understood (another algorithm, a value of another length) is taken as not stated. Cost: one hash over the record.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from fastwarc import WarcRecord

ALGORITHMS = {"sha1": 20, "sha256": 32, "sha512": 64, "md5": 16}  # and the bytes of their digests


def judged(record: WarcRecord, kind: str, encodings: str, block: bytes | memoryview, payload: bytes) -> str:
    """Whether a record's bytes are those that its writer digested: `same`, `other`, or "" where nothing can be said.

    The block's digest decides. Only where none is stated does the payload's; not that of a revisit (it is of the
    payload that another record holds), nor of one in chunks (some writers digest it without them).
    """
    if stated := _stated(record, b"WARC-Block-Digest"):
        return "same" if _equals(stated, block) else "other"
    if kind == "revisit" or "chunked" in encodings:
        return ""
    if stated := _stated(record, b"WARC-Payload-Digest"):
        return "same" if _equals(stated, payload) else "other"
    return ""


def _stated(record: WarcRecord, name: bytes) -> tuple[str, bytes] | None:
    text = (record.headers.get_bytes(name) or b"").decode("latin-1").strip()
    algorithm, colon, value = text.partition(":")
    algorithm = algorithm.lower().replace("-", "")
    size = ALGORITHMS.get(algorithm)
    if not colon or size is None:
        return None
    for decode in (bytes.fromhex, base64.b32decode):
        try:
            digest = decode(value.upper())
        except (ValueError, binascii.Error):
            continue
        if len(digest) == size:
            return algorithm, digest
    return None


def _equals(stated: tuple[str, bytes], content: bytes | memoryview) -> bool:
    return hashlib.new(stated[0], content, usedforsecurity=False).digest() == stated[1]
