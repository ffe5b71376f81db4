"""Near-duplicates of one dump: pages that share a band are candidates, and only true similarity removes one.

The join over bands is the one global step of curation. It is keyed by doc_id: pages are numbered in the order of their
ids, so neither the number of shards nor their order has a part in what is kept.

1. For each band, pages with equal numbers form a group; groups that share a page form a cluster.
2. In each cluster pages are met in a stated order: the longest text first, then the oldest date (no date: newest), then
   the smallest doc_id. A page is compared with the kept pages that it meets in its groups: those in the group, and the
   winners of removed ones. If its Jaccard similarity (distinct word n-grams of both texts) with the most similar of
   them is at least the threshold, it is removed and that page is its winner; else it is kept. A chain of pages, each
   like the next, is therefore never removed for a winner that is not like them.
3. Every page of a cluster carries its name (the smallest doc_id), kept or not, and its split key: the smallest digest
   of its pages' addresses. Held-out data is split by that key. It names no dump, so a page crawled again, whose doc_id
   is new, stays on its side of the split. Clusters are of one dump: a page that has a copy in another dump alone, under
   another address, may lie on both sides; the base model's check `heldout_apart` counts such pages.

Cost: one sort for each band; one reading of the texts; memory for one band and the ids, n-grams lie in a scratch file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from llm_dag import ledger
from llm_dag.curation.addresses import address
from llm_dag.curation.minhash_signatures import band_column
from llm_dag.curation.shingles import Numbers, Shingler, jaccard
from llm_dag.store.artifact import Artifact
from llm_dag.store.work import Work

REASON = "duplicate"
SCORES = {
    "cluster": pa.string(),
    "cluster_size": pa.int64(),
    "split_key": pa.string(),
    "winner": pa.string(),
    "jaccard": pa.float64(),
}

Preference = tuple[int, bool, str, str]


@dataclass
class Signed:
    """The signatures of a dump: shard names, how many pages each has, and the pages' doc_ids in that order."""

    shards: tuple[str, ...]
    sizes: list[int]
    ids: pa.Array
    rows: pa.Array  # their rows in the shard that is judged
    ranks: NDArray[np.int64]  # place of each page in the order of all doc_ids


@dataclass
class Pages:
    """What is known of pages, by rank: of all the digest of the URL (else of the id); the rest of those in clusters."""

    url_keys: dict[int, str]
    preference: dict[int, Preference]
    shingles: Callable[[int], Numbers]


@dataclass
class Fate:
    """What became of a page of a cluster with more than one page."""

    cluster: int  # rank of the page that names the cluster
    size: int
    winner: int | None = None  # rank of the kept page for which this one was removed
    jaccard: float | None = None  # with the most similar kept page that it was compared with


@dataclass
class Compared:
    """The fates of all pages in clusters, by rank, and how many pairs were compared."""

    fates: dict[int, Fate] = field(default_factory=dict)
    clusters: int = 0
    pairs: int = 0


def build(work: Work) -> None:
    """Judge every page that Gopher's rules kept."""
    signed = read_ids(work)
    groups = band_groups(signed.ranks, (_band(work, signed, band) for band in range(work.config.signatures.bands)))
    clusters = connected(groups)
    pages = read_pages(work, signed, {rank for members in clusters.values() for rank in members})
    compared = compare(clusters, groups, pages.preference, pages.shingles, work.config.threshold)
    totals = write_verdicts(work, signed, compared, split_keys(clusters, pages.url_keys))
    work.metrics.update(totals | {"clusters": compared.clusters, "pairs_compared": compared.pairs})


