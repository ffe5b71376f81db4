"""A small corpus in text shards, and tokenizers trained on it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from llm_dag.ledger import TextWriter, document_id
from llm_dag.store.digests import file_digest
from llm_dag.store.manifest import Entry
from llm_dag.tokenization.tokenizer import train, write
from llm_dag.tokenization.vocabulary import Vocabulary

SENTENCE = (
    "the path of a file is joined to os.path.join and returns str; don't RAISE ValueError über naïve 日本語 42 2026"
)

# A slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def sentences(count: int, seed: int = 0) -> list[str]:
    """Texts of common words with numbers, line breaks and indentation."""
    draw = random.Random(seed)
    return [
        "\n    ".join(
            " ".join(draw.choices(SENTENCE.split(" "), k=draw.randint(1, 12))) for _ in range(draw.randint(1, 5))
        )
        for _ in range(count)
    ]


@dataclass
class FolderArtifact:
    """An artifact as steps read it, over a plain folder."""

    root: Path

    @property
    def shards(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self.root / "text").glob("*.parquet")))

    @property
    def digest(self) -> str:
        return "0" * 32

    def names(self, prefix: str = "") -> list[str]:
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())
        return sorted(name for name in found if name.startswith(prefix))

    def path(self, name: str) -> Path:
        return self.root / name

    def folder(self, prefix: str = "") -> Path:
        return self.root / prefix

    def entry(self, name: str) -> Entry:
        return Entry(f"data/{name}", file_digest(self.root / name), (self.root / name).stat().st_size)


def write_shards(root: Path, texts: list[list[str]]) -> FolderArtifact:
    """Text shards as `pii_redacted` has them; every fourth document is held out."""
    import pyarrow as pa

    for number, shard in enumerate(texts):
        writer = TextWriter({"cluster": pa.string(), "split": pa.string()})
        for row, text in enumerate(shard):
            doc_id = document_id("test", number, row)
            split = "heldout" if row % 4 == 3 else "train"
            writer.add(doc_id, f"https://example.org/{number}/{row}", "2026-01-01", text, cluster=doc_id, split=split)
        writer.write(root / f"text/{number:05d}.parquet")
    return FolderArtifact(root)


@pytest.fixture(scope="session")
def clean_text(tmp_path_factory: pytest.TempPathFactory) -> FolderArtifact:
    texts = [
        [*sentences(40, seed), "", "ends with <|im_end|> and <|endoftext|>", "x", "🙂🙃 e\u0301"] for seed in range(3)
    ]
    return write_shards(tmp_path_factory.mktemp("pii_redacted"), texts)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tokenizer with at most 400 tokens and the given pre-tokenization pattern."""
    folders: dict[str, Path] = {}

    def folder(pattern: str) -> Path:
        if pattern not in folders:
            folders[pattern] = tmp_path_factory.mktemp(pattern)
            write(train(iter([sentences(300)]), pattern, 400), lambda name: folders[pattern] / name)
        return folders[pattern]

    return folder


@pytest.fixture(scope="session")
def vocabulary(trained: Callable[[str], Path]) -> Vocabulary:
    return Vocabulary.load(trained("cl100k"))
