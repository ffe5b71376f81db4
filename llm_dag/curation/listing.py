"""The listing of a crawl: which files it is made of, their sizes and digests, before any page is read.

For `python_docs` a file is a subject of documentation: the standard library of the running Python, and each named
distribution. Its digest covers every source file that may be rendered (for a distribution from its RECORD, so nothing
is read twice), never llm_dag itself; installing a test tool changes nothing.

A local file is known by the digest of its bytes. A file elsewhere is known by its size and its entity tag, which cost
one small request; where a server gives none, the file is read once for its digest. The place that a file was listed
from enters for URLs that the configuration names; those of Common Crawl are paths below `compute.common_crawl`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llm_dag.config.places import is_url
from llm_dag.config.source import CommonCrawl, PythonDocs, Rows, Source, Warc
from llm_dag.curation import common_crawl
from llm_dag.curation.python_docs.stdlib import source_files
from llm_dag.ledger import write_table
from llm_dag.store.canonical import named_files
from llm_dag.store.errors import StoreError
from llm_dag.store.remote import Remote
from llm_dag.store.work import Work

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),  # sha256; empty where the entity tag says which bytes
        pa.field("etag", pa.string(), nullable=False),
        pa.field("place", pa.string(), nullable=False),  # elsewhere: a URL, or a path below compute.common_crawl
    ]
)
STANDARD_LIBRARY = "stdlib"


class SourceError(StoreError):
    """A source that cannot be listed: the message names what was found and what is wanted."""


@dataclass(frozen=True)
class Listed:
    """One file of a crawl; `path` is where a local one lies, `place` where one elsewhere does."""

    name: str
    bytes: int
    digest: str
    path: str = ""
    etag: str = ""
    place: str = ""


def build(work: Work) -> None:
    """Write `listing.parquet`: name, bytes and digest of each file of the source, in the order of reading."""
    remote = Remote(work.progress.say)
    if isinstance(work.config, PythonDocs):
        listed = subjects(work.config.distributions)
    elif isinstance(work.config, CommonCrawl):
        base = work.compute.common_crawl
        paths = common_crawl.chosen(work.config, base, remote)
        work.progress.start("listing", len(paths), "files")
        listed = []
        for path in paths:
            listed.append(elsewhere(common_crawl.address(base, path), path, remote))
            work.progress.update(len(listed))
    else:
        listed = files(work.config.files, work.digest_of, remote)
    write_table(pa.Table.from_pylist(rows(listed), schema=SCHEMA), work.data("listing.parquet"))
    work.metrics |= {"files": len(listed), "bytes": sum(one.bytes for one in listed)}


def rows(listed: Sequence[Listed]) -> list[dict[str, Any]]:
    """Listed files as the rows of a listing."""
    return [{field: getattr(one, field) for field in SCHEMA.names} for one in listed]


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a listing."""
    listed: list[dict[str, Any]] = pq.read_table(path, partitioning=None).to_pylist()
    return listed


def files(wanted: Sequence[str], digest_of: Callable[[Path], str], remote: Remote) -> list[Listed]:
    """The files that paths, folders and globs name, in their order; a file that two of them name is read once.

    A listed name is the file's own name, with part of its digest when another file has that name already.

    Raises:
        SourceError: nothing is named, or two files hold the same bytes.
        StoreError: a path or glob that matches nothing; a file elsewhere that cannot be reached.
    """
    found: dict[str | Path, None] = {}
    for index, value in enumerate(wanted):
        if is_url(value):
            found |= dict.fromkeys(remote.named(value))
        else:
            found |= {path.resolve(): None for _, path in named_files(value, f"source.files[{index}]")}
    if not found:
        raise SourceError(f"source.files={list(wanted)}: no file is named; name files, folders or globs")
    listed: dict[str, Listed] = {}
    by_content: dict[str, str | Path] = {}
    for place in found:
        if isinstance(place, str):
            one = elsewhere(place, place, remote)
        else:
            one = Listed(place.name, place.stat().st_size, digest_of(place), str(place))
        content = known_by(one.digest, one.etag, one.bytes)
        if content in by_content:
            raise SourceError(f"source.files: {place} and {by_content[content]} hold the same bytes; name one of them")
        by_content[content] = place
        name = one.name if one.name not in listed else f"{content[:12]}-{one.name}"
        listed[name] = replace(one, name=name)
    return list(listed.values())


def local(source: Source, digest_of: Callable[[Path], str]) -> list[Listed]:
    """The local files that a source names."""
    named = [value for value in source.files if not is_url(value)] if isinstance(source, Warc | Rows) else []
    return files(named, digest_of, Remote()) if named else []


def elsewhere(url: str, place: str, remote: Remote) -> Listed:
    """A file elsewhere, by what its server says of it, or else by its bytes."""
    state = remote.state(url)
    name = url.partition("?")[0].rpartition("/")[2]
    if not name:
        raise SourceError(f"{url}: ends with no file name; the URL of a file is wanted")
    return Listed(name, state.bytes, "" if state.etag else remote.digest(url, state), "", state.etag, place)


def known_by(digest: str, etag: str, size: int) -> str:
    """What stands for the bytes of a listed file: their digest, or one of the entity tag and the size."""
    return digest or hashlib.sha256(f"{etag} {size}".encode()).hexdigest()


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
