"""MinHash signatures (Broder 1997) in bands, for the join that finds near-duplicate pages.

Each page becomes `bands` 64-bit numbers; two pages agree in a band exactly when the smallest values of its `rows` hash
functions agree, which happens with probability s^rows for a Jaccard similarity of s. The functions are odd multiples
and sums modulo 2^64 of well-mixed shingles, drawn from the seed. Written per shard and keyed by doc_id: an unchanged
shard is never hashed again. Columns: doc_id, row, ngrams (distinct shingles), band_00, band_01, … (null: no words).

Cost: `bands` x `rows` multiplications for each shingle, in numpy, `CHUNK` shingles at a time. Memory: 2 kB for each
page of a shard.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

from llm_dag import ledger
from llm_dag.config.curation import Signatures
from llm_dag.curation.shingles import ODD, Numbers, Shingler, mixed
from llm_dag.store.work import Shard, Work

CHUNK = 512  # shingles whose products lie in the second-level cache: 64 and 2,048 are up to a fifth slower


def build(work: Work) -> None:
    """Write the band numbers of every page that Gopher's rules kept."""
    work.map_shards(
        sign,
        reads={"extracted_text": "text", "gopher_filtered": "verdicts"},
        tools={"shingler": partial(Shingler, work.config.ngram), "hasher": partial(Hasher, work.config)},
    )


def sign(shard: Shard, shingler: Shingler, hasher: Hasher) -> dict[str, int]:
    """Write the shard's signatures."""
    ids, rows, counts, minima = [], [], [], []
    for document in ledger.documents(shard.read("extracted_text"), shard.read("gopher_filtered")):
        shingles = shingler.shingles(document.text)
        ids.append(document.doc_id)
        rows.append(document.row)
        counts.append(len(shingles))
        minima.append(hasher.minima(shingles))
    without = np.array([count == 0 for count in counts], bool)
    values = hasher.joined(np.array(minima, np.uint64))
    columns: dict[str, pa.Array] = {
        "doc_id": pa.array(ids, pa.string()),
        "row": pa.array(rows, pa.int64()),
        "ngrams": pa.array(counts, pa.int64()),
    }
    for band in range(hasher.count):
        columns[band_column(band)] = pa.array(values[:, band], pa.uint64(), mask=without)
    ledger.write_table(pa.table(columns), shard.write("signatures"))
    return {"documents": len(ids), "ngrams": sum(counts)}


def band_column(band: int) -> str:
    """The name of a band's column."""
    return f"band_{band:02d}"


class Hasher:
    """The hash functions of a configuration."""

    def __init__(self, config: Signatures) -> None:
        self.count = config.bands
        self._rows = config.rows
        generator = np.random.Generator(np.random.PCG64(config.seed))
        size = config.bands * config.rows
        self._multipliers = generator.integers(0, 2**64, size, np.uint64, endpoint=False) | np.uint64(1)
        self._increments = generator.integers(0, 2**64, size, np.uint64, endpoint=False)
        self._products = np.empty((CHUNK, size), np.uint64)

    def minima(self, shingles: Numbers) -> Numbers:
        """The smallest value of each hash function, shape (bands x rows,); the largest number without shingles."""
        smallest = np.full(len(self._multipliers), np.iinfo(np.uint64).max, np.uint64)
        for start in range(0, len(shingles), CHUNK):
            chunk = shingles[start : start + CHUNK, None]
            products = self._products[: len(chunk)]
            np.multiply(chunk, self._multipliers, out=products)
            np.add(products, self._increments, out=products)
            np.minimum(smallest, products.min(axis=0), out=smallest)
        return smallest

    def joined(self, minima: Numbers) -> Numbers:
        """One number for each band of each page, shape (pages, bands), from shape (pages, bands x rows)."""
        banded = minima.reshape(-1, self.count, self._rows)
        # equal rows in different bands are no agreement
        joined = np.broadcast_to(np.arange(self.count, dtype=np.uint64), banded.shape[:2])
        for row in range(self._rows):
            joined = mixed(joined * np.uint64(ODD) + banded[:, :, row])
        return joined

    def bands(self, shingles: Numbers) -> Numbers:
        """One number for each band, shape (bands,). Means nothing where there are no shingles."""
        bands: Numbers = self.joined(self.minima(shingles)[None])[0]
        return bands
