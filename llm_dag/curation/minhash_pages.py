"""The pages among which duplicates are looked for, numbered, and read one shard at a time.

All signed pages of the dump that is judged come first, in the order of their shards; then, dump by dump, the kept pages
of the earlier dumps that it is compared with. The numbers are names in memory and scratch alone: what is decided
depends on texts, dates, doc_ids and the order of the earlier dumps.

Memory: one shard's rows; of a text shard, a few hundred texts at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from llm_dag import ledger
from llm_dag.curation.addresses import address
from llm_dag.curation.minhash_signatures import band_column
from llm_dag.store.artifact import Artifact
from llm_dag.store.work import Work

NUMBERED = pa.schema([("value", pa.uint64()), ("page", pa.uint32())])
TEXTS = 256  # read at once
PREFIX, SUFFIX = "signatures/", ".parquet"


@dataclass(frozen=True)
class Crawl:
    """One dump; `place` is its place among the earlier dumps, and after them for the dump that is judged."""

    dump: str
    place: int
    earlier: bool
    signatures: Artifact
    texts: Artifact
    verdicts: Artifact  # of an earlier dump its deduplication's, else those that the signatures follow


@dataclass(frozen=True)
class Part:
    """The pages of one shard that take part; `first` is the number of the first, the others follow."""

    crawl: Crawl
    shard: str
    first: int
    count: int

    @property
    def pages(self) -> NDArray[np.uint32]:
        return np.arange(self.first, self.first + self.count, dtype=np.uint32)

    def signed(self, names: Sequence[str]) -> pa.Table:
        """Columns of the signatures."""
        table = pq.read_table(
            self.crawl.signatures.path(f"{PREFIX}{self.shard}{SUFFIX}"), columns=list(names), partitioning=None
        )
        return table.filter(self.judged(["kept"])["kept"]) if self.crawl.earlier else table

    def judged(self, names: Sequence[str]) -> pa.Table:
        """Columns of the verdicts."""
        return ledger.read_verdicts(self.crawl.verdicts.path(f"verdicts/{self.shard}{SUFFIX}"), names)

    def band(self, name: str) -> pa.RecordBatch:
        """A band's numbers and the pages that have them; a page without words has none."""
        column = self.signed([name])[name].combine_chunks()
        there = column.is_valid().to_numpy(zero_copy_only=False)
        return pa.record_batch([column.drop_null(), pa.array(self.pages[there])], schema=NUMBERED)

    def addresses(self) -> tuple[list[str], list[str]]:
        """The doc_id and the key of the URL of every page. Raises LedgerError if the texts are other pages'."""
        path = self.crawl.texts.path(f"text/{self.shard}{SUFFIX}")
        judged = pq.read_table(path, columns=["doc_id", "url"], partitioning=None)
        kept = ledger.kept_rows(judged, self.judged(["doc_id", "row", "kept"]), str(path))
        ids = kept["doc_id"].to_pylist()
        return ids, [url_key(url, doc_id) for url, doc_id in zip(kept["url"].to_pylist(), ids, strict=True)]

    def address_band(self) -> pa.RecordBatch:
        """The numbers of the pages' addresses."""
        values = np.fromiter((address_number(key) for key in self.addresses()[1]), np.uint64, self.count)
        return pa.record_batch([pa.array(values), pa.array(self.pages)], schema=NUMBERED)

    def keys(self, bands: int, wanted: NDArray[np.bool_]) -> dict[int, list[int]]:
        """The numbers in the bands of the wanted pages, by their places; a page without words has none."""
        table = self.signed([band_column(band) for band in range(bands)]).filter(pa.array(wanted))
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        places = np.flatnonzero(wanted).tolist()
        return {at: [one for one in row if one is not None] for at, row in zip(places, rows, strict=True)}

    def split_keys(self) -> list[str]:
        """The split keys that an earlier dump gave its pages."""
        judged = self.judged(["kept", "split_key"])
        keys: list[str] = judged["split_key"].filter(judged["kept"]).to_pylist()
        return keys

    def documents(self, wanted: NDArray[np.bool_]) -> Iterator[tuple[int, dict[str, Any]]]:
        """(place among the pages, doc_id, url, date and text) of the wanted pages, in the order of their rows."""
        path = self.crawl.texts.path(f"text/{self.shard}{SUFFIX}")
        table = self.signed(["doc_id", "row"])
        ids, rows = table["doc_id"], table["row"].to_numpy()
        places = np.flatnonzero(wanted)
        places = places[np.argsort(rows[places], kind="stable")]
        begin = done = 0
        for batch in pq.ParquetFile(path).iter_batches(TEXTS, columns=["doc_id", "url", "date", "text"]):
            end = done + int(np.searchsorted(rows[places[done:]], begin + len(batch)))
            found = batch.take(pa.array(rows[places[done:end]] - begin)).to_pylist()
            for place, values in zip(places[done:end].tolist(), found, strict=True):
                if values["doc_id"] != (signed := ids[place].as_py()):
                    raise ledger.LedgerError(
                        f"{path}: row {rows[place]} holds {values['doc_id']}, and the signatures say {signed}"
                    )
                yield place, values
            begin, done = begin + len(batch), end
        if done < len(places):
            raise ledger.LedgerError(f"{path}: signatures point to row {rows[places[done]]} of a shard with {begin}")


