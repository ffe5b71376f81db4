"""Near-duplicates: only true similarity with a kept page removes one, whatever the shards."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_dag import ledger
from llm_dag.curation import minhash, minhash_signatures
from llm_dag.curation.shingles import Shingler, jaccard
from llm_dag.ledger import LedgerError
from tests.curation.chain import Made, extracted, node, run, verdicts_for

VOCABULARY = [f"word{number}" for number in range(400)]
Pages = list[tuple[str, str]]
LISTS = (("march", 13), ("april", 17))


def prose(seed: int, words: int = 120) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=words)


def changed(words: Sequence[str], count: int, seed: int) -> list[str]:
    """The words with `count` of them replaced, next to each other: about 2(count + 4) of the 5-grams differ."""
    start = random.Random(seed).randrange(len(words) - count)
    return [*words[:start], *(f"new{seed}x{number}" for number in range(count)), *words[start + count :]]


def dedupe(tmp: Path, shards: Sequence[Pages], dates: dict[str, str] | None = None, **changes: Any) -> Made:
    config = node("minhash", **changes)
    texts = extracted(tmp, shards, dates or {})
    judged = verdicts_for("gopher_filtered", tmp, texts)
    signed = run(minhash_signatures.build, "minhash_signatures", config.signatures, [texts, judged], tmp)
    return run(minhash.build, "minhash_deduped", config, [signed, texts, judged], tmp)


@pytest.fixture(scope="module")
def pages() -> Pages:
    """Families of pages at different distances, and pages of their own."""
    found: Pages = []
    for family in range(12):
        original = prose(family)
        found.append((f"{family:02d}-original", " ".join(original)))
        for copy, count in enumerate((0, 1, 2, 4, 8, 16, 30)):
            found.append((f"{family:02d}-copy{copy}", " ".join(changed(original, count, 100 * family + copy))))
    found += [(f"single{number}", " ".join(prose(1000 + number))) for number in range(20)]
    return found


def key_of(doc_id: str) -> str:
    return ledger.document_id(f"//example.org/{doc_id}")


def similarity(pages: Pages, one: str, other: str) -> float:
    texts, shingler = dict(pages), Shingler(5)
    return jaccard(shingler.shingles(texts[one]), shingler.shingles(texts[other]))


def test_a_removed_page_is_truly_similar_to_its_kept_winner(tmp_path: Path, pages: Pages) -> None:
    """The usual join removes on one shared band and transitive closure; here each removal is verified."""
    rows = {row["doc_id"]: row for row in dedupe(tmp_path, [pages]).rows()}
    removed = [row for row in rows.values() if not row["kept"]]
    assert len(removed) > 40
    for row in removed:
        assert row["reason"] == "duplicate"
        assert rows[row["winner"]]["kept"]
        assert row["jaccard"] == similarity(pages, row["doc_id"], row["winner"]) >= 0.7
        assert row["cluster"] == rows[row["winner"]]["cluster"]
        texts = dict(pages)
        assert (-len(texts[row["winner"]]), row["winner"]) <= (-len(texts[row["doc_id"]]), row["doc_id"])
    for row in rows.values():
        if row["doc_id"].startswith("single"):
            assert (row["kept"], row["cluster"], row["cluster_size"], row["winner"]) == (True, row["doc_id"], 1, None)
            assert row["jaccard"] is None
        members = [other for other in rows.values() if other["cluster"] == row["cluster"]]
        assert row["cluster"] == min(member["doc_id"] for member in members)
        assert row["cluster_size"] == len(members)
        assert row["split_key"] == min(key_of(member["doc_id"]) for member in members)
        assert row["kept"] == (row["winner"] is None)


@given(order=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 116), max_size=5))
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shards_and_their_order_have_no_part_in_it(
    tmp_path_factory: pytest.TempPathFactory, pages: Pages, order: random.Random, cuts: list[int]
) -> None:
    shuffled = order.sample(pages, len(pages))
    edges = [0, *sorted(cuts), len(pages)]
    shards = [shuffled[start:end] for start, end in itertools.pairwise(edges)]
    tmp = tmp_path_factory.mktemp("order")
    columns = ("doc_id", "kept", "reason", "cluster", "cluster_size", "split_key", "winner", "jaccard")
    one = sorted(tuple(row[name] for name in columns) for row in dedupe(tmp / "1", [pages]).rows())
    other = dedupe(tmp / "2", shards)
    assert sorted(tuple(row[name] for name in columns) for row in other.rows()) == one
    for number, shard in enumerate(shards):  # each shard's verdicts stand in its own order
        table = minhash.ledger.read_verdicts(other.path(f"verdicts/{number:05d}.parquet"))
        assert table["doc_id"].to_pylist() == [doc_id for doc_id, _ in shard]
        assert table["row"].to_pylist() == list(range(len(shard)))


def test_a_chain_is_not_removed_for_a_winner_that_is_unlike(tmp_path: Path) -> None:
    words = prose(7, 300)
    links = [words]
    for link in range(6):
        links.append([*links[-1][12:], *(f"tail{link}x{number}" for number in range(12))])
    pages = [(f"{number:02d}", " ".join(link)) for number, link in enumerate(links)]
    rows = {row["doc_id"]: row for row in dedupe(tmp_path, [pages]).rows()}
    assert len({row["cluster"] for row in rows.values()}) == 1  # one chain of candidates
    kept = [doc_id for doc_id, row in rows.items() if row["kept"]]
    assert len(kept) > 1
    assert all(similarity(pages, *pair) < 0.7 for pair in itertools.pairwise(kept))
    assert all(similarity(pages, name, row["winner"]) >= 0.7 for name, row in rows.items() if not row["kept"])


class TestTheKeptPage:
    WORDS = prose(3)

    def winner(self, tmp: Path, pages: Pages, dates: dict[str, str]) -> list[str]:
        return dedupe(tmp, [pages], dates).kept()

    def test_is_the_longest(self, tmp_path: Path) -> None:
        longer = " ".join([*self.WORDS, "and", "a", "coda"])
        pages = [("a", " ".join(self.WORDS)), ("z", longer)]
        assert self.winner(tmp_path, pages, {"a": "2001", "z": "2024"}) == ["z"]

    def test_then_the_oldest_and_no_date_is_newest(self, tmp_path: Path) -> None:
        text = " ".join(self.WORDS)
        pages = [("a", text), ("b", text), ("z", text)]
        assert self.winner(tmp_path, pages, {"a": "", "b": "2024-01-02", "z": "2024-01-01"}) == ["z"]

    def test_then_the_smallest_id(self, tmp_path: Path) -> None:
        text = " ".join(self.WORDS)
        assert self.winner(tmp_path, [("c", text), ("b", text), ("d", text)], {}) == ["b"]


def test_the_threshold_and_the_signatures_have_an_effect(tmp_path: Path, pages: Pages) -> None:
    loose = dedupe(tmp_path / "1", [pages], threshold=0.4)
    strict = dedupe(tmp_path / "2", [pages], threshold=1.0)
    assert len(loose.kept()) < len(strict.kept()) < len(pages)
    base = node("minhash").signatures
    tables = []
    for number, changes in enumerate(({}, {"seed": 2}, {"ngram": 3}, {"rows": 2}, {"bands": 2})):
        config = type(base)(**{**vars(base), **changes})
        texts = extracted(tmp_path / f"s{number}", [pages])
        inputs = [texts, verdicts_for("gopher_filtered", tmp_path / f"s{number}", texts)]
        made = run(minhash_signatures.build, "minhash_signatures", config, inputs, tmp_path / f"s{number}")
        tables.append(made.table("signatures"))
    assert not any(tables[0].equals(other) for other in tables[1:])


def test_price_lists_are_no_duplicates(tmp_path: Path) -> None:
    """With digits made equal, one of two lists that differ in every price would go."""
    pages = [(name, " ".join(f"item {k} costs {k * factor} dollars" for k in range(40))) for name, factor in LISTS]
    assert dedupe(tmp_path, [pages]).kept() == [name for name, _ in LISTS]


def test_pages_without_words_are_never_duplicates(tmp_path: Path) -> None:
    rows = dedupe(tmp_path, [[("a", "..."), ("b", "..."), ("c", "")]]).rows()
    assert [row["kept"] for row in rows] == [True] * 3


@pytest.mark.parametrize("shards", [[[]], [], [[], [("a", "one two three four five six")]]])
def test_empty_shards_are_shards(tmp_path: Path, shards: list[Pages]) -> None:
    made = dedupe(tmp_path, shards)
    assert len(made.shards) == len(shards)
    assert made.metrics.get("documents_in", 0) == sum(map(len, shards))


class TestSignaturesOfOtherPages:
    """Matching by row number gives no error and deletes the wrong pages; here nothing is judged."""

    def made(self, tmp: Path, texts: Made, signed_texts: Made) -> Made:
        config = node("minhash")
        judged = verdicts_for("gopher_filtered", tmp, texts)
        before = verdicts_for("gopher_filtered", tmp / "before", signed_texts)
        signed = run(minhash_signatures.build, "minhash_signatures", config.signatures, [signed_texts, before], tmp)
        return run(minhash.build, "minhash_deduped", config, [signed, texts, judged], tmp)

    def test_one_page_more_is_an_error(self, tmp_path: Path, pages: Pages) -> None:
        texts, fewer = extracted(tmp_path / "1", [pages]), extracted(tmp_path / "2", [pages[1:]])
        with pytest.raises(LedgerError, match="115 signatures are not of the 116 pages"):
            self.made(tmp_path, texts, fewer)

    def test_the_same_pages_in_another_order_are_an_error(self, tmp_path: Path, pages: Pages) -> None:
        texts, turned = extracted(tmp_path / "1", [pages]), extracted(tmp_path / "2", [pages[::-1]])
        with pytest.raises(LedgerError, match="signatures are not of"):
            self.made(tmp_path, texts, turned)

    def test_one_id_twice_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match="doc_id a occurs twice in test-dump"):
            dedupe(tmp_path, [[("a", "some words")], [("a", "other words")]])
