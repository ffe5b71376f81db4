"""One shard of one step: what a judge sees of it, and the note that says it is finished.

A judge writes into a folder of its own below `state/`. What it wrote is hashed, moved to the step's output, and then
noted, so the output holds whole shards only, whatever is killed when; and a worker process that outlives its parent for
a moment writes where nobody reads.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_dag.store.canonical import file_digest
from llm_dag.store.errors import StoreError
from llm_dag.store.manifest import Entry, ShardRecord

Judge = Callable[..., Mapping[str, float] | None]
Tools = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True)
class Earlier:
    """A shard of an earlier artifact: its files as entries that point to where they lie."""

    entries: tuple[Entry, ...]
    record: ShardRecord


class Shard:
    """One shard of one step: it can open the files that its key names, and write its own."""

    def __init__(self, name: str, config: Any, extra: Any, inputs: Mapping[tuple[str, str], Path], out: Path) -> None:
        self.name = name
        self.config = config
        self.extra = extra
        self._inputs = inputs
        self.out = out
        self.written: list[str] = []

    def read(self, asset: str, kind: str = "") -> Path:
        """The file of an input's shard. Raises StoreError for one that was not declared in `reads`."""
        found = [path for (name, of), path in self._inputs.items() if name == asset and kind in ("", of)]
        if len(found) != 1:
            declared = ", ".join(f"{name} {of}" for name, of in self._inputs)
            raise StoreError(f"shard {self.name} reads {asset} {kind}, which is not one declared file of: {declared}")
        return found[0]

    def write(self, kind: str, suffix: str = ".parquet") -> Path:
        """Where to write the shard's file of a kind."""
        name = f"{kind}/{self.name}{suffix}"
        if name not in self.written:
            self.written.append(name)
        return made(self.out, name)


@dataclass(frozen=True)
class Judged:
    """What a judge made of a shard: its files with their digests, and its counts."""

    files: Mapping[str, str]
    counts: Mapping[str, float]


@dataclass
class Judging:
    """A judge and what it needs beside the shard: each tool is made by its function once in each process.

    It is sent to worker processes as it is written down, without the tools that this process may have made.
    """

    judge: Judge
    tools: Tools
    _made: dict[str, Any] | None = field(default=None, init=False)

    def __call__(self, shard: Shard) -> Judged:
        try:
            if self._made is None:
                self._made = {name: make() for name, make in self.tools.items()}
            counts = dict(self.judge(shard, **self._made) or {})
            return Judged({path: file_digest(shard.out / path) for path in sorted(shard.written)}, counts)
        except Exception as error:
            error.add_note(f"in shard {shard.name}")
            raise

    def __reduce__(self) -> tuple[type[Judging], tuple[Judge, Tools]]:
        return Judging, (self.judge, self.tools)


class Finished:
    """The finished shards of a scratch folder: their files in `out/data`, and a note for each in `state/shards`."""

    def __init__(self, folder: Path) -> None:
        self._notes = folder / "state" / "shards"
        self._making = folder / "state" / "making"
        self._data = folder / "out" / "data"

    def begin(self) -> Path:
        """An empty folder to make a shard in."""
        self._making.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._making))

    def keep(self, key: str, shard: Shard, judged: Judged) -> ShardRecord:
        """Move a shard's files to where they belong, and note that it is finished."""
        for path in judged.files:
            os.replace(shard.out / path, made(self._data, path))
        shutil.rmtree(shard.out, ignore_errors=True)
        note = made(self._notes, f"{shard.name}.json")
        partial = note.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"key": key, "files": judged.files, "metrics": judged.counts}))
        os.replace(partial, note)
        return ShardRecord(key, tuple(judged.files), judged.counts)

    def find(self, name: str, key: str) -> ShardRecord | None:
        """What an interrupted run finished of a shard, if the key is the same and every byte is still there."""
        note = self._notes / f"{name}.json"
        if not note.exists():
            return None
        try:
            state = json.loads(note.read_text())
            files = {self._data / path: value for path, value in state["files"].items()}
            whole = all(path.exists() and file_digest(path) == value for path, value in files.items())
            if state["key"] != key or not whole:
                return None
            return ShardRecord(key, tuple(state["files"]), state["metrics"])
        except (ValueError, KeyError):
            return None

    def forget(self, name: str) -> None:
        """Remove what an interrupted run made of a shard that is not the one wanted."""
        note = self._notes / f"{name}.json"
        if note.exists():
            for path in _noted(note):
                (self._data / path).unlink(missing_ok=True)
            note.unlink()

    def clear(self) -> set[str]:
        """Remove what was begun and not finished; the files of `out/data` that are to stay."""
        shutil.rmtree(self._making, ignore_errors=True)
        return {path for note in self._notes.glob("*.json") for path in _noted(note)}


def made(folder: Path, name: str) -> Path:
    """A path below a folder, whose folder exists. Raises StoreError for a name that leads elsewhere."""
    if name.startswith("/") or {"", ".", ".."} & set(name.split("/")):
        raise StoreError(f"{name!r} is no name of a file below {folder.name}/")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _noted(note: Path) -> list[str]:
    try:
        return list(json.loads(note.read_text())["files"])
    except (ValueError, KeyError):
        return []
