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
from llm_dag.tokenization.tokenizer import train, write
from llm_dag.tokenization.vocabulary import Vocabulary


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
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with every byte and a few merges."""
    folder = tmp_path_factory.mktemp("tokenizer")
    words = [
        "the thing that is another thing",
        "join the string and return the rest",
        "Question: What is it? Answer: the",
    ]
    write(train(iter([words * 20]), "gpt2", 300), lambda name: folder / name)
    return folder


@pytest.fixture(scope="session")
def vocabulary(tokenizer_folder: Path) -> Vocabulary:
    return Vocabulary.load(tokenizer_folder)


def token_arrays(
    shelf: Shelf, vocabulary: Vocabulary, training: Sequence[str], heldout: Sequence[str], dump: str
) -> Artifact:
    """An artifact `token_arrays` with one shard."""
    rows: list[dict[str, Any]] = []
    files: dict[str, bytes | pa.Table] = {}
    for split, texts in (("train", training), ("heldout", heldout)):
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

    def make(training: Sequence[str], heldout: Sequence[str], dump: str = "dump-1") -> Artifact:
        return token_arrays(shelf, vocabulary, training, heldout, dump)

    return make
