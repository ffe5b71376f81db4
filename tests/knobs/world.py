"""A graph at its smallest, made once; then single steps of it under changed keys, over the same inputs."""

from __future__ import annotations

import copy
import dataclasses
import functools
import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_dag.assets.graph import graph
from llm_dag.config.compose import Config, compose
from llm_dag.config.compute import Compute
from llm_dag.config.root import Identity
from llm_dag.config.source import CommonCrawl, Jsonl, Parquet, Warc
from llm_dag.curation.python_docs.site import Page
from llm_dag.curation.warc_writer import write_pages
from llm_dag.progress import Progress, Silent
from llm_dag.store.artifact import Artifact
from llm_dag.store.build import Outcome, materialize
from llm_dag.store.canonical import config_values
from llm_dag.store.code_identity import identify
from llm_dag.store.resolve import Resolver
from llm_dag.store.step import Graph
from llm_dag.store.store import Store
from tests.knobs import pages

CRAWLS = ("CC-MAIN-2024-22", "CC-MAIN-2024-26")
DUMP, SECOND = "python-docs", "second"
WARC, PARQUET, JSONL = "warc:", "parquet:", "jsonl:"  # before a key of another source, whose schema is another
COMMON_CRAWL = "common_crawl:"
ROWS = {PARQUET: Parquet, JSONL: Jsonl}

SMALL = (
    "scale=ci",
    "compute.compile=false",
    "compute.accelerator=cpu",
    "compute.threads=1",
    "source.max_pages=60",
    "source.distributions=[]",
    "source.shard_documents=40",
    "curation.pii.heldout_fraction=0.2",
    "tokenizer.vocab_size=400",
    "model.width=32",
    "model.ffn=64",
    "pretrain.sequence=64",
    "pretrain.batch_tokens=256",
    "pretrain.device_tokens=256",
    "pretrain.tokens=2048",
    "pretrain.validate_every=4",
    "pretrain.heldout_tokens=256",
    "pretrain.precision=float32",
    "tasks.arithmetic_problems=30",
    "conversations.max_subjects=30",
    "sft.batch_tokens=512",
    "sft.device_tokens=512",
    "sft.epochs=1",
    "sft.decay=0.5",
    "sft.precision=float32",
    "evaluation.harness.heldout_bytes=4000",
    "evaluation.harness.window=32",
    "evaluation.harness.prime_bytes=20000",
    "evaluation.harness.questions=4",
    "evaluation.harness.taught_questions=2",
    "evaluation.harness.answer_tokens=8",
    "evaluation.harness.resamples=100",
    "evaluation.harness.dream_tokens=8",
    "evaluation.harness.max_ratio_to_xz=9.0",
    "pretrain.max_ratio_to_xz=9.0",
    "evaluation.report.samples=2",
)


@dataclass
class World:
    """The store of the graph, its configuration, a folder of files, and the keys that name some of them."""

    folder: Path
    config: Config
    named: Mapping[str, str]
    graph: Graph = field(default_factory=graph)

    def __post_init__(self) -> None:
        self.store = Store(self.config.compute.store)
        self._code = functools.cache(identify)

    @property
    def compute(self) -> Compute:
        return self.config.compute

    def changed(self, changes: Mapping[str, Any]) -> Identity:
        """The configuration with other values; a key that starts with a kind of source makes the source one of it."""
        identity = copy.deepcopy(self.config.identity)
        if any(key.startswith(WARC) for key in changes):
            identity.source = Warc("warc", "crawl", 3, [str(self.folder / "first.warc.gz")])
        if any(key.startswith(COMMON_CRAWL) for key in changes):
            identity.source = CommonCrawl("common_crawl", "crawl", 3, CRAWLS[0], 0, 1)
        for prefix, kind in ROWS.items():
            if any(key.startswith(prefix) for key in changes):
                name = prefix[:-1]
                identity.source = kind(
                    name, "rows", 3, [str(self.folder / f"first.{name}")], "text", "id", "url", "date"
                )
        for key, value in changes.items():
            *path, name = key.rpartition(":")[2].split(".")
            node = functools.reduce(getattr, path, identity)
            assert hasattr(node, name), key
            setattr(node, name, value)
            assert not list(node.problems() if hasattr(node, "problems") else ()), f"{key}={value} is no allowed value"
        return identity

    def resolver(self, changes: Mapping[str, Any], store: Store | None = None) -> Resolver:
        return Resolver(store or self.store, self.graph, self.changed(changes), self._code)

    def make(
        self,
        asset: str,
        changes: Mapping[str, Any] = {},
        progress: Progress | None = None,
        dump: str | None = None,
        **compute: Any,
    ) -> Outcome:
        """Materialize one asset under changed keys, and first those inputs that are not there."""
        resolver = self.resolver(changes)
        for item in self.graph[asset].inputs:
            if item.via:
                continue
            wanted = resolver.dumps(item) if item.dumps else [dump]
            for one in wanted:
                if resolver.resolve(item.asset, one).artifact is None:
                    self.make(item.asset, changes, dump=one)
        for name, one in resolver.earlier(self.graph[asset], dump or resolver.root.source.dump):
            if resolver.resolve(name, one).artifact is None:
                self.make(name, changes, dump=one)
        where = dataclasses.replace(self.compute, **compute)
        return materialize(self.resolver(changes), asset, dump, where, progress or Silent())

    def artifact(self, asset: str, changes: Mapping[str, Any] = {}) -> Artifact:
        return self.make(asset, changes).artifact


