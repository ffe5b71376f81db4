"""Read documents back out of token arrays: the held-out sample, and the training text.

Token ids decode to exactly the bytes of the text, so nothing else needs to be opened. Documents are chosen by a hash of
seed and doc_id, so a sample is spread over all shards and does not change when others join or leave it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from llm_dag.store.errors import StoreError
from llm_dag.tasks.splits import rank
from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.tokenization.vocabulary import Vocabulary


class NoDocuments(StoreError):
    """A split of the token arrays is empty."""


@dataclass(frozen=True)
class Document:
    """One document of a split: its ids without the `<|endoftext|>` behind them, and the bytes that they stand for."""

    dump: str
    doc_id: str
    url: str
    ids: tuple[int, ...]
    lengths: tuple[int, ...]  # bytes of each id
    text: bytes


@dataclass(frozen=True)
class Chosen:
    """Some documents of a split, in the order of the arrays, and what part of the split they are."""

    table: pa.Table
    bytes: int
    documents_of_all: int
    bytes_of_all: int

    @property
    def whole(self) -> bool:
        return self.bytes == self.bytes_of_all


def choose(arrays: TokenArrays, limit: int, seed: int) -> Chosen:
    """Documents in hash order until the next would pass `limit` bytes, at least one; all of them where they fit.

    Raises:
        NoDocuments: the split has no documents.
    """
    table = arrays.documents(0, len(arrays))
    sizes = table.column("bytes").to_pylist()
    if not sizes:
        raise NoDocuments(
            f"the {arrays.split} split holds no documents; wanted: more pages, or another curation.pii.heldout_fraction"
        )
    names = table.column("doc_id").to_pylist()
    order = sorted(range(len(sizes)), key=lambda at: (rank(names[at], seed), names[at]))
    taken, total = [order[0]], sizes[order[0]]
    for at in order[1:]:
        if total + sizes[at] > limit:
            break
        taken.append(at)
        total += sizes[at]
    return Chosen(table.take(sorted(taken)), total, len(sizes), sum(sizes))


def read(arrays: TokenArrays, table: pa.Table, vocabulary: Vocabulary) -> Iterator[Document]:
    """The documents of some rows of `arrays.documents`."""
    pieces = [vocabulary.token_bytes(token) for token in range(vocabulary.size)]
    for row in table.select(["dump", "doc_id", "url", "first_token", "tokens"]).to_pylist():
        ids = arrays.slice(row["first_token"], row["tokens"]).tolist()
        if ids and ids[-1] == vocabulary.end_of_text:
            ids.pop()
        parts = [pieces[token] for token in ids]
        yield Document(row["dump"], row["doc_id"], row["url"], tuple(ids), tuple(map(len, parts)), b"".join(parts))


def texts(arrays: TokenArrays, vocabulary: Vocabulary, table: pa.Table | None = None) -> Iterator[bytes]:
    """The bytes of documents, all of the split unless a table names some."""
    wanted = arrays.documents(0, len(arrays)) if table is None else table
    pieces = np.array([vocabulary.token_bytes(token) for token in range(vocabulary.size)], dtype=object)
    for first, tokens in zip(
        wanted.column("first_token").to_pylist(), wanted.column("tokens").to_pylist(), strict=True
    ):
        ids = arrays.slice(first, tokens)
        yield b"".join(pieces[ids[ids != vocabulary.end_of_text]].tolist())


def hashed(names: Sequence[str], seed: int) -> list[int]:
    """Positions of `names` in hash order: which of them are asked first."""
    return sorted(range(len(names)), key=lambda at: (rank(names[at], seed), names[at], at))
