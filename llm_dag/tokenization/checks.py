"""Checks of the tokenizer and of the token arrays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llm_dag.store.artifact import Artifact
from llm_dag.store.checks import CheckResult
from llm_dag.tokenization.arrays import DTYPES
from llm_dag.tokenization.vocabulary import Vocabulary

SPLITS = ("train", "heldout")
COMPARED = 20  # documents of each shard that are decoded and compared with their text


def round_trips_every_byte(artifact: Artifact) -> CheckResult:
    """Each byte is a token, every byte string round-trips, and text that spells a special stays text."""
    vocabulary = Vocabulary.load(artifact.folder())
    every = bytes(range(256))
    lost = [byte for byte in every if len(vocabulary.encode_bytes(bytes([byte]))) != 1]
    broken = [
        data
        for data in (every, every[::-1], every * 2)
        if vocabulary.decode_bytes(vocabulary.encode_bytes(data)) != data
    ]
    planes = "".join(chr(code) for code in range(0, 0x110000, 7) if not 0xD800 <= code < 0xE000)
    same = vocabulary.decode(vocabulary.encode(planes)) == planes
    specials = set(vocabulary.special_ids.values())
    leaking = [name for name in vocabulary.special_ids if specials & set(vocabulary.encode(f"a {name}b{name}"))]
    passed = not lost and not broken and same and not leaking
    message = (
        f"{256 - len(lost)} of 256 bytes are single tokens, {3 - len(broken)} of 3 byte strings and "
        f"{'all' if same else 'not all'} characters of a text from every plane come back; "
        f"text becomes a special token for {leaking or 'none'} of {len(specials)}"
    )
    return CheckResult(passed, message, {"vocab_size": vocabulary.size, "bytes_lost": len(lost)})


def arrays_conserve(artifact: Artifact) -> CheckResult:
    """Each document of the clean text lies in the arrays once, with all its bytes; some are decoded and compared."""
    clean, vocabulary, dtype = _sources(artifact)
    lengths = np.array([len(vocabulary.token_bytes(token)) for token in range(vocabulary.size)])
    lengths[vocabulary.end_of_text] = 0
    faults: list[str] = []
    totals: Counter[str] = Counter()
    for shard in artifact.shards:
        table = _documents(artifact, shard)
        text = pq.read_table(
            clean.path(f"text/{shard}.parquet"), columns=["doc_id", "text", "split"], partitioning=None
        )
        totals["documents"] += len(table)
        if not all(table[name].equals(text[name]) for name in ("doc_id", "split")):
            faults.append(f"shard {shard}: the {len(table)} documents are not the {len(text)} of the text, in order")
            continue
        for split in SPLITS:
            ids = np.fromfile(artifact.path(f"{split}/{shard}.bin"), dtype)
            rows = pc.equal(table["split"], split)
            part = _Part(table.filter(rows), text.filter(rows)["text"], ids)
            totals["tokens"] += len(ids)
            totals["compared"] += len(part.compared)
            faults += [f"shard {shard}, {split}: {fault}" for fault in part.faults(vocabulary, lengths)]
    message = (
        f"{totals['documents']} documents, {totals['tokens']} tokens, {totals['compared']} compared with their text"
    )
    if faults:
        message += f"; {len(faults)} faults, the first: {faults[0]}"
    return CheckResult(not faults, message, {**totals, "faults": len(faults)})


def no_special_inside_documents(artifact: Artifact) -> CheckResult:
    """The arrays hold no special token but one `<|endoftext|>` behind each document."""
    _, vocabulary, dtype = _sources(artifact)
    first, end = min(vocabulary.special_ids.values()), vocabulary.end_of_text
    specials = ends = documents = 0
    for shard in artifact.shards:
        table = _documents(artifact, shard)
        documents += len(table)
        for split in SPLITS:
            ids = np.fromfile(artifact.path(f"{split}/{shard}.bin"), dtype)
            rows = table.filter(pc.equal(table.column("split"), split))
            last = np.asarray(rows.column("first_token")) + np.asarray(rows.column("tokens")) - 1
            specials += int((ids >= first).sum())
            ends += int((ids[last[last < len(ids)]] == end).sum())
    message = (
        f"{specials} special tokens, {ends} of them `<|endoftext|>` behind a document; wanted {documents} and no other"
    )
    return CheckResult(specials == ends == documents, message, {"specials": specials, "documents": documents})


@dataclass(frozen=True)
class _Part:
    """One split of one shard: the rows of its documents, their texts, and the ids."""

    rows: pa.Table
    texts: pa.ChunkedArray
    ids: np.ndarray

    @property
    def compared(self) -> range:
        return range(0, len(self.rows), max(1, len(self.rows) // COMPARED))

    def faults(self, vocabulary: Vocabulary, lengths: np.ndarray) -> Iterator[str]:
        """What does not fit: places, numbers of bytes (of every document), texts (of some)."""
        first, tokens = self.rows["first_token"].to_numpy(), self.rows["tokens"].to_numpy()
        ends = np.cumsum(tokens)
        if len(self.ids) != tokens.sum() or (first != ends - tokens).any():
            yield f"{len(self.ids)} tokens in the file, {tokens.sum()} of documents; wanted them equal, end to end"
            return
        if (self.ids >= vocabulary.size).any():
            yield f"token {self.ids.max()}; the vocabulary has {vocabulary.size}"
            return
        sizes = np.add.reduceat(lengths[self.ids], first) if len(first) else first
        wanted = pc.binary_length(self.texts).to_numpy()
        for at in np.flatnonzero((sizes != wanted) | (sizes != self.rows["bytes"].to_numpy()))[:1]:
            yield f"{self.rows['doc_id'][at]} decodes to {sizes[at]} bytes; its text has {wanted[at]}"
        for at in self.compared:
            if vocabulary.decode(self.ids[first[at] : ends[at] - 1].tolist()) != self.texts[at].as_py():
                yield f"{self.rows['doc_id'][at]} does not decode to its text"


def _documents(artifact: Artifact, shard: str) -> pa.Table:
    return pq.read_table(artifact.path(f"documents/{shard}.parquet"), partitioning=None)


def _sources(artifact: Artifact) -> tuple[Artifact, Vocabulary, np.dtype[Any]]:
    described = json.loads(artifact.path("arrays.json").read_text())
    vocabulary = Vocabulary.load(artifact.inputs("tokenizer")[0].folder())
    return artifact.inputs("pii_redacted")[0], vocabulary, np.dtype(DTYPES[described["dtype"]])
