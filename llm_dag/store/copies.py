"""Local copies of files that lie elsewhere: whole ones, a bounded number of bytes in all, for as long as there is room.

A WARC file is read twice (indexed, then extracted) and often again when a crawl grows; a copy makes that one download.
A copy lies in a folder by its URL, with a note of the entity tag or date it was made from and of its digest. What an
interrupted run had fetched is gone on with, if the file is still the same. The copies that were used least recently
make room; one that is in use, under its lock, stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from llm_dag.store.canonical import BLOCK
from llm_dag.store.remote import Remote
from llm_dag.store.transport import State

WHOLE, PART, NOTE, LOCK = "whole", "part", "note.json", "lock"


@dataclass(frozen=True)
class Copy:
    """A whole copy and the sha256 of its bytes."""

    path: Path
    digest: str


class Copies:
    """Copies in a folder, at most `limit` bytes of them when nobody holds one."""

    def __init__(self, folder: Path, limit: int, remote: Remote) -> None:
        self._folder, self._limit, self._remote = folder, limit, remote

    @contextlib.contextmanager
    def held(self, url: str, state: State) -> Iterator[Copy]:
        """A copy of the file in `state`, fetched if need be. Raises RemoteError; what had arrived is then kept."""
        place = self._place(url)
        with contextlib.ExitStack() as held:
            lock = held.enter_context(_locked(place, fcntl.LOCK_SH))
            if (digest := _whole(place, state)) is None:
                lock.close()
                lock = held.enter_context(_locked(place, fcntl.LOCK_EX))
                digest = _whole(place, state) or self._fetched(url, state, place)
                fcntl.flock(lock, fcntl.LOCK_SH)  # others may read it too, and nobody remove it
            os.utime(place / NOTE)
            try:
                yield Copy(place / WHOLE, digest)
            finally:
                if state.bytes > self._limit:
                    _remove(place, lock)

    def read(self, url: str, digest: str, start: int, stop: int) -> bytes | None:
        """A part of a file from its copy; None if there is no copy with this digest."""
        place = self._place(url)
        if _note(place).get("digest") != digest:
            return None
        try:
            with (place / WHOLE).open("rb") as stream:
                stream.seek(start)
                content = stream.read(stop - start)
            os.utime(place / NOTE)
        except FileNotFoundError:  # it made room for another one
            return None
        return content if len(content) == stop - start else None

    def _place(self, url: str) -> Path:
        return self._folder / hashlib.sha256(url.encode()).hexdigest()[:32]

    def _fetched(self, url: str, state: State, place: Path) -> str:
        """Fetch the rest of a file, note what it is, and return its digest."""
        (place / WHOLE).unlink(missing_ok=True)
        part = place / PART
        if not (state.tag and _of(_note(place), state)):
            part.unlink(missing_ok=True)
        self._make_room(state.bytes, place)
        note = {"url": url, "tag": state.tag, "bytes": state.bytes}
        _write(place / NOTE, note)
        hasher = hashlib.sha256()
        with part.open("a+b") as stream:
            stream.seek(0)
            while block := stream.read(BLOCK):
                hasher.update(block)
            if stream.tell() > state.bytes:
                stream.truncate(0)
                hasher = hashlib.sha256()
            for piece in self._remote.read(url, state, start=min(stream.seek(0, os.SEEK_END), state.bytes)):
                stream.write(piece)
                hasher.update(piece)
        part.rename(place / WHOLE)
        digest = hasher.hexdigest()
        _write(place / NOTE, {**note, "digest": digest})
        return digest

    def _make_room(self, size: int, wanted: Path) -> None:
        """Remove the copies that were used least recently, until `size` more bytes are within the limit."""
        used = {place: _bytes(place) for place in self._folder.iterdir() if place.is_dir() and place != wanted}
        for place in sorted(used, key=lambda place: (_used(place), place.name)):
            if sum(used.values()) + size <= self._limit:
                return
            with contextlib.suppress(OSError), (place / LOCK).open("a") as lock:
                _remove(place, lock)
                used[place] = _bytes(place)


def _locked(place: Path, kind: int) -> IO[str]:
    """The lock of a copy's folder, which is made; who waited for one that was removed meanwhile begins again."""
    while True:
        place.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            lock = (place / LOCK).open("a")
            fcntl.flock(lock, kind)
            if os.fstat(lock.fileno()).st_ino == (place / LOCK).stat().st_ino:
                return lock
            lock.close()


def _remove(place: Path, lock: IO[str]) -> None:
    """Remove a copy, unless somebody uses it."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place, ignore_errors=True)


def _whole(place: Path, state: State) -> str | None:
    """The digest of a whole copy of the file in `state`; None if there is none that is known to be of it."""
    note = _note(place)
    known = state.tag and _of(note, state) and (place / WHOLE).exists()
    return str(note["digest"]) if known and "digest" in note else None


def _of(note: dict[str, Any], state: State) -> bool:
    return (note.get("tag"), note.get("bytes")) == (state.tag, state.bytes)


def _note(place: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((place / NOTE).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _write(path: Path, note: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(note))
    partial.replace(path)


def _bytes(place: Path) -> int:
    try:
        return sum(path.stat().st_size for path in place.iterdir())
    except OSError:  # it is being removed by somebody else
        return 0


def _used(place: Path) -> float:
    try:
        return (place / NOTE).stat().st_mtime
    except OSError:
        return 0.0
