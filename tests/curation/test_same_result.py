"""What comes out of the eight steps depends on the pages alone: not on shards, files, their order, or who works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_dag.assets.graph import graph
from llm_dag.config.compose import compose
from llm_dag.progress import Silent
from llm_dag.store.artifact import Artifact
from llm_dag.store.build import materialize
from llm_dag.store.resolve import Resolver
from llm_dag.store.store import Store
from tests.curation.crawling import rows

CURATION = ("documentation", "fineweb")
SMALL = ("scale=ci", "source.max_pages=60", "source.distributions=[]")


def made(store: Path, *overrides: str, until: str = "pii_redacted") -> dict[str, Artifact]:
    """Every artifact that `until` is made from, and itself."""
    config, steps = compose(list(overrides)), graph()
    wanted = {until}
    for name in reversed(list(steps)):
        if name in wanted:
            wanted |= {item.asset for item in steps[name].inputs}
    found = {}
    for name in (name for name in steps if name in wanted):
        resolver = Resolver(Store(str(store)), steps, config.identity)
        dump = config.identity.source.dump if steps[name].partitioned else None
        found[name] = materialize(resolver, name, dump, config.compute, Silent()).artifact
    return found


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """WARC files of a small crawl, canaries among its pages."""
    pages = made(tmp_path_factory.mktemp("crawl"), *SMALL, "source.shard_documents=40", until="raw_pages")["raw_pages"]
    return [pages.path(name) for name in pages.names("warc/")]


def read_as(files: list[Path], curation: str, documents: int, *more: str) -> list[str]:
    named = ",".join(map(str, files))
    return ["scale=ci", "source=warc", f"source.files=[{named}]", f"source.shard_documents={documents}",
            f"curation={curation}", *more]  # fmt: skip


def kept(made: dict[str, Artifact]) -> dict[str, tuple[str, ...]]:
    """The clean text, the cluster and the side of the split of every page that is left."""
    texts = rows(made["pii_redacted"], "text")
    return {row["doc_id"]: (row["url"], row["text"], row["cluster"], row["split"]) for row in texts}


def fates(made: dict[str, Artifact]) -> Iterator[tuple[str, str, str]]:
    for name, artifact in made.items():
        for row in rows(artifact, "verdicts"):
            yield name, row["doc_id"], row["reason"]


@pytest.mark.parametrize("curation", CURATION)
def test_another_shard_size_and_order_of_files_keep_the_same_pages(
    tmp_path: Path, crawl: list[Path], curation: str
) -> None:
    whole = made(tmp_path / "whole", *read_as(crawl, curation, 50_000))
    parts = made(tmp_path / "parts", *read_as(crawl[::-1], curation, 7))
    assert (len(whole["raw_pages"].shards), len(parts["raw_pages"].shards) > 5) == (1, True)
    assert len(kept(whole)) > 10
    assert kept(parts) == kept(whole)
    assert sorted(fates(parts)) == sorted(fates(whole))


def test_two_runs_and_another_number_of_workers_give_the_same_digests(tmp_path: Path, crawl: list[Path]) -> None:
    alone, again, together = (
        made(tmp_path / name, *read_as(crawl, "fineweb", 15, f"compute.workers={workers}"))
        for name, workers in (("alone", 1), ("again", 1), ("together", 3))
    )
    digests = {name: artifact.digest for name, artifact in alone.items()}
    assert {name: artifact.digest for name, artifact in again.items()} == digests
    assert {name: artifact.digest for name, artifact in together.items()} == digests
