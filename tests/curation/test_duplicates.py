"""The decision in a cluster: what is compared, what is not, and what huge clusters cost."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from llm_dag.curation.duplicates import MEMBERS, WINDOW, Decider, Kept, whole_clusters
from tests.curation.chain import Made
from tests.curation.test_minhash import Pages, changed, dedupe, prose, similarity

N = 3_000


def pairs(made: Made) -> int:
    return int(made.metrics["pairs_compared"])


def test_identical_pages_are_not_compared_with_each_other(tmp_path: Path) -> None:
    """Fifty thousand error pages of one line cost one reading each."""
    made = dedupe(tmp_path, [[(f"{number:05d}", "This page could not be found on our server.") for number in range(N)]])
    assert made.kept() == ["00000"]
    assert pairs(made) == 0
    rows = made.rows()
    assert {(row["winner"], row["jaccard"], row["cluster_size"]) for row in rows[1:]} == {("00000", 1.0, N)}
    assert made.metrics["clusters"] == 1


def test_copies_of_a_removed_page_share_its_winner(tmp_path: Path) -> None:
    words = prose(3)
    pages = [("a", " ".join([*words, "longer"])), ("b", " ".join(words)), ("c", " ".join(words) + " ."), ("d", "lone")]
    made = dedupe(tmp_path, [pages])
    rows = {row["doc_id"]: row for row in made.rows()}
    assert [rows[name]["winner"] for name in "abc"] == [None, "a", "a"]
    assert rows["b"]["jaccard"] == rows["c"]["jaccard"] == similarity(pages, "a", "b") < 1
    assert pairs(made) == 1


def test_pages_that_are_nearly_one_are_compared_with_one(tmp_path: Path) -> None:
    words = prose(4)
    pages = [(f"{number:05d}", " ".join(changed(words, 1, number))) for number in range(N)]
    made = dedupe(tmp_path, [pages])
    assert len(made.kept()) < 5
    assert pairs(made) < 5 * N
    assert made.metrics["pages_past_window"] == 0


def test_boilerplate_costs_a_window_and_not_every_pair(tmp_path: Path) -> None:
    """Two pages share 58 % of their 5-grams: nearly all are candidates, nothing may be removed."""
    template = prose(5, 68)
    count = N // 2
    pages = [(f"{number:05d}", " ".join([*template, *unlike(number, 21 + number % 2)])) for number in range(count)]
    assert 0.57 < similarity(pages, "00000", "00002") < 0.63
    made = dedupe(tmp_path, [pages])
    assert len(made.kept()) == count
    assert made.metrics["pages_past_window"] > count / 2
    assert count * WINDOW / 2 < pairs(made) <= count * WINDOW * 14
    assert pairs(made) < count * (count - 1) / 2 / 2
    assert max(row["jaccard"] or 0.0 for row in made.rows()) < 0.7


def test_shards_have_no_part_in_what_a_window_shows(tmp_path: Path) -> None:
    template = prose(8, 68)
    pages = [(f"{number:03d}", " ".join([*template, *unlike(number, 17 + number % 9)])) for number in range(250)]
    one = dedupe(tmp_path / "1", [pages])
    turned = random.Random(3).sample(pages, len(pages))
    other = dedupe(tmp_path / "2", [turned[:17], turned[17:60], turned[60:]])
    assert one.metrics["pages_past_window"] == other.metrics["pages_past_window"] > 50
    assert one.metrics["pairs_compared"] == other.metrics["pairs_compared"]
    by_id = [{row.pop("doc_id"): {**row, "row": 0} for row in made.rows()} for made in (one, other)]
    assert by_id[0] == by_id[1]


def unlike(seed: int, words: int) -> list[str]:
    return [f"own{seed}x{number}" for number in range(words)]


def test_copies_past_a_full_window_are_found(tmp_path: Path) -> None:
    """What is alike is about as long, so the window is of those that are nearest in the order."""
    template = prose(6, 68)
    pages: Pages = []
    for number in range(400):
        words = [*template, *unlike(number, 21)]
        pages += [(f"{number:05d}a", " ".join(words)), (f"{number:05d}b", " ".join([*words[:-1], "z"]))]
    made = dedupe(tmp_path, [pages])
    assert made.metrics["pages_past_window"] > 100
    rows = {row["doc_id"]: row for row in made.rows()}
    for number in range(400):
        assert rows[f"{number:05d}b"]["winner"] == f"{number:05d}a"


class TestWhatGroupsLeadTo:
    def test_the_nearest_in_the_order(self) -> None:
        kept = Kept(list(range(100, 0, -1)), window=3)
        for page in range(6):
            kept.lead([0], page)
        assert kept.near([0], 6) == ([3, 4, 5], True)
        kept.lead([0], 3)  # once more a winner
        kept.lead([0], 6)
        assert kept.near([0], 7) == ([3, 5, 6], True)
        assert kept.near([1], 7) == ([], False)

    def test_the_nearest_in_length_of_earlier_dumps(self) -> None:
        lengths = [50, 40, 30, 20, 10, 45, 35, 25, 42]  # two earlier dumps, then a page of the one that is judged
        kept = Kept(lengths, window=2)
        for page in range(8):
            kept.give([0], page)
        assert kept.near([0], 8) == ([1, 5], True)  # 40 and 45
        assert Kept(lengths, window=2).near([0], 8) == ([], False)

    def test_every_group_once(self) -> None:
        kept = Kept([3, 2, 1], window=3)
        kept.lead([0, 1], 0)
        kept.lead([1], 1)
        assert kept.near([0, 1], 2) == ([0, 1], False)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_clusters_are_decided_whole(size: int) -> None:
    draw = random.Random(1)
    clusters = sorted(draw.choices(range(12), k=90))
    values = [dict.fromkeys(MEMBERS.names) | {"cluster": cluster} for cluster in clusters]
    batches = [pa.RecordBatch.from_pylist(values[at : at + size], MEMBERS) for at in range(0, 90, size)]
    tables = list(whole_clusters([batches[0].slice(0, 0), *batches], at_least=10))
    found = [table["cluster"].to_pylist() for table in tables]
    assert [cluster for table in found for cluster in table] == clusters
    assert not any(set(one) & set(other) for one, other in itertools.pairwise(found))
    assert len(tables) > 1 or size == 100


def test_a_cluster_without_shared_words_keeps_all() -> None:
    """Pages that only an address joins are compared, and kept."""

    def member(page: int, place: int) -> dict[str, Any]:
        return {
            "cluster": 0,
            "place": place,
            "page": page,
            "doc_id": f"{place}-{page}",
            "length": 0,
            "date": "",
            "split_key": f"key{page}",
            "keys": [7],
            "digest": None,
            "start": 0,
            "ngrams": 0,
        }

    members = pa.RecordBatch.from_pylist([member(5, 0), member(0, 1), member(1, 1)], MEMBERS)
    decider = Decider(("d1", "d2"), 0.7, lambda start, count: pytest.fail("nothing to read") if count else NONE)
    (fates,) = decider.fates([members])
    assert fates["page"].to_pylist() == [0, 1]
    assert fates["winner"].to_pylist() == [None, None]
    assert fates["split_key"].to_pylist() == ["key5", "key5"]
    assert fates["cluster"].to_pylist() == ["0-5", "0-5"]


NONE: Any = []
