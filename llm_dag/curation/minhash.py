"""Near-duplicates of a dump: pages that share a band are candidates, and only true similarity removes one.

The join over bands is the one global step of curation. What is kept depends on texts, dates, doc_ids and the earlier
dumps that are named, never on the number or the order of the shards.

1. For each band, the numbers of all pages are sorted outside memory (`external_sort`); pages with equal numbers are
   joined, and what hangs together is a cluster (`clusters`).
2. The pages of clusters go to scratch, their shingles too (`minhash_pages`), and are sorted cluster by cluster.
3. In each cluster pages are met in a stated order and compared with kept ones (`duplicates` states the rule). A page is
   removed if its Jaccard similarity (distinct word n-grams of both texts) with a kept page, its winner, is at least
   the threshold. A chain of pages, each like the next, is therefore never removed for a winner that is not like them.
4. The fates are sorted by page and written, one shard after the other.

With `scope: all`, kept pages of the named earlier dumps take part: they are met first and stay kept, and pages of the
same address are candidates too. What an earlier dump decided is read and never changed. A dump that stands in the list
itself is compared with those before it.

Every page of a cluster carries its name (the smallest doc_id), kept or not, and its split key: the smallest digest of
its pages' addresses, or where it holds pages of earlier dumps, the smallest split key of those. Held-out data is split
by that key. It names no dump, so a page crawled again, whose doc_id is new, stays on its side of the split. With
`scope: dump` a page that has a copy in another dump alone, under another address, may lie on both sides; the base
model's check `heldout_apart` counts such pages.

Memory, for n pages of this dump and of the earlier ones: 5 n bytes, some 400 MB for the program and its sorts
(`external_sort.MEMORY_MB`), the rows and one column of texts of a shard, and 1 kB for each page of the largest cluster.
100 million pages: 0.5 GB + 0.4 GB. Scratch: 12 n bytes for a band, and 8 bytes for each shingle of pages in clusters.
Cost: a sort for each band; one reading of the texts in clusters; the comparisons that `duplicates` states.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llm_dag import ledger
from llm_dag.curation.clusters import Forest
from llm_dag.curation.duplicates import FATES, MEMBER_ORDER, MEMBERS, Decider
from llm_dag.curation.external_sort import Sorter
from llm_dag.curation.minhash_pages import NUMBERED, Pages, address_number, open_pages, url_key
from llm_dag.curation.shingles import Numbers, Shingler
from llm_dag.store.work import Work

REASON = "duplicate"
SCORES = {
    "cluster": pa.string(),
    "cluster_size": pa.int64(),
    "split_key": pa.string(),
    "winner": pa.string(),
    "winner_dump": pa.string(),
    "jaccard": pa.float64(),
}
ROWS = 4_096  # members that are handed to a sort at once


def build(work: Work) -> None:
    """Judge every page that Gopher's rules kept."""
    pages = open_pages(work)
    work.progress.start(work.asset, work.config.signatures.bands + len(pages.parts) + len(pages.judged), "parts")
    with Sorter(work.scratch("sort")) as sorter, work.scratch("shingles.u64").open("w+b") as stream:
        require_unique(work, pages, sorter)
        forest = join(work, pages, sorter)
        members = sorter.ordered(read_members(work, pages, forest, stream), MEMBERS, MEMBER_ORDER)
        decider = Decider(pages.dumps, work.config.threshold, lambda start, count: read_shingles(stream, start, count))
        fates = Fates(sorter.ordered(decider.fates(members), FATES, "page"))
        totals = write_verdicts(work, pages, fates)
    work.metrics.update(totals | decider.counts)


def require_unique(work: Work, pages: Pages, sorter: Sorter) -> None:
    """Raises LedgerError if one doc_id occurs twice."""
    last = pa.array([], pa.string())
    for batch in sorter.ordered(pages.ids(), pa.schema([("doc_id", pa.string())]), "doc_id"):
        ids = pa.concat_arrays([last, batch.column(0)])
        equal = pc.equal(ids[1:], ids[:-1])
        if pc.any(equal).as_py():
            twice = ids[pc.index(equal, True).as_py()]
            raise ledger.LedgerError(f"doc_id {twice} occurs twice in {work.partition}; wanted: once")
        last = ids[-1:]


