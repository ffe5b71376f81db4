"""Records of the WARC files of a dump, one after the other, wherever the files lie.

A local record is one seek. Records of a file elsewhere are read in runs: the rows of a shard are consecutive, so
records that stand close together are one read of at most `RUN` bytes (a longer record aside), from the local copy if
there is one, else by one range request. A page costs no request of its own: a shard of 50,000 pages of 25 kB is some
150 requests. Memory is bounded by one run. A server that ignores ranges is asked for the whole file, once a shard.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llm_dag.curation import warc
from llm_dag.store.artifact import Artifact
from llm_dag.store.copies import Copies
from llm_dag.store.remote import Remote
from llm_dag.store.transport import Changed, State

RUN = 8 << 20  # bytes of one read
GAP = 1 << 20  # bytes between two records that are read along rather than asked for apart
COPIES = "copies"  # the folder of local copies in a store's workspace
Row = Mapping[str, Any]  # a page's row: warc, offset, length, and what else the caller needs


def copies(artifact: Artifact, gigabytes: float, remote: Remote) -> Copies:
    """The local copies of files that lie elsewhere, beside the store of an artifact."""
    return Copies(artifact.workspace / COPIES, int(gigabytes * 1e9), remote)


def records(pages: Artifact, rows: Iterable[Row]) -> Iterator[tuple[Row, warc.Capture]]:
    """Each row with the record at its place. What is there now may be damaged: see `Capture.problem`.

    Raises:
        RemoteError: a file elsewhere that cannot be read, or has another size than when it was indexed.
    """
    with contextlib.ExitStack() as held:
        reader = _Reader(pages, held)
        for run in runs(rows):
            name = run[0]["warc"]
            url = pages.elsewhere(name)
            if not url:
                path = pages.path(name)
                yield from ((row, warc.fetch(path, row["offset"], row["length"])) for row in run)
                continue
            start = run[0]["offset"]
            content = reader.read(name, url, start, max(_end(row) for row in run))
            for row in run:
                record = content[row["offset"] - start : _end(row) - start]
                yield row, warc.parsed(record, url, row["offset"])


def runs(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Consecutive rows of one file that stand close enough together to be one read."""
    run: list[Row] = []
    for row in rows:
        if run and not (
            row["warc"] == run[-1]["warc"]
            and 0 <= row["offset"] - _end(run[-1]) <= GAP
            and _end(row) - run[0]["offset"] <= RUN
        ):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _end(row: Row) -> int:
    return int(row["offset"] + min(row["length"], warc.MOST))


class _Reader:
    """Reads parts of files elsewhere; it lives as long as one shard, and what it holds is given back at its end."""

    def __init__(self, pages: Artifact, held: contextlib.ExitStack) -> None:
        self._pages, self._held = pages, held
        self._remote = Remote()
        self._copies = copies(pages, 0, self._remote)
        self._states: dict[str, State] = {}
        self._whole: dict[str, Path] = {}

    def read(self, name: str, url: str, start: int, stop: int) -> bytes:
        entry = self._pages.entry(name)
        if (content := self._copies.read(url, entry.digest, start, stop)) is not None:
            return content
        if url not in self._states:
            self._states[url] = self._remote.state(url)
        state = self._states[url]
        if state.bytes != entry.bytes:
            raise Changed(f"{url}: has {state.bytes} bytes now; {entry.bytes} were indexed: run raw_pages again")
        if state.ranges:
            return b"".join(self._remote.read(url, state, start, stop))
        if url not in self._whole:
            self._whole[url] = self._held.enter_context(self._copies.held(url, state)).path
        with self._whole[url].open("rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)
