"""Runs curation steps over real `Work` and folders, without a store: what the tests of this folder stand on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf

from llm_dag import ledger
from llm_dag.config import curation as schemas
from llm_dag.config.compute import Compute
from llm_dag.config.places import shipped
from llm_dag.store.canonical import file_digest
from llm_dag.store.errors import StoreError
from llm_dag.store.manifest import Entry
from llm_dag.store.work import Work

DUMP = "test-dump"
NODES = {
    "language": schemas.Language,
    "gopher": schemas.Gopher,
    "minhash": schemas.Minhash,
    "c4": schemas.C4,
    "custom": schemas.Custom,
    "quality": schemas.Quality,
    "pii": schemas.Pii,
}


def node(name: str, **changes: Any) -> Any:
    """A node of conf/curation/fineweb.yaml as its schema, with changes."""
    return dataclasses.replace(_composed(name), **changes)


@functools.cache
def _composed(name: str) -> Any:
    values = OmegaConf.load(shipped("conf") / "curation" / "fineweb.yaml")[name]
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(NODES[name]), values))


class Made:
    """A folder that answers like a committed artifact."""

    def __init__(self, asset: str, folder: Path, above: Iterable[Made] = (), metrics: Mapping[str, float] = {}) -> None:
        self.asset, self.folder, self.above, self.metrics = asset, folder, list(above), dict(metrics)
        self.partition = DUMP
        self.place = f"{asset}/{DUMP}/test"

    @property
    def shards(self) -> tuple[str, ...]:
        kinds = ("verdicts", "text", "signatures", "pages")
        return tuple(sorted({path.stem for kind in kinds for path in (self.folder / kind).glob("*.parquet")}))

    def names(self, prefix: str = "") -> list[str]:
        files = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return sorted(name for name in files if name.startswith(prefix))

    def path(self, name: str) -> Path:
        if not (self.folder / name).is_file():
            raise StoreError(f"{self.place} holds no file {name}")
        return self.folder / name

    def entry(self, name: str) -> Entry:
        return Entry(f"data/{name}", file_digest(self.path(name)), self.path(name).stat().st_size)

    @property
    def manifest(self) -> SimpleNamespace:
        return SimpleNamespace(inputs={one.asset: () for one in self.above})

    def inputs(self, asset: str) -> list[Made]:
        return [one for one in self.above if one.asset == asset]

    def ancestor(self, asset: str) -> Made:
        level = self.above
        while level:
            for one in level:
                if one.asset == asset:
                    return one
            level = [parent for one in level for parent in one.above]
        raise StoreError(f"{self.place} was not made from any {asset}")

    def table(self, kind: str) -> pa.Table:
        """All shards of a kind, one after the other."""
        return pa.concat_tables(pq.read_table(self.path(f"{kind}/{shard}.parquet")) for shard in self.shards)

    def rows(self, kind: str = "verdicts") -> list[dict[str, Any]]:
        return self.table(kind).to_pylist()

    def kept(self) -> list[str]:
        return [row["doc_id"] for row in self.rows() if row["kept"]]

    def reasons(self) -> dict[str, str]:
        return {row["doc_id"]: row["reason"] for row in self.rows()}


def run(
    build: Callable[[Work], None], asset: str, config: Any, inputs: Sequence[Made], tmp: Path, workers: int = 1
) -> Made:
    """Run a step's build over its inputs; where none is given, there is no quality classifier."""
    folder = tmp / asset
    if asset == "custom_filtered" and not any(made.asset == "quality_classifier" for made in inputs):
        inputs = [*inputs, Made("quality_classifier", tmp / "none")]
    work = Work(
        asset=asset,
        partition=DUMP,
        config=config,
        compute=Compute(workers=workers, worker_memory_mb=0),
        input_artifacts={made.asset: [made] for made in inputs},  # type: ignore[misc]
        folder=folder,
    )
    build(work)
    return Made(asset, folder / "out" / "data", inputs, work.metrics)


