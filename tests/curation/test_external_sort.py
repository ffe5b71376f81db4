"""Sorting and joining outside memory give what sorting and joining in memory give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_dag.curation.clusters import Forest
from llm_dag.curation.external_sort import Sorter
from llm_dag.curation.minhash_pages import NUMBERED
from llm_dag.store.errors import StoreError

ROWS = st.lists(st.tuples(st.sampled_from([0, 1, 7, 2**63, 2**64 - 1]), st.integers(0, 30)), max_size=60)
TEXTS = pa.schema([("text", pa.string())])


def numbered(rows: list[tuple[int, int]], size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), size):
        columns = list(zip(*rows[start : start + size], strict=True))
        yield pa.record_batch([pa.array(columns[0], pa.uint64()), pa.array(columns[1], pa.uint32())], schema=NUMBERED)


@given(ROWS, st.integers(1, 20))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_in_the_order_of_their_keys(tmp_path: Path, rows: list[tuple[int, int]], size: int) -> None:
    with Sorter(tmp_path) as sorter:
        found = list(sorter.ordered(numbered(rows, size), NUMBERED, "value, page"))
    assert [tuple(row.values()) for batch in found for row in batch.to_pylist()] == sorted(rows)


def test_texts_are_ordered_as_python_orders_them(tmp_path: Path) -> None:
    texts = ["b", "B", "", "ä", "z", "𐍈", "\ufffd", "a b", "a", "Ä", "10", "9"]
    with Sorter(tmp_path) as sorter:
        (batch,) = sorter.ordered([pa.record_batch([texts], schema=TEXTS)], TEXTS, "text")
    assert batch.column(0).to_pylist() == sorted(texts)


def test_more_rows_than_memory_holds_go_to_scratch(tmp_path: Path) -> None:
    rows, blocks, spilled = 200_000, 30, set()
    draw = np.random.default_rng(0)

    def given() -> Iterator[pa.RecordBatch]:
        for block in range(blocks):
            spilled.update(path.name for path in tmp_path.iterdir())
            values = draw.integers(0, 2**64, rows, np.uint64)
            pages = np.arange(block * rows, (block + 1) * rows, dtype=np.uint32)
            yield pa.record_batch([values, pages], schema=NUMBERED)

    count, last = 0, -1
    with Sorter(tmp_path, memory_mb=48) as sorter:
        for batch in sorter.ordered(given(), NUMBERED, "value, page"):
            values = batch.column(0).to_numpy()
            assert int(values[0]) >= last
            assert (values[1:] >= values[:-1]).all()
            count, last = count + len(values), int(values[-1])
    assert count == rows * blocks
    assert spilled
    assert not list(tmp_path.iterdir())


def test_one_sort_reads_another(tmp_path: Path) -> None:
    rows = [(number * 7 % 11, number) for number in range(11)]
    with Sorter(tmp_path) as sorter:
        inner = sorter.ordered(numbered(rows, 3), NUMBERED, "value")
        (batch,) = sorter.ordered(inner, NUMBERED, "page desc")
    assert batch.column(1).to_pylist() == list(range(10, -1, -1))


def test_what_reading_the_rows_raises_is_raised(tmp_path: Path) -> None:
    def given() -> Iterator[pa.RecordBatch]:
        yield from numbered([(1, 1)], 1)
        raise StoreError("a shard is gone")

    with Sorter(tmp_path) as sorter, pytest.raises(StoreError, match=r"^a shard is gone$"):
        list(sorter.ordered(given(), NUMBERED, "value"))


def test_a_sort_that_cannot_be_done_says_where(tmp_path: Path) -> None:
    with (
        Sorter(tmp_path) as sorter,
        pytest.raises(StoreError, match=r"sorting in .*, with 256 MB of memory: .*nothing"),
    ):
        list(sorter.ordered(numbered([(1, 1)], 1), NUMBERED, "nothing"))


@given(st.lists(ROWS, max_size=4), st.integers(1, 9), st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_pages_that_hang_together_have_one_root(bands: list[list[tuple[int, int]]], size: int, below: int) -> None:
    """Against sets that are merged until nothing changes."""
    sets = {page: {page} for page in range(31)}
    for rows in bands:
        groups = defaultdict(set)
        for value, page in rows:
            groups[value].add(page)
        for group in groups.values():
            merged = set().union(*(sets[page] for page in group))
            sets |= dict.fromkeys(merged, merged)
    forest = Forest(31)
    for rows in bands:
        forest.join_equal(numbered(sorted(rows), size))
    pages = np.arange(31, dtype=np.uint32)
    assert forest.roots(pages).tolist() == [min(sets[page]) for page in range(31)]
    shared = [len(sets[page]) > 1 and min(sets[page]) < below for page in range(31)]
    assert forest.joined(below).tolist() == shared


def test_a_long_chain_is_one_tree() -> None:
    forest = Forest(100_000)
    pages = np.arange(100_000, dtype=np.uint32)
    forest.join(pages[1:], pages[:-1])
    assert not forest.roots(pages).any()


def test_more_pages_than_there_are_numbers_are_refused() -> None:
    with pytest.raises(StoreError, match=r"4294967296 pages .* at most 2\^32 - 1"):
        Forest(2**32)
