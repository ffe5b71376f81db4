"""Turn clean text into arrays of token ids: the step `token_arrays`.

For each text shard: `train/<shard>.bin` and `heldout/<shard>.bin` hold the documents of the two splits in shard order,
each followed by `<|endoftext|>`, as bare little-endian integers (2 bytes an id up to 65,536 tokens, else 4).
`documents/<shard>.parquet` says where each document lies, so that a range of tokens names the pages it came from.
`arrays.json` says how to read the ids and which vocabulary they belong to. Memory: one batch of documents.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from llm_dag.config import tokenizer as config
from llm_dag.ledger import write_table
from llm_dag.store.errors import StoreError
from llm_dag.store.work import Shard, Work
from llm_dag.tokenization.vocabulary import Vocabulary

SPLITS = ("train", "heldout")
BATCH = 1_000  # documents in memory at a time

DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("first_token", pa.int64(), nullable=False),  # in the shard's file of that split
        pa.field("tokens", pa.int64(), nullable=False),  # with the <|endoftext|>
        pa.field("bytes", pa.int64(), nullable=False),  # of the text, in UTF-8
    ]
)


class TokenArraysError(StoreError):
    """A text shard or a setting from which no arrays can be made."""


def build(work: Work) -> None:
    """Encode every shard; a shard is reused while its text, the code and the vocabulary are the same."""
    folder = work.input("tokenizer").folder()
    vocabulary = Vocabulary.load(folder)
    dtype = storage(work.config, vocabulary.size)
    work.map_shards(
        partial(judge, dtype=dtype),
        reads={"pii_redacted": "text"},
        extra=lambda name: vocabulary.digest,
        tools={"vocabulary": partial(Vocabulary.load, folder)},
    )
    described = {
        "dtype": dtype.name,
        "byte_order": "little",
        "vocab_size": vocabulary.size,
        "vocabulary": vocabulary.digest,
        "end_of_text": vocabulary.end_of_text,
    }
    work.data("arrays.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def storage(chosen: config.Tokens, vocab_size: int) -> np.dtype[Any]:
    """The integer type of the files. Raises TokenArraysError if the configured one is too narrow."""
    narrow = vocab_size <= 2**16
    if chosen.dtype == "uint16" and not narrow:
        raise TokenArraysError(f"tokens.dtype=uint16 for a vocabulary of {vocab_size}; wanted auto or uint32")
    return np.dtype("<u2" if narrow and chosen.dtype != "uint32" else "<u4")


def judge(shard: Shard, vocabulary: Vocabulary, dtype: np.dtype[Any]) -> dict[str, int]:
    """Encode one shard; counts documents, tokens and bytes of each split."""
    text = shard.read("pii_redacted", "text")
    columns: dict[str, list[Any]] = {name: [] for name in DOCUMENTS.names}
    counts = Counter({f"{what}_{split}": 0 for what in ("documents", "tokens", "bytes") for split in SPLITS})
    with (
        shard.write("train", ".bin").open("wb") as train,
        shard.write("heldout", ".bin").open("wb") as heldout,
    ):
        files: dict[str, BinaryIO] = {"train": train, "heldout": heldout}
        for row in encoded(text, vocabulary):
            ids, split = row.pop("ids"), row["split"]
            if split not in files:
                raise TokenArraysError(f"{text}: {row['doc_id']} is of split {split!r}; wanted one of {list(files)}")
            files[split].write(np.array(ids, dtype).tobytes())
            row["first_token"] = counts[f"tokens_{split}"]
            counts[f"documents_{split}"] += 1
            counts[f"tokens_{split}"] += row["tokens"]
            counts[f"bytes_{split}"] += row["bytes"]
            for name in DOCUMENTS.names:
                columns[name].append(row[name])
    write_table(pa.table(columns, schema=DOCUMENTS), shard.write("documents"))
    return dict(counts)


def encoded(shard: Path, vocabulary: Vocabulary) -> Iterator[dict[str, Any]]:
    """The rows of a text shard with their ids, tokens and bytes."""
    for batch in pq.ParquetFile(shard).iter_batches(batch_size=BATCH, columns=["doc_id", "url", "text", "split"]):
        for row in batch.to_pylist():
            text = row.pop("text")
            ids = [*vocabulary.encode(text), vocabulary.end_of_text]
            yield {**row, "ids": ids, "tokens": len(ids), "bytes": len(text.encode())}
