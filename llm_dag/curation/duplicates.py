"""Which pages of a cluster are removed, and for which page each: only a true similarity removes one.

Pages are met in the order of `MEMBER_ORDER`: pages that earlier dumps kept, which stay as they are, in the order in
which these dumps are named; then the longest text first, the oldest date (no date: newest), the smallest doc_id.

1. A page whose shingles are those of a page that was met before shares its fate: similarity 1 with that page if it was
   kept, else the winner and the similarity of that page. No pair is compared.
2. Else it is compared with the kept pages that it meets in its groups (the pages with one of its band numbers, or its
   address): those in the group, and the winners of removed ones. If its Jaccard similarity with the most similar of
   them (the first in the order, of equal ones) is at least the threshold, it is removed and that page is its winner;
   else it is kept.
3. A group with more than `WINDOW` kept pages leads to those of them that are nearest in the order: pages that are alike
   are about as long. So boilerplate that makes ten thousand different pages candidates costs ten thousand windows, not
   fifty million pairs. Metric: `pages_past_window`.

Cost: at most 2 x `WINDOW` comparisons for each group of a page; one for most. Memory: about 1 kB for a page of the
cluster, shingles are read from scratch.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from llm_dag.curation.shingles import Numbers, jaccard

WINDOW = 32
AT_LEAST = 10_000  # pages of whole clusters that are decided in one go

# A page of a cluster. `cluster` is the number of a page of it, `place` that of its dump among the earlier ones.
MEMBERS = pa.schema(
    [
        ("cluster", pa.uint32()),
        ("place", pa.int32()),
        ("page", pa.uint32()),
        ("doc_id", pa.string()),
        ("length", pa.int64()),  # characters
        ("date", pa.string()),
        ("split_key", pa.string()),
        ("keys", pa.list_(pa.uint64())),  # what makes it a candidate
        ("digest", pa.binary()),  # of its shingles; null: it has none
        ("start", pa.uint64()),  # of its shingles in scratch
        ("ngrams", pa.uint32()),
    ]
)
MEMBER_ORDER = "cluster, place, length desc, (date = ''), date, doc_id"

FATES = pa.schema(
    [
        ("page", pa.uint32()),
        ("cluster", pa.string()),
        ("cluster_size", pa.int64()),
        ("split_key", pa.string()),
        ("winner", pa.string()),
        ("winner_dump", pa.string()),
        ("jaccard", pa.float64()),
    ]
)

Read = Callable[[int, int], Numbers]  # shingles by start and count


@dataclass
class Kept:
    """The kept pages that each group leads to, by their places in the order of a cluster; `lengths` are its pages'."""

    lengths: Sequence[int]
    window: int
    given: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # shortest first
    found: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # nearest last

    def give(self, groups: Sequence[int], page: int) -> None:
        """The groups lead to a page that an earlier dump kept."""
        for group in groups:
            bisect.insort(self.given[group], page, key=self.lengths.__getitem__)

    def lead(self, groups: Sequence[int], page: int) -> None:
        """The groups lead to a kept page, which is now the nearest."""
        for group in groups:
            found = self.found[group]
            if page in found:
                found.remove(page)
            found.append(page)
            del found[: -self.window - 1]  # one more than is looked at: so it is known that there were more

    def near(self, groups: Sequence[int], page: int) -> tuple[list[int], bool]:
        """The kept pages to compare a page with, in their order, and whether a group has more."""
        met: set[int] = set()
        past = False
        for group in groups:
            given: Sequence[int] = self.given.get(group, ())
            if len(given) > self.window:
                middle = bisect.bisect(given, self.lengths[page], key=self.lengths.__getitem__)
                start = min(max(0, middle - self.window // 2), len(given) - self.window)
                given, past = given[start : start + self.window], True
            found = self.found.get(group, ())
            past |= len(found) > self.window
            met.update(given, found[-self.window :])
        return sorted(met), past


class Decider:
    """Decides clusters; counts what it did."""

    def __init__(self, dumps: Sequence[str], threshold: float, read: Read, window: int = WINDOW) -> None:
        self._dumps = dumps
        self._threshold = threshold
        self._read = read
        self._window = window
        self.counts: Counter[str] = Counter(clusters=0, pairs_compared=0, pages_past_window=0)

    def fates(self, members: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The fates of the pages of the dump that is judged, of members in MEMBER_ORDER."""
        for table in whole_clusters(members):
            wanted = ("place", "page", "doc_id", "length", "split_key", "digest", "start", "ngrams")
            rows = {name: table[name].to_pylist() for name in wanted}
            groups = shared_groups(table)
            clusters = table["cluster"].to_numpy()
            edges = [0, *(np.flatnonzero(np.diff(clusters)) + 1).tolist(), len(table)]
            decided = [self._cluster(rows, groups, begin, end) for begin, end in pairwise(edges)]
            columns = {name: [one for fates in decided for one in fates[name]] for name in FATES.names}
            yield pa.record_batch(columns, schema=FATES)

    def _cluster(
        self, rows: Mapping[str, list[Any]], groups: Sequence[list[int]], begin: int, end: int
    ) -> dict[str, list[Any]]:
        """The columns of FATES for one cluster."""
        places, ids, keys = (rows[name][begin:end] for name in ("place", "doc_id", "split_key"))
        starts, counts = (rows[name][begin:end] for name in ("start", "ngrams"))
        given = places.index(len(self._dumps) - 1)  # so many are of earlier dumps
        winners, similar = self._decide(
            given,
            groups[begin:end],
            rows["length"][begin:end],
            rows["digest"][begin:end],
            lambda at: self._read(starts[at], counts[at]),
        )
        won, judged = winners[given:], end - begin - given
        return {
            "page": rows["page"][begin + given : end],
            "cluster": [min(ids)] * judged,
            "cluster_size": [end - begin] * judged,
            "split_key": [min(keys[:given] or keys)] * judged,
            "winner": [None if at is None else ids[at] for at in won],
            "winner_dump": [None if at is None else self._dumps[places[at]] for at in won],
            "jaccard": similar[given:],
        }

    def _decide(
        self,
        given: int,
        groups: Sequence[list[int]],
        lengths: Sequence[int],
        digests: Sequence[bytes | None],
        shingles: Callable[[int], Numbers],
    ) -> tuple[list[int | None], list[float | None]]:
        """The winner of each page of a cluster (none: it is kept), and its similarity with the most similar one."""
        winners: list[int | None] = [None] * len(lengths)
        similar: list[float | None] = [None] * len(lengths)
        kept, first = Kept(lengths, self._window), dict[bytes, int]()
        for page, digest in enumerate(digests):
            same = page if digest is None else first.setdefault(digest, page)
            if page < given:
                kept.give(groups[page], page)
            elif same != page:
                winners[page], similar[page] = (same, 1.0) if winners[same] is None else (winners[same], similar[same])
            else:
                met, past = kept.near(groups[page], page)
                own = shingles(page)
                found = [jaccard(own, shingles(other)) for other in met]
                similar[page] = best = max(found, default=None)
                if best is not None and best >= self._threshold:
                    winners[page] = met[found.index(best)]
                won = winners[page]
                kept.lead(groups[page], page if won is None else won)
                self.counts["pairs_compared"] += len(met)
                self.counts["pages_past_window"] += past
        self.counts["clusters"] += 1
        return winners, similar


def whole_clusters(members: Iterable[pa.RecordBatch], at_least: int = AT_LEAST) -> Iterator[pa.Table]:
    """Members in tables of whole clusters, each of `at_least` pages but the last."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in members:
        if not len(batch):
            continue
        clusters = batch["cluster"].to_numpy()
        begun = int(np.searchsorted(clusters, clusters[-1]))  # of the cluster that may go on in the next batch
        goes_on = begun == 0 and waiting and waiting[-1]["cluster"][-1].as_py() == clusters[-1]
        if count + begun < at_least or goes_on:
            waiting.append(batch)
            count += len(batch)
            continue
        yield pa.Table.from_batches([*waiting, batch.slice(0, begun)])
        waiting, count = [batch.slice(begun)], len(batch) - begun
    if waiting:
        yield pa.Table.from_batches(waiting)


def shared_groups(members: pa.Table) -> list[list[int]]:
    """The groups of each page that another page of the table, which holds whole clusters, has too."""
    keys = members["keys"].combine_chunks()
    _, groups, counts = np.unique(keys.flatten().to_numpy(), return_inverse=True, return_counts=True)
    shared = counts[groups] > 1
    ends = np.cumsum(keys.value_lengths().to_numpy())
    return [groups[start:end][shared[start:end]].tolist() for start, end in pairwise([0, *ends.tolist()])]
