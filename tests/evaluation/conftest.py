"""A shelf of artifacts that were never computed, a small vocabulary, and token arrays made with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_dag.store.artifact import Artifact, place
from llm_dag.store.files import LocalFiles
from llm_dag.store.manifest import Entry, InputRef, Manifest
from llm_dag.tokenization.split_patterns import split_pattern
from llm_dag.tokenization.vocabulary import Vocabulary

MERGES = (b"th", b"the", b" a", b" the", b"in", b"ing", b"er", b"re", b"on", b"jo", b"join")


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


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """Every byte and a few merges."""
    tokens = [bytes([byte]) for byte in range(256)] + list(MERGES)
    return Vocabulary(split_pattern("gpt2"), tokens, tmp_path_factory.mktemp("vocabulary"))


def token_arrays(
    shelf: Shelf, vocabulary: Vocabulary, train: Sequence[str], heldout: Sequence[str], dump: str = "dump-1"
) -> Artifact:
    """An artifact `token_arrays` with one shard."""
    rows: list[dict[str, Any]] = []
    files: dict[str, bytes | pa.Table] = {}
    for split, texts in (("train", train), ("heldout", heldout)):
        ids: list[int] = []
        for number, text in enumerate(texts):
            encoded = [*vocabulary.encode(text), vocabulary.end_of_text]
            rows.append(
                {
                    "doc_id": f"{split}-{number}",
                    "url": f"https://docs.example/{split}/{number}",
                    "split": split,
                    "first_token": len(ids),
                    "tokens": len(encoded),
                    "bytes": len(text.encode()),
                }
            )
            ids += encoded
        files[f"{split}/00000.bin"] = np.array(ids, "<u2").tobytes()
    files["documents/00000.parquet"] = pa.Table.from_pylist(rows)
    described = {"dtype": "uint16", "byte_order": "little", "vocab_size": vocabulary.size}
    files["arrays.json"] = json.dumps(described | {"vocabulary": "v", "end_of_text": vocabulary.end_of_text}).encode()
    return shelf.put("token_arrays", files, partition=dump)


@pytest.fixture
def arrays_of(shelf: Shelf, vocabulary: Vocabulary) -> Any:
    """Makes `token_arrays` of (train texts, held-out texts)."""

    def make(train: Sequence[str], heldout: Sequence[str], dump: str = "dump-1") -> Artifact:
        return token_arrays(shelf, vocabulary, train, heldout, dump)

    return make