def files_of(artifact: Artifact, prefix: str) -> dict[str, str]:
    """Digests of the files of data/ whose names begin with `prefix`."""
    found = {name: artifact.entry(name).digest for name in artifact.names(prefix)}
    assert found, f"{artifact.place} has no file {prefix}"
    return found


def build_world(folder: Path) -> World:
    """Make the graph once, and the clean text of a second dump."""
    named = _files(folder)
    config = compose([*SMALL, f"compute.store={folder / 'store'}", *(f"{key}={value}" for key, value in named.items())])
    world = World(folder, config, named)
    source = config.identity.source
    second = dataclasses.replace(source, dump=SECOND, max_pages=24, canaries="")  # type: ignore[call-arg]
    for one in (source, second):
        world.store.register_dump(one.dump, config_values(one))
    for name, step in world.graph.items():
        outcome = world.make(name)
        failed = [f"{record.name}: {record.message}" for record in outcome.checks.values() if not record.passed]
        assert not failed, f"{name}: {failed}"
        if step.partitioned and step.group in ("crawl", "curation", "tokens"):
            world.make(name, dump=SECOND)
    return world


def _files(folder: Path) -> dict[str, str]:
    pages.write_canaries(folder / "canaries")
    pages.write_conversations(folder / "conversations.jsonl", 24)
    pages.write_benchmarks(folder / "benchmarks.jsonl")
    for number, name in enumerate(("first", "other")):
        found = [
            Page(f"https://town.example/{name}/{page}.html", _html(pages.about(f"{name} {page}")))
            for page in range(5 + number)
        ]
        write_pages(folder / f"{name}.warc.gz", found)
        pages.write_rows(folder, name, 5 + number)
    for crawl, names in zip(CRAWLS, (("first", "other"), ("other",)), strict=True):
        _mirror(folder / "mirror", crawl, [folder / f"{name}.warc.gz" for name in names])
    return {
        "source.canaries": str(folder / "canaries"),
        "conversations.handwritten": str(folder / "conversations.jsonl"),
        "tasks.files": f"[{folder / 'benchmarks.jsonl'}]",
        "compute.common_crawl": str(folder / "mirror"),
    }


def _mirror(folder: Path, crawl: str, files: Sequence[Path]) -> None:
    """A crawl of Common Crawl as a mirror holds it."""
    paths = [f"crawl-data/{crawl}/warc/{file.name}" for file in files]
    (folder / paths[0]).parent.mkdir(parents=True)
    for path, file in zip(paths, files, strict=True):
        shutil.copy(file, folder / path)
    (folder / f"crawl-data/{crawl}/warc.paths.gz").write_bytes(gzip.compress("\n".join(paths).encode()))


def _html(text: str) -> bytes:
    return f"<html><body><article>{pages.paragraphs(text)}</article></body></html>".encode()