def join(work: Work, pages: Pages, sorter: Sorter) -> Forest:
    """Join the pages that share a number in a band."""
    forest = Forest(pages.total)
    for done, band in enumerate(pages.bands(work.config.signatures.bands), 1):
        forest.join_equal(sorter.ordered(band, NUMBERED, "value, page"))
        work.progress.update(done)
    return forest


def read_members(work: Work, pages: Pages, forest: Forest, stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """The pages of clusters with a page of the dump that is judged; their shingles are written to the stream."""
    signatures = work.config.signatures
    shingler = Shingler(signatures.ngram)
    clustered = forest.joined(pages.own)
    rows: list[dict[str, Any]] = []
    start = 0
    for done, part in enumerate(pages.parts, signatures.bands + 1):
        wanted = clustered[part.first : part.first + part.count]
        if wanted.any():
            roots = forest.roots(part.pages)
            keys = part.keys(signatures.bands, wanted)
            splits = part.split_keys() if part.crawl.earlier else ()
            for at, document in part.documents(wanted):
                shingles = shingler.shingles(document["text"])
                content = shingles.tobytes()
                stream.write(content)
                key = url_key(document["url"], document["doc_id"])
                rows.append(
                    {
                        "cluster": roots[at],
                        "place": part.crawl.place,
                        "page": part.first + at,
                        "doc_id": document["doc_id"],
                        "length": len(document["text"]),
                        "date": document["date"],
                        "split_key": splits[at] if splits else key,
                        "keys": [*keys[at], *([address_number(key)] if len(pages.dumps) > 1 else ())],
                        "digest": hashlib.blake2b(content, digest_size=16).digest() if content else None,
                        "start": start,
                        "ngrams": len(shingles),
                    }
                )
                start += len(shingles)
                if len(rows) == ROWS:
                    yield pa.RecordBatch.from_pylist(rows, MEMBERS)
                    rows.clear()
        work.progress.update(done)
    stream.flush()
    if rows:
        yield pa.RecordBatch.from_pylist(rows, MEMBERS)


def read_shingles(stream: BinaryIO, start: int, count: int) -> Numbers:
    """Shingles from scratch."""
    return np.frombuffer(os.pread(stream.fileno(), 8 * count, 8 * start), np.uint64)


class Fates:
    """Fates in the order of the pages, read part by part."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._waiting: list[dict[str, Any]] = []

    def until(self, page: int) -> dict[int, dict[str, Any]]:
        """The fates of pages before this one that were not handed out yet."""
        found: dict[int, dict[str, Any]] = {}
        while True:
            for at, fate in enumerate(self._waiting):
                if fate["page"] >= page:
                    self._waiting = self._waiting[at:]
                    return found
                found[fate.pop("page")] = fate
            batch = next(self._batches, None)
            if batch is None:
                self._waiting = []
                return found
            self._waiting = batch.to_pylist()


def write_verdicts(work: Work, pages: Pages, fates: Fates) -> dict[str, int]:
    """Write the verdicts of every shard, in the order of its signatures; returns the counts."""
    totals: Counter[str] = Counter()
    for done, part in enumerate(pages.judged, work.config.signatures.bands + len(pages.parts) + 1):
        verdicts = ledger.VerdictWriter(SCORES)
        decided = fates.until(part.first + part.count)
        ids, own_keys = part.addresses()
        for at, (doc_id, row) in enumerate(zip(ids, part.signed(["row"])["row"].to_pylist(), strict=True)):
            alone = {"cluster": doc_id, "cluster_size": 1, "split_key": own_keys[at]}
            fate = decided.get(part.first + at, alone)
            verdicts.add(doc_id, row, reason=REASON if fate.get("winner") else "", **fate)
        totals.update(verdicts.write(work.data(f"verdicts/{part.shard}.parquet")))
        work.progress.update(done)
    return dict(totals)