@dataclass(frozen=True)
class Pages:
    """All pages that take part. `own` of the `total` are of the dump that is judged: the first ones."""

    parts: tuple[Part, ...]
    own: int
    total: int
    dumps: tuple[str, ...]  # by place

    @property
    def judged(self) -> list[Part]:
        """The shards of the dump that is judged."""
        return [part for part in self.parts if not part.crawl.earlier]

    def bands(self, count: int) -> Iterator[Iterator[pa.RecordBatch]]:
        """What makes two pages candidates: for each band its numbers; against earlier dumps the address too."""
        for band in range(count):
            yield (part.band(band_column(band)) for part in self.parts)
        if len(self.dumps) > 1:
            yield (part.address_band() for part in self.parts)

    def ids(self) -> Iterator[pa.RecordBatch]:
        """The doc_ids of the dump that is judged."""
        for part in self.judged:
            yield from part.signed(["doc_id"]).to_batches()


def open_pages(work: Work) -> Pages:
    """Number the pages. Raises LedgerError if signatures are not those of exactly the pages that take part."""
    crawls = list(_crawls(work))
    parts: list[Part] = []
    for crawl in crawls:
        shards = [name.removeprefix(PREFIX).removesuffix(SUFFIX) for name in crawl.signatures.names(PREFIX)]
        judged = [name.removeprefix("verdicts/").removesuffix(SUFFIX) for name in crawl.verdicts.names("verdicts/")]
        if shards != judged:
            raise ledger.LedgerError(
                f"{crawl.signatures.place} has {len(shards)} shards; wanted: "
                f"the {len(judged)} of {crawl.verdicts.place}"
            )
        for shard in shards:
            first = parts[-1].first + parts[-1].count if parts else 0
            parts.append(Part(crawl, shard, first, _count(crawl, shard)))
    own = sum(part.count for part in parts if not part.crawl.earlier)
    total = sum(part.count for part in parts)
    return Pages(tuple(parts), own, total, (*(crawl.dump for crawl in crawls[1:]), crawls[0].dump))


def _crawls(work: Work) -> Iterator[Crawl]:
    """The dump that is judged, then the earlier ones in the order in which they are named."""
    dumps = work.config.against
    signatures, texts = work.inputs("minhash_signatures"), work.inputs("extracted_text")
    yield Crawl(str(work.partition), len(dumps), False, signatures[0], texts[0], work.input("gopher_filtered"))
    deduped = work.inputs("minhash_deduped") if dumps else ()
    for place, (dump, *found) in enumerate(zip(dumps, signatures[1:], texts[1:], deduped, strict=True)):
        if {one.partition for one in found} != {dump}:
            raise ledger.LedgerError(f"the earlier dump {dump}: given were {', '.join(one.place for one in found)}")
        yield Crawl(dump, place, True, *found)


def _count(crawl: Crawl, shard: str) -> int:
    """How many pages of a shard take part."""
    path = crawl.signatures.path(f"{PREFIX}{shard}{SUFFIX}")
    signed = pq.read_table(path, columns=["doc_id", "row"], partitioning=None)
    judged = ledger.read_verdicts(crawl.verdicts.path(f"verdicts/{shard}{SUFFIX}"), ["doc_id", "row", "kept"])
    kept = judged.filter(judged["kept"])
    wanted = judged if crawl.earlier else kept  # an earlier deduplication judged exactly the signed pages
    if any(not signed[name].equals(wanted[name]) for name in ("doc_id", "row")):
        raise ledger.LedgerError(
            f"{crawl.signatures.place}, shard {shard}: {len(signed)} signatures are not of the {len(wanted)} pages of "
            f"{crawl.verdicts.place}"
        )
    return len(kept)


def url_key(url: str, doc_id: str) -> str:
    """The digest of a page's address (of its URL as it is, if that has none; of its id, if it has no URL)."""
    return ledger.document_id(str(address(url) or url or doc_id))


def address_number(key: str) -> int:
    """64 bits of a key, as one band more."""
    return int(key[:16], 16)
