"""The WARC files of one of Common Crawl's crawls, from its own listing `crawl-data/<CRAWL>/warc.paths.gz`.

The listing names some ninety thousand files of about a gigabyte, by paths below the place where the crawl is read
(`compute.common_crawl`): Common Crawl's server, its bucket or a mirror hold the same files under the same paths.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from llm_dag.config.places import resolve
from llm_dag.config.source import CommonCrawl
from llm_dag.store.remote import Remote
from llm_dag.store.transport import RemoteError

MOST = 256 << 20  # bytes of a listing; real ones have about twelve megabytes
_PATH = re.compile(r"crawl-data/(?:[\w.=-]+/)+[\w.=-]+\.warc\.gz")


def address(base: str, path: str) -> str:
    """The URL of a path below the place where the crawl is read."""
    return f"{base if '://' in base else f'file://{resolve(base)}'}".rstrip("/") + f"/{path}"


def chosen(config: CommonCrawl, base: str, remote: Remote) -> list[str]:
    """The paths of the range of files, in the listing's order.

    Raises:
        RemoteError: the listing cannot be read, is no listing of WARC files, or has no file in the range.
    """
    url = address(base, f"crawl-data/{config.crawl}/warc.paths.gz")
    paths = _paths(url, _unpacked(url, remote))
    stop = config.first_file + config.max_files if config.max_files else len(paths)
    found = paths[config.first_file : stop]
    if not found:
        raise RemoteError(
            f"source.first_file={config.first_file}: {url} lists {len(paths)} files; wanted: 0 to {len(paths) - 1}"
        )
    return found


def _unpacked(url: str, remote: Remote) -> str:
    """The text of a gzipped listing, whose size is bounded."""
    unpacker = zlib.decompressobj(wbits=31)
    parts, size = [], 0
    try:
        for piece in remote.read(url, remote.state(url)):
            while piece:
                parts.append(unpacker.decompress(piece, MOST - size + 1))
                size += len(parts[-1])
                if size > MOST:
                    raise RemoteError(f"{url}: more than {MOST} bytes; a listing of paths is wanted")
                piece = unpacker.unconsumed_tail
    except zlib.error as error:
        raise RemoteError(f"{url}: no gzip file, or a damaged one ({error}); a listing of paths is wanted") from error
    if not unpacker.eof:
        raise RemoteError(f"{url}: ends in the middle of its gzip stream; a whole listing of paths is wanted")
    return b"".join(parts).decode("utf-8", "replace")


def _paths(url: str, text: str) -> list[str]:
    paths = text.splitlines()
    for number, path in enumerate(paths, 1):
        if not _PATH.fullmatch(path) or ".." in path.split("/"):
            raise RemoteError(
                f"{url}, line {number}: {path[:120]!r}; the path of a WARC file is wanted: crawl-data/….warc.gz"
            )
    _no_name_twice(url, paths)
    return paths


def _no_name_twice(url: str, paths: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for number, path in enumerate(paths, 1):
        name = path.rpartition("/")[2]
        if name in first:
            raise RemoteError(f"{url}, line {number}: {name} stands in line {first[name]} already; wanted: each once")
        first[name] = number
