"""A shelf of artifacts that were never computed: manifests and files as a store would hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_dag.store.artifact import Artifact, place
from llm_dag.store.files import LocalFiles
from llm_dag.store.manifest import Entry, InputRef, Manifest


class Shelf:
    """Makes artifacts in a folder and opens the ones that their manifests name."""

    def __init__(self, root: Path) -> None:
        self.files = LocalFiles(root)
        self.artifacts: dict[str, Artifact] = {}

    def put(
        self,
        asset: str,
        files: Mapping[str, bytes | pa.Table] | None = None,
        inputs: tuple[Artifact, ...] = (),
        partition: str | None = None,
        metrics: Mapping[str, float] | None = None,
        config: Mapping[str, Any] | None = None,
        seconds: float = 1.0,
    ) -> Artifact:
        recipe = hashlib.sha256(f"{asset} {partition} {[one.recipe for one in inputs]}".encode()).hexdigest()
        folder = Path(self.files.url) / place(asset, partition, recipe)
        entries = {}
        for name, content in (files or {}).items():
            path = folder / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                pq.write_table(content, path)
            held = path.read_bytes()
            entries[f"data/{name}"] = Entry(f"data/{name}", hashlib.sha256(held).hexdigest(), len(held))
        references: dict[str, tuple[InputRef, ...]] = {}
        for one in inputs:
            reference = InputRef(one.asset, one.partition, one.recipe, one.digest)
            references[one.asset] = (*references.get(one.asset, ()), reference)
        manifest = Manifest(
            asset=asset,
            partition=partition,
            recipe=recipe,
            recipe_parts={},
            config=config or {},
            inputs=references,
            files=entries,
            shards={},
            metrics=metrics or {},
            witness={},
            commit={},
            versions={},
            seconds=seconds,
            finished="2024-01-01T00:00:00Z",
        )
        artifact = Artifact(self.files, manifest, lambda reference: self.artifacts[reference.recipe])
        self.artifacts[recipe] = artifact
        return artifact


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store")
