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
        if name not in self.written:
            self.written.append(name)
        return _made(self._out, name)


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
    recipe: str = ""  # digest: names the artifact that is being made
    digest_of: Callable[[Path], str] = file_digest  # sha256 of a file, from memory where it is large and unchanged
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
        return _made(self.folder / "out" / "data", name)

    def record(self, name: str) -> Path:
        """Where to write a log, a timing, a plot, a sample."""
        return _made(self.folder / "out" / "record", name)

    def scratch(self, name: str) -> Path:
        """Where to keep state that survives a kill and is never committed."""
        return _made(self.folder / "state", name)

    def reference(self, name: str, url: str, digest: str, size: int) -> None:
        """A file of `data/` that stays where it is."""
        self.references[DATA + name] = Entry(DATA + name, digest, size, url)

    def declare_shard(self, name: str, files: Sequence[str], metrics: Mapping[str, float] | None = None) -> None:
        """Name a shard that was written outside `map_shards` (by a source, by a global step), and its files."""
        self.shards[name] = ShardRecord("", tuple(files), dict(metrics or {}))

    def map_shards(
        self,
        judge: Callable[[Shard], Mapping[str, float] | None],
        reads: Reads,
        extra: Callable[[str], Any] | None = None,
    ) -> None:
        """Make every shard of the first input in `reads`; take unchanged ones from an earlier artifact.

        A shard's key is code, config, its name, the digests of the files that it may open, and of the inputs that are
        not in `reads` either `extra(name)`, which then speaks for all of them, or their digests. A shard that an
        interrupted run finished is kept. Counts are summed into `metrics`.
        """
        names = self.input(next(iter(reads))).shards
        earlier = self.earlier_shards()
        apart = set() if extra else self.input_artifacts.keys() - reads.keys()
        whole = {name: [one.digest for one in self.inputs(name)] for name in sorted(apart)}
        totals: Counter[str] = Counter()
        reused = 0
        self.progress.start(self.asset, len(names), "shards")
        for done, name in enumerate(names, 1):
            beyond = extra(name) if extra else None
            opened = self._opened(name, reads)
            files = sorted([asset, kind, entry.digest] for (asset, kind), entry in opened.items())
            key = digest([self.shard_basis, name, beyond, whole, files])
            note, out = self.scratch(f"shards/{name}.json"), self.folder / "out" / "data"
            if (finished := _finished(note, key, out)) is not None:
                self.shards[name] = finished
            elif key in earlier:
                _forget(note, out)
                self.references |= {entry.path: entry for entry in earlier[key].entries}
                self.shards[name] = earlier[key].record
                reused += 1
            else:
                _forget(note, out)
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

    def _judged(
        self,
        judge: Callable[[Shard], Mapping[str, float] | None],
        name: str,
        key: str,
        extra: Any,
        opened: Mapping[tuple[str, str], Entry],
    ) -> ShardRecord:
        note, out = self.scratch(f"shards/{name}.json"), self.folder / "out" / "data"
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
        """Remove what an interrupted run wrote, but for finished shards and state.

        A run that was stopped while it committed leaves files and folders read-only.
        """
        kept = {path for note in (self.folder / "state" / "shards").glob("*.json") for path in _noted(note)}
        out = self.folder / "out"
        for path in [item for item in out.rglob("*") if item.is_dir()]:
            path.chmod(0o755)
        for path in [item for item in out.rglob("*") if not item.is_dir()]:
            if path.relative_to(out).as_posix().removeprefix("data/") in kept:
                path.chmod(0o644)
            else:
                path.unlink()
        shutil.rmtree(out / "record", ignore_errors=True)


def _made(folder: Path, name: str) -> Path:
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


def _forget(note: Path, out: Path) -> None:
    """Remove what an interrupted run made of a shard that is not the one wanted."""
    if note.exists():
        for path in _noted(note):
            (out / path).unlink(missing_ok=True)
        note.unlink()


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