def extracted(
    tmp: Path, shards: Sequence[Sequence[tuple[str, str]]], dates: Mapping[str, str] = {}, crawl: str = ""
) -> Made:
    """An `extracted_text` of (name, text) pairs for each shard; everything is kept.

    The URL is the page's name; the doc_id is the name too, with `crawl` before it.
    """
    folder = tmp / "extracted_text" / "out" / "data"
    for number, pairs in enumerate(shards):
        texts, verdicts = ledger.TextWriter(), ledger.VerdictWriter({})
        for row, (name, text) in enumerate(pairs):
            doc_id = crawl + name
            texts.add(doc_id, f"https://example.org/{name}", dates.get(doc_id, "2024-01-01T00:00:00Z"), text)
            verdicts.add(doc_id, row)
        texts.write(folder / "text" / f"{number:05d}.parquet")
        verdicts.write(folder / "verdicts" / f"{number:05d}.parquet")
    return Made("extracted_text", folder)


def verdicts_for(
    asset: str, tmp: Path, text: Made, dropped: Iterable[str] = (), **scores: Callable[[str], Any]
) -> Made:
    """Verdicts over a text artifact that drop the named documents; `scores` give string columns by doc_id."""
    folder = tmp / asset / "out" / "data"
    for shard in text.shards:
        writer = ledger.VerdictWriter({name: pa.string() for name in scores})
        for document in ledger.documents(text.path(f"text/{shard}.parquet")):
            values = {name: score(document.doc_id) for name, score in scores.items()}
            writer.add(
                document.doc_id, document.row, reason="test" if document.doc_id in set(dropped) else "", **values
            )
        writer.write(folder / "verdicts" / f"{shard}.parquet")
    return Made(asset, folder, [text])


def eval_sets(tmp: Path, items: Sequence[tuple[str, str, str]] = ()) -> Made:
    """An `eval_sets` of (task, item, text) rows."""
    folder = tmp / "eval_sets" / "out" / "data"
    columns = {name: [row[place] for row in items] for place, name in enumerate(("task", "item", "text"))}
    schema = pa.schema([(name, pa.string()) for name in columns])
    ledger.write_table(pa.table(columns, schema=schema), folder / "benchmarks.parquet")
    return Made("eval_sets", folder)


def chain(tmp: Path, text: Made, benchmarks: Made | None = None, workers: int = 1, **nodes: Any) -> dict[str, Made]:
    """Every step from language identification to redaction; `nodes` replace nodes of the configuration."""
    from llm_dag.curation import c4, custom, gopher, language, minhash, minhash_signatures, pii

    def config(name: str) -> Any:
        return nodes.get(name) or node(name)

    made = {"extracted_text": text, "eval_sets": benchmarks or eval_sets(tmp)}
    steps: list[tuple[str, Callable[[Work], None], Any, tuple[str, ...]]] = [
        ("language_filtered", language.build, config("language"), ("extracted_text",)),
        ("gopher_filtered", gopher.build, config("gopher"), ("extracted_text", "language_filtered")),
        (
            "minhash_signatures",
            minhash_signatures.build,
            config("minhash").signatures,
            ("extracted_text", "gopher_filtered"),
        ),
        (
            "minhash_deduped",
            minhash.build,
            config("minhash"),
            ("minhash_signatures", "extracted_text", "gopher_filtered"),
        ),
        ("c4_filtered", c4.build, config("c4"), ("extracted_text", "minhash_deduped")),
        ("custom_filtered", custom.build, config("custom"), ("c4_filtered", "eval_sets")),
        ("pii_redacted", pii.build, config("pii"), ("c4_filtered", "custom_filtered")),
    ]
    for asset, build, values, inputs in steps:
        made[asset] = run(build, asset, values, [made[name] for name in inputs], tmp, workers)
    return made