def read_ids(work: Work) -> Signed:
    """The doc_ids of all signatures. Raises LedgerError if one occurs twice."""
    signatures = work.input("minhash_signatures")
    tables = [_columns(signatures, shard, ["doc_id", "row"]) for shard in signatures.shards]
    ids = pa.chunked_array([table["doc_id"] for table in tables], pa.string()).combine_chunks()
    rows = pa.chunked_array([table["row"] for table in tables], pa.int64()).combine_chunks()
    order = pc.sort_indices(ids).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    ordered = ids.take(order)
    if len(ids) > 1 and pc.any(equal := pc.equal(ordered[1:], ordered[:-1])).as_py():
        twice = ordered[pc.index(equal, True).as_py()]
        raise ledger.LedgerError(f"{signatures.place}: doc_id {twice} occurs twice in {work.partition}; wanted: once")
    return Signed(signatures.shards, [len(table["doc_id"]) for table in tables], ids, rows, ranks)


def _columns(signatures: Artifact, shard: str, names: list[str]) -> dict[str, pa.Array]:
    table = pq.read_table(signatures.path(f"signatures/{shard}.parquet"), columns=names, partitioning=None)
    return {name: table[name].combine_chunks() for name in names}


def _band(work: Work, signed: Signed, band: int) -> pa.ChunkedArray:
    """A band's numbers of all pages, in the order of the shards; null for a page without words."""
    signatures, name = work.input("minhash_signatures"), band_column(band)
    return pa.chunked_array([_columns(signatures, shard, [name])[name] for shard in signed.shards], pa.uint64())


def band_groups(ranks: NDArray[np.int64], bands: Iterable[pa.ChunkedArray]) -> list[tuple[int, ...]]:
    """The ranks of pages with equal numbers in one band, for groups of two or more; each group once."""
    found: set[tuple[int, ...]] = set()
    for column in bands:
        there = column.is_valid().to_numpy(zero_copy_only=False) if len(column) else np.empty(0, bool)
        values, pages = column.drop_null().to_numpy(), ranks[there]
        order = np.lexsort((pages, values))
        values, pages = values[order], pages[order]
        edges = np.flatnonzero(np.diff(values)) + 1
        starts, ends = np.append(0, edges), np.append(edges, len(values))
        for start, end in zip(starts, ends, strict=True):
            if end - start > 1:
                found.add(tuple(pages[start:end].tolist()))
    return sorted(found)


def connected(groups: Iterable[Sequence[int]]) -> dict[int, list[int]]:
    """The clusters that groups make together: smallest member → all members, sorted."""
    parent: dict[int, int] = {}

    def root(rank: int) -> int:
        parent.setdefault(rank, rank)
        while parent[rank] != rank:
            parent[rank] = parent[parent[rank]]
            rank = parent[rank]
        return rank

    for group in groups:
        for rank in group[1:]:
            low, high = sorted((root(group[0]), root(rank)))
            parent[high] = low
    clusters: defaultdict[int, list[int]] = defaultdict(list)
    for rank in sorted(parent):
        clusters[root(rank)].append(rank)
    return dict(clusters)


def split_keys(clusters: Mapping[int, Sequence[int]], url_keys: Mapping[int, str]) -> dict[int, str]:
    """The split key of every page: the smallest key in its cluster; its own, where it has none."""
    shared = {rank: min(url_keys[one] for one in members) for members in clusters.values() for rank in members}
    return {**url_keys, **shared}


def url_key(url: str, doc_id: str) -> str:
    """The digest of a page's address (of its URL as it is, if that has none; of its id, if it has no URL)."""
    return ledger.document_id(str(address(url) or url or doc_id))


