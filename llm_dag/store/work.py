"""What a step sees while it works: its config, its inputs, and where to write."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_dag.config.compute import Compute
from llm_dag.progress import Progress, Silent
from llm_dag.store.artifact import DATA, Artifact
from llm_dag.store.canonical import digest, file_digest
from llm_dag.store.errors import StoreError
from llm_dag.store.manifest import Entry, ShardRecord

Reads = Mapping[str, str | tuple[str, ...]]


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
        self._out = out
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
        self.written.append(name)
        path = self._out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@dataclass
class Work:
    """One step at work. Everything that it opens comes from here; everything that it makes goes through here."""

    asset: str
    partition: str | None
    config: Any
    compute: Compute
    input_artifacts: Mapping[str, Sequence[Artifact]]
    folder: Path  # the scratch folder of the recipe: out/data, out/record, and state that survives a kill
    progress: Progress = field(default_factory=Silent)
    shard_basis: str = ""  # digest of code and config: the part that all shard keys share
    earlier_shards: Callable[[], Mapping[str, Earlier]] = dict
    metrics: dict[str, float] = field(default_factory=dict)
    witness: dict[str, Any] = field(default_factory=dict)
    references: dict[str, Entry] = field(default_factory=dict)
    shards: dict[str, ShardRecord] = field(default_factory=dict)

    def input(self, name: str) -> Artifact:
        """The one artifact of an input."""
        found = self.inputs(name)
        if len(found) != 1:
            raise StoreError(f"{self.asset} opens one {name}, but {len(found)} were given")
        return found[0]

    def inputs(self, name: str) -> Sequence[Artifact]:
        """The artifacts of an input, in the order of the configured dumps."""
        try:
            return self.input_artifacts[name]
        except KeyError:
            raise StoreError(
                f"{self.asset} opens {name}, which is not among its inputs {sorted(self.input_artifacts)}"
            ) from None

    def data(self, name: str) -> Path:
        """Where to write a file of what the artifact is."""
        return _made(self.folder / "out" / "data" / name)

    def record(self, name: str) -> Path:
        """Where to write a log, a timing, a plot, a sample."""
        return _made(self.folder / "out" / "record" / name)

    def scratch(self, name: str) -> Path:
        """Where to keep state that survives a kill and is never committed."""
        return _made(self.folder / "state" / name)

    def reference(self, name: str, url: str, digest: str, size: int) -> None:
        """A file of `data/` that stays where it is."""
        self.references[DATA + name] = Entry(DATA + name, digest, size, url)

    def declare_shard(self, name: str, files: Sequence[str], metrics: Mapping[str, float] | None = None) -> None:
        """Name a shard that was written outside `map_shards` (by a source, by a global step), and its files of `data/`."""
        self.shards[name] = ShardRecord("", tuple(files), dict(metrics or {}))

    def map_shards(
        self,
        judge: Callable[[Shard], Mapping[str, float] | None],
        reads: Reads,
        extra: Callable[[str], Any] | None = None,
    ) -> None:
        """Make every shard of the first input in `reads`; take unchanged ones from an earlier artifact.

        A shard's key is code, config, `extra(name)` and the digests of the files that it may open. A shard that an
        interrupted run finished is kept. Counts are summed into `metrics`.
        """
        names = self.input(next(iter(reads))).shards
        earlier = self.earlier_shards()
        totals: Counter[str] = Counter()
        reused = 0
        self.progress.start(self.asset, len(names), "shards")
        for done, name in enumerate(names, 1):
            beyond = extra(name) if extra else None
            opened = self._opened(name, reads)
            key = digest(
                [self.shard_basis, beyond, sorted([asset, kind, e.digest] for (asset, kind), e in opened.items())]
            )
            if key in earlier and earlier[key].record.files == tuple(self._renamed(earlier[key], name)):
                self.references |= {entry.path: entry for entry in earlier[key].entries}
                self.shards[name] = earlier[key].record
                reused += 1
            else:
                self.shards[name] = self._judged(judge, name, key, beyond, opened)
            totals.update(self.shards[name].metrics)
            self.progress.update(done)
        self.metrics |= dict(totals)
        self.metrics |= {"shards": len(names), "shards_reused": reused}

    def _opened(self, name: str, reads: Reads) -> dict[tuple[str, str], Entry]:
        opened = {}
        for asset, kinds in reads.items():
            for kind in (kinds,) if isinstance(kinds, str) else kinds:
                opened[asset, kind] = self.input(asset).entry(f"{kind}/{name}.parquet")
        return opened

    def _renamed(self, earlier: Earlier, name: str) -> list[str]:
        """A shard is shared under its own name only: the names of its files are part of the content digest."""
        return [path for path in earlier.record.files if Path(path).name.split(".")[0] == name]

    def _judged(
        self,
        judge: Callable[[Shard], Mapping[str, float] | None],
        name: str,
        key: str,
        extra: Any,
        opened: Mapping[tuple[str, str], Entry],
    ) -> ShardRecord:
        note = self.scratch(f"shards/{name}.json")
        out = self.folder / "out" / "data"
        if (finished := _finished(note, key, out)) is not None:
            return finished
        paths = {(asset, kind): self.input(asset).path(f"{kind}/{name}.parquet") for asset, kind in opened}
        shard = Shard(name, self.config, extra, paths, out)
        counts = dict(judge(shard) or {})
        files = tuple(sorted(shard.written))
        state = {"key": key, "files": {path: file_digest(out / path) for path in files}, "metrics": counts}
        partial = note.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(state))
        os.replace(partial, note)
        return ShardRecord(key, files, counts)

    def clear_outputs(self) -> None:
        """Remove what an interrupted run wrote, but for finished shards and state."""
        kept = {path for note in (self.folder / "state" / "shards").glob("*.json") for path in _noted(note)}
        out = self.folder / "out"
        for path in sorted(out.rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(out).as_posix().removeprefix("data/") not in kept:
                path.unlink()
        shutil.rmtree(out / "record", ignore_errors=True)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _noted(note: Path) -> list[str]:
    try:
        return list(json.loads(note.read_text())["files"])
    except (ValueError, KeyError):
        return []


def _finished(note: Path, key: str, out: Path) -> ShardRecord | None:
    """What an interrupted run finished of a shard, if the key is the same and every byte is still there."""
    if not note.exists():
        return None
    try:
        state = json.loads(note.read_text())
        whole = all(
            (out / path).exists() and file_digest(out / path) == value for path, value in state["files"].items()
        )
        if state["key"] != key or not whole:
            return None
        return ShardRecord(key, tuple(state["files"]), state["metrics"])
    except (ValueError, KeyError):
        return None
