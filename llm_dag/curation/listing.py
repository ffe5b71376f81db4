"""The listing of a crawl: which files it is made of, their sizes and digests, before any page is read.

For `python_docs` a file is a subject of documentation: the standard library of the running Python, and each named
distribution. Its digest covers every source file that may be rendered (for a distribution from its RECORD, so nothing
is read twice), never llm_dag itself; installing a test tool changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llm_dag.config.source import PythonDocs
from llm_dag.curation.python_docs.stdlib import source_files
from llm_dag.ledger import write_table
from llm_dag.store.canonical import named_files
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Work

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
    ]
)
STANDARD_LIBRARY = "stdlib"


class SourceError(StoreError):
    """A source that cannot be listed: the message names what was found and what is wanted."""


@dataclass(frozen=True)
class Listed:
    """One file of a crawl; `path` is where it lies (empty for a subject of `python_docs`)."""

    name: str
    bytes: int
    digest: str
    path: str = ""


def build(work: Work) -> None:
    """Write `listing.parquet`: name, bytes and digest of each file of the source, in the order of reading."""
    if isinstance(work.config, PythonDocs):
        listed = subjects(work.config.distributions)
    else:
        listed = files(work.config.files, work.digest_of)
    write_table(pa.Table.from_pylist(rows(listed), schema=SCHEMA), work.data("listing.parquet"))
    work.metrics |= {"files": len(listed), "bytes": sum(one.bytes for one in listed)}


def rows(listed: Sequence[Listed]) -> list[dict[str, Any]]:
    """Listed files as the rows of a listing."""
    return [{"name": one.name, "bytes": one.bytes, "digest": one.digest} for one in listed]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a listing."""
    listed: list[dict[str, Any]] = pq.read_table(path, partitioning=None).to_pylist()
    return listed


def files(wanted: Sequence[str], digest_of: Callable[[Path], str]) -> list[Listed]:
    """The WARC files that paths, folders and globs name, in their order; a file that two of them name is read once.

    A listed name is the file's own name, with part of its digest when another file has that name already.

    Raises:
        SourceError: nothing is named, or two files hold the same bytes.
        StoreError: a path or glob that matches nothing.
    """
    found: dict[Path, None] = {}
    for index, value in enumerate(wanted):
        found |= {path.resolve(): None for _, path in named_files(value, f"source.files[{index}]")}
    if not found:
        raise SourceError(f"source.files={list(wanted)}: no file is named; name WARC files, folders or globs")
    listed: dict[str, Listed] = {}
    by_digest: dict[str, Path] = {}
    for path in found:
        digest = digest_of(path)
        if digest in by_digest:
            raise SourceError(f"source.files: {path} and {by_digest[digest]} hold the same bytes; name one of them")
        by_digest[digest] = path
        name = path.name if path.name not in listed else f"{digest[:12]}-{path.name}"
        listed[name] = Listed(name, path.stat().st_size, digest, str(path))
    return list(listed.values())


def subjects(distributions: Sequence[str]) -> list[Listed]:
    """The standard library and the named distributions, with versions.

    Raises:
        SourceError: a distribution is named that is not installed, or named twice.
    """
    listed = [_standard_library()]
    for name in distributions:
        one = _distribution(name)
        if one.name in {other.name for other in listed}:
            raise SourceError(f"source.distributions names {name} twice")
        listed.append(one)
    return listed


def _standard_library() -> Listed:
    """Python's full version and the digest of the sources and built-in modules that it documents."""
    hasher, size = hashlib.sha256(), 0
    for name, path in source_files():
        content = path.read_bytes()
        size += len(content)
        hasher.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    hasher.update(" ".join(sorted(sys.builtin_module_names)).encode())
    version = "{}.{}.{}".format(*sys.version_info[:3])
    return Listed(f"{STANDARD_LIBRARY}=={version}", size, hasher.hexdigest())


def _distribution(name: str) -> Listed:
    if not name.strip():
        raise SourceError(
            f"source.distributions names {name!r}; the name of an installed distribution is wanted (rich), or no item"
        )
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise SourceError(
            f"source.distributions names {name}, which is not installed here; install it or take it off the list"
        ) from None
    hasher, size = hashlib.sha256(), 0
    for file, digest, length in _recorded(found):
        size += length
        hasher.update(f"{file} {digest}\n".encode())
    return Listed(f"{name}=={found.version}", size, hasher.hexdigest())


def _recorded(found: Distribution) -> list[tuple[str, str, int]]:
    """(name, sha256, bytes) of a distribution's Python sources and its description, from its RECORD."""
    recorded = []
    for file in found.files or ():
        name = file.as_posix()
        if name.endswith((".py", ".dist-info/METADATA")):
            digest = _hex(file.hash.value) if file.hash else ""
            recorded.append((name, digest, file.size or 0))
    return sorted(recorded)


def _hex(value: str) -> str:
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except (ValueError, binascii.Error):
        return value