def read_pages(work: Work, signed: Signed, wanted: set[int]) -> Pages:
    """The keys of all pages; of the wanted ones also what they are ordered by, and a reader of their shingles.

    Raises LedgerError if the signatures are not those of exactly the pages that are judged, in their order.
    """
    texts, verdicts = work.input("extracted_text"), work.input("gopher_filtered")
    shingler = Shingler(work.config.signatures.ngram)
    url_keys: dict[int, str] = {}
    preference: dict[int, Preference] = {}
    places: dict[int, tuple[int, int]] = {}
    path = work.scratch("shingles.u64")
    begin = written = 0
    work.progress.start(work.asset, len(signed.shards), "shards")
    with path.open("wb") as stream:
        for done, (shard, size) in enumerate(zip(signed.shards, signed.sizes, strict=True), 1):
            kept = ledger.read_kept(texts.path(f"text/{shard}.parquet"), verdicts.path(f"verdicts/{shard}.parquet"))
            judged = [kept[name].combine_chunks() for name in ("doc_id", "row")]
            if judged != [signed.ids[begin : begin + size], signed.rows[begin : begin + size]]:
                raise ledger.LedgerError(f"shard {shard}: {size} signatures are not of the {len(kept)} pages to judge")
            ranks = signed.ranks[begin : begin + size].tolist()
            named = zip(kept["url"].to_pylist(), kept["doc_id"].to_pylist(), strict=True)
            url_keys.update(zip(ranks, (url_key(url, doc_id) for url, doc_id in named), strict=True))
            for place in [place for place, rank in enumerate(ranks) if rank in wanted]:
                rank, text, date = ranks[place], kept["text"][place].as_py(), kept["date"][place].as_py()
                preference[rank] = (-len(text), not date, date, kept["doc_id"][place].as_py())
                shingles = shingler.shingles(text)
                places[rank] = (written, len(shingles))
                stream.write(shingles.tobytes())
                written += len(shingles)
            begin += size
            work.progress.update(done)
    stored = np.memmap(path, np.uint64, "r") if written else np.empty(0, np.uint64)
    return Pages(url_keys, preference, lambda rank: np.asarray(stored[places[rank][0] : sum(places[rank])]))


def compare(
    clusters: Mapping[int, Sequence[int]],
    groups: Sequence[Sequence[int]],
    preference: Mapping[int, Preference],
    shingles: Callable[[int], Numbers],
    threshold: float,
) -> Compared:
    """Decide every cluster (see the module's text, point 2)."""
    groups_of: defaultdict[int, list[int]] = defaultdict(list)
    for index, ranks in enumerate(groups):
        for rank in ranks:
            groups_of[rank].append(index)
    compared = Compared(clusters=len(clusters))
    for name, members in clusters.items():
        winners: defaultdict[int, set[int]] = defaultdict(set)  # the kept pages that a group leads to
        for rank in sorted(members, key=preference.__getitem__):
            met = sorted({winner for group in groups_of[rank] for winner in winners[group]}, key=preference.__getitem__)
            own = shingles(rank)
            similar = [jaccard(own, shingles(winner)) for winner in met]
            compared.pairs += len(met)
            fate = compared.fates[rank] = Fate(name, len(members), jaccard=max(similar, default=None))
            if fate.jaccard is not None and fate.jaccard >= threshold:
                fate.winner = met[similar.index(fate.jaccard)]
            for group in groups_of[rank]:
                winners[group].add(rank if fate.winner is None else fate.winner)
    return compared


def write_verdicts(work: Work, signed: Signed, compared: Compared, keys: Mapping[int, str]) -> dict[str, int]:
    """Write the verdicts of every shard, in the order of its signatures; returns the counts."""
    ids, rows = signed.ids.to_pylist(), signed.rows.to_pylist()
    id_of = dict(zip(signed.ranks.tolist(), ids, strict=True))
    totals: defaultdict[str, int] = defaultdict(int)
    begin = 0
    for shard, size in zip(signed.shards, signed.sizes, strict=True):
        verdicts = ledger.VerdictWriter(SCORES)
        for place in range(size):
            rank = int(signed.ranks[begin + place])
            fate = compared.fates.get(rank) or Fate(rank, 1)
            verdicts.add(
                id_of[rank],
                rows[begin + place],
                reason="" if fate.winner is None else REASON,
                cluster=id_of[fate.cluster],
                cluster_size=fate.size,
                split_key=keys[rank],
                winner=None if fate.winner is None else id_of[fate.winner],
                jaccard=fate.jaccard,
            )
        begin += size
        for count, value in verdicts.write(work.data(f"verdicts/{shard}.parquet")).items():
            totals[count] += value
    return dict(totals)
