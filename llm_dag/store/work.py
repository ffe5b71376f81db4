"""What a step sees while it works: its config, its inputs, and where to write."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_dag.config.compute import Compute
from llm_dag.progress import Progress, Silent
from llm_dag.store import workers
from llm_dag.store.artifact import DATA, Artifact
from llm_dag.store.canonical import digest, file_digest
from llm_dag.store.errors import StoreError
from llm_dag.store.manifest import Entry, ShardRecord
from llm_dag.store.shards import Earlier, Finished, Judge, Judging, Shard, Tools, made

__all__ = ["Earlier", "Reads", "Shard", "Work"]

Reads = Mapping[str, str | tuple[str, ...]]


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
        return made(self.folder / "out" / "data", name)

    def record(self, name: str) -> Path:
        """Where to write a log, a timing, a plot, a sample."""
        return made(self.folder / "out" / "record", name)

    def scratch(self, name: str) -> Path:
        """Where to keep state that survives a kill and is never committed."""
        return made(self.folder / "state", name)

    def reference(self, name: str, url: str, digest: str, size: int) -> None:
        """A file of `data/` that stays where it is."""
        self.references[DATA + name] = Entry(DATA + name, digest, size, url)

    def declare_shard(self, name: str, files: Sequence[str], metrics: Mapping[str, float] | None = None) -> None:
        """Name a shard that was written outside `map_shards` (by a source, by a global step), and its files."""
        self.shards[name] = ShardRecord("", tuple(files), dict(metrics or {}))

    def map_shards(
        self, judge: Judge, reads: Reads, extra: Callable[[str], Any] | None = None, tools: Tools | None = None
    ) -> None:
        """Make every shard of the first input in `reads`; take unchanged ones from an earlier artifact.

        `judge(shard, **tools)` makes one and returns its counts, which are summed into `metrics`. `tools` are what it
        needs beside the shard, each made by its function, once in each process. As all of this may run in worker
        processes (store/workers.py), judge and functions are functions of a module, or `partial`s of such functions.

        A shard's key is code, config, its name, the digests of the files that it may open, and of the inputs that are
        not in `reads` either `extra(name)`, which then speaks for all of them, or their digests. A shard that an
        interrupted run finished is kept.
        """
        names = self.input(next(iter(reads))).shards
        stale: dict[str, _Stale] = {}
        reused = 0
        self.progress.start(self.asset, len(names), "shards")
        finished, earlier = Finished(self.folder), self.earlier_shards()
        records: dict[str, ShardRecord] = {}
        for name, wanted in self._wanted(names, reads, extra).items():
            if (found := finished.find(name, wanted.key)) is not None:
                records[name] = found
                continue
            finished.forget(name)
            if wanted.key in earlier:
                self.references |= {entry.path: entry for entry in earlier[wanted.key].entries}
                records[name] = earlier[wanted.key].record
                reused += 1
            else:
                stale[name] = wanted
        if records:
            self.progress.update(len(records))

        def begin(name: str) -> Shard:
            paths = {key: self.input(key[0]).path(f"{key[1]}/{name}.parquet") for key in stale[name].opened}
            return Shard(name, self.config, stale[name].extra, paths, finished.begin())

        sizes = {name: sum(entry.bytes for entry in wanted.opened.values()) for name, wanted in stale.items()}
        job = Judging(judge, tools or {})
        with contextlib.closing(workers.results(job, sizes, begin, self.compute, self.asset, self.progress)) as results:
            for shard, judged in results:
                records[shard.name] = finished.keep(stale[shard.name].key, shard, judged)
                self.progress.update(len(records))
        totals: Counter[str] = Counter()
        for name in names:  # in this order, whichever was finished first
            self.shards[name] = records[name]
            totals.update(records[name].metrics)
        self.metrics |= {**totals, "shards": len(names), "shards_reused": reused}

    def _wanted(self, names: Sequence[str], reads: Reads, extra: Callable[[str], Any] | None) -> dict[str, _Stale]:
        """The key of each shard, and what it is made of."""
        apart = set() if extra else self.input_artifacts.keys() - reads.keys()
        whole = {name: [one.digest for one in self.inputs(name)] for name in sorted(apart)}
        wanted = {}
        for name in names:
            beyond = extra(name) if extra else None
            opened = self._opened(name, reads)
            files = sorted([asset, kind, entry.digest] for (asset, kind), entry in opened.items())
            wanted[name] = _Stale(digest([self.shard_basis, name, beyond, whole, files]), beyond, opened)
        return wanted

    def _opened(self, name: str, reads: Reads) -> dict[tuple[str, str], Entry]:
        opened = {}
        for asset, kinds in reads.items():
            for kind in (kinds,) if isinstance(kinds, str) else kinds:
                opened[asset, kind] = self.input(asset).entry(f"{kind}/{name}.parquet")
        return opened

    def forget_shards(self) -> None:
        """Remove the finished shards: the next run makes them again."""
        for name in self.shards:
            Finished(self.folder).forget(name)

    def clear_outputs(self) -> None:
        """Remove what an interrupted run wrote, but for finished shards and state.

        A run that was stopped while it committed leaves files and folders read-only.
        """
        kept = Finished(self.folder).clear()
        out = self.folder / "out"
        for path in [item for item in out.rglob("*") if item.is_dir()]:
            path.chmod(0o755)
        for path in [item for item in out.rglob("*") if not item.is_dir()]:
            if path.relative_to(out).as_posix().removeprefix("data/") in kept:
                path.chmod(0o644)
            else:
                path.unlink()
        shutil.rmtree(out / "record", ignore_errors=True)


@dataclass(frozen=True)
class _Stale:
    """A shard to be made: its key, what `extra` says of it, and the files that it opens."""

    key: str
    extra: Any
    opened: Mapping[tuple[str, str], Entry]
