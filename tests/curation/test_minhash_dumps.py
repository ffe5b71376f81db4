"""Duplicates across dumps: what earlier dumps kept stays, and removes what is like it."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_dag import ledger
from llm_dag.config.compose import ConfigError, compose
from llm_dag.config.curation import Minhash
from llm_dag.curation import minhash, minhash_signatures
from llm_dag.ledger import LedgerError
from llm_dag.store.work import Work
from tests.curation.chain import Made, extracted, node, run, verdicts_for
from tests.curation.test_minhash import changed, key_of, prose

Pages = list[tuple[str, str]]
COLUMNS = ("doc_id", "kept", "reason", "cluster", "cluster_size", "split_key", "winner", "winner_dump", "jaccard")


@dataclasses.dataclass
class Dump:
    """The three artifacts of a dump that a later one opens."""

    signed: Made
    texts: Made
    deduped: Made

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["doc_id"]: row for row in self.deduped.rows()}


def dump(
    tmp: Path, name: str, shards: Sequence[Pages], earlier: Mapping[str, Dump] = {}, dates: dict[str, str] | None = None
) -> Dump:
    """Deduplicate pages, whose ids begin with the name of the dump, against earlier dumps."""
    tmp = tmp / name
    config = node("minhash", scope="all" if earlier else "dump", against=list(earlier))
    texts = extracted(tmp, shards, dates or {}, crawl=f"{name}-")
    judged = verdicts_for("gopher_filtered", tmp, texts)
    signed = run(minhash_signatures.build, "minhash_signatures", config.signatures, [texts, judged], tmp)
    for made in (texts, judged, signed):
        made.partition = name
    opened = {
        "minhash_signatures": [signed, *(one.signed for one in earlier.values())],
        "extracted_text": [texts, *(one.texts for one in earlier.values())],
        "gopher_filtered": [judged],
    }
    if earlier:
        opened["minhash_deduped"] = [one.deduped for one in earlier.values()]
    folder = tmp / "minhash_deduped"
    work = Work("minhash_deduped", name, config, None, opened, folder)  # type: ignore[arg-type]
    minhash.build(work)
    deduped = Made("minhash_deduped", folder / "out" / "data", [signed, texts, judged], work.metrics)
    deduped.partition = name
    return Dump(signed, texts, deduped)


def text(seed: int, change: int = 0) -> str:
    return " ".join(changed(prose(seed), change, seed) if change else prose(seed))


def test_a_page_that_an_earlier_dump_kept_removes_its_copies(tmp_path: Path) -> None:
    first = dump(tmp_path, "d1", [[("a", text(1)), ("b", text(2)), ("copy", text(2, 1))]])
    before = {path: path.read_bytes() for path in first.deduped.folder.rglob("*.parquet")}
    second = dump(tmp_path, "d2", [[("x", text(1, 2)), ("y", text(3))], [("z", text(2) + " longer")]], {"d1": first})
    rows = second.rows
    assert {name: row["kept"] for name, row in rows.items()} == {"d2-x": False, "d2-y": True, "d2-z": False}
    assert (rows["d2-x"]["winner"], rows["d2-x"]["winner_dump"], rows["d2-x"]["reason"]) == ("d1-a", "d1", "duplicate")
    kept = next(name for name in ("d1-b", "d1-copy") if first.rows[name]["kept"])
    assert rows["d2-z"]["winner"] == kept  # a longer page than its winner: what was kept stays
    assert rows["d2-z"]["cluster_size"] == 2  # the earlier dump's removed page is no part of it
    assert rows["d2-y"]["winner_dump"] is None
    assert {path: path.read_bytes() for path in first.deduped.folder.rglob("*.parquet")} == before
    assert second.deduped.shards == ("00000", "00001")


def test_a_winner_in_its_own_dump_is_named_with_it(tmp_path: Path) -> None:
    rows = dump(tmp_path, "d1", [[("a", text(1)), ("b", text(1))]]).rows
    assert (rows["d1-b"]["winner"], rows["d1-b"]["winner_dump"]) == ("d1-a", "d1")


def test_the_most_similar_wins_and_of_equals_the_dump_that_is_named_first(tmp_path: Path) -> None:
    first, second = (dump(tmp_path, name, [[("a", text(1))]]) for name in ("d1", "d2"))
    nearer = dump(tmp_path, "d3", [[("a", text(1, 3))]])
    third = dump(tmp_path, "d4", [[("x", text(1)), ("y", text(1, 3))]], {"d2": second, "d3": nearer, "d1": first})
    assert {name: row["winner"] for name, row in third.rows.items()} == {"d4-x": "d2-a", "d4-y": "d3-a"}


def test_held_out_pages_stay_together_across_dumps(tmp_path: Path) -> None:
    """A cluster takes the split key of its earlier pages; a page crawled again is found by its address."""
    first = dump(tmp_path, "d1", [[("m", text(1)), ("a", text(1, 1)), ("n", text(2))]])
    assert first.rows["d1-m"]["split_key"] == min(key_of("a"), key_of("m"))
    pages = [("q", text(1, 2)), ("m", text(1)[:-300] + text(7)), ("n", text(5)), ("o", text(6))]
    rows = dump(tmp_path, "d2", [pages], {"d1": first}).rows
    assert rows["d2-q"]["split_key"] == first.rows["d1-m"]["split_key"]
    assert rows["d2-m"]["split_key"] == first.rows["d1-m"]["split_key"]
    assert rows["d2-n"]["kept"]  # another text at the same address
    assert (rows["d2-n"]["jaccard"], rows["d2-n"]["split_key"]) == (0.0, first.rows["d1-n"]["split_key"])
    assert rows["d2-o"]["split_key"] == key_of("o")


def test_pages_without_words_are_no_duplicates_of_their_earlier_versions(tmp_path: Path) -> None:
    first = dump(tmp_path, "d1", [[("a", "...")]])
    assert dump(tmp_path, "d2", [[("a", "...")]], {"d1": first}).deduped.kept() == ["d2-a"]


@given(order=st.randoms(use_true_random=False), cuts=st.lists(st.integers(0, 40), max_size=4))
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shards_of_no_dump_have_a_part_in_it(
    tmp_path_factory: pytest.TempPathFactory, order: random.Random, cuts: list[int]
) -> None:
    pages = [(f"{family}-{change}", text(family, change)) for family in range(8) for change in (0, 1, 4, 9, 20)]
    old, new = pages[::2], [(f"new-{name}", words) for name, words in pages]
    tmp = tmp_path_factory.mktemp("order")
    found = []
    for number, (earlier, later) in enumerate(
        (([old], [new]), (cut(order.sample(old, len(old)), cuts), cut(order.sample(new, len(new)), cuts)))
    ):
        first = dump(tmp / str(number), "d1", earlier)
        second = dump(tmp / str(number), "d2", later, {"d1": first})
        found.append([sorted(map(values, one.deduped.rows())) for one in (first, second)])
    assert found[0] == found[1]


def cut(pages: Pages, cuts: list[int]) -> list[Pages]:
    edges = [0, *sorted(cuts), len(pages)]
    return [pages[start:end] for start, end in itertools.pairwise(edges)]


def values(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(-1.0 if row[name] is None else row[name] for name in COLUMNS)


class TestOtherArtifacts:
    """Artifacts of an earlier dump that do not belong together are refused; nothing is judged."""

    def test_verdicts_of_other_pages(self, tmp_path: Path) -> None:
        first = dump(tmp_path, "d1", [[("a", text(1)), ("b", text(2))]])
        other = dump(tmp_path / "other", "d1", [[("b", text(2)), ("a", text(1))]])
        with pytest.raises(LedgerError, match="2 signatures are not of the 2 pages of minhash_deduped"):
            dump(tmp_path, "d2", [[]], {"d1": dataclasses.replace(first, deduped=other.deduped)})

    def test_texts_of_other_pages(self, tmp_path: Path) -> None:
        first = dump(tmp_path, "d1", [[("a", text(1)), ("b", text(2))]])
        other = dump(tmp_path / "other", "d1", [[("b", text(2)), ("a", text(1))]])
        with pytest.raises(LedgerError, match=r"row 0 holds d1-b, (but|and the signatures say)|judges d1-a"):
            dump(tmp_path, "d2", [[("x", text(1))]], {"d1": dataclasses.replace(first, texts=other.texts)})

    def test_another_dump(self, tmp_path: Path) -> None:
        first = dump(tmp_path, "d1", [[("a", text(1))]])
        with pytest.raises(LedgerError, match="the earlier dump d7: given were"):
            dump(tmp_path, "d2", [[]], {"d7": first})

    def test_shards_that_lack(self, tmp_path: Path) -> None:
        first = dump(tmp_path, "d1", [[("a", text(1))], [("b", text(2))]])
        first.signed.path("signatures/00001.parquet").unlink()
        with pytest.raises(LedgerError, match="has 1 shards; wanted: the 2 of"):
            dump(tmp_path, "d2", [[]], {"d1": first})


class TestWhatIsAsked:
    ASKED = Minhash(threshold=0.7, scope="all", against=["d1", "d2"])

    @pytest.mark.parametrize(
        ("dump", "scope", "against"),
        [("d1", "dump", []), ("d2", "all", ["d1"]), ("d3", "all", ["d1", "d2"])],
    )
    def test_a_dump_of_the_list_is_compared_with_those_before_it(
        self, dump: str, scope: str, against: list[str]
    ) -> None:
        found = self.ASKED.of_dump(dump)
        assert (found.scope, found.against) == (scope, against)

    @pytest.mark.parametrize(
        ("overrides", "said"),
        [
            (["scope=all"], r"against=\[\]: allowed is one dump or more"),
            (["against=[d1]"], r"against=\['d1'\]: allowed is no dump"),
            (["scope=all", "against=[d1,d1]"], "each dump once"),
            (["scope=newest"], "scope=newest: allowed is one of dump, all"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, overrides: list[str], said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            compose(["scale=ci", *(f"curation.minhash.{one}" for one in overrides)])


def test_checks_follow_the_dump_that_was_judged(tmp_path: Path) -> None:
    """An earlier deduplication is an input with verdicts, and no step of this dump's chain."""
    from llm_dag.curation import checks

    first = dump(tmp_path, "d1", [[("a", text(1))]])
    second = dump(tmp_path, "d2", [[("b", text(1))]], {"d1": first})
    second.deduped.above.append(first.deduped)
    assert [one.asset for one in checks.chain(second.deduped)][-2:] == ["gopher_filtered", "minhash_deduped"]  # type: ignore[arg-type]
    assert checks.conservation(second.deduped).passed  # type: ignore[arg-type]
    assert ledger.read_verdicts(second.deduped.path("verdicts/00000.parquet"))["winner_dump"].to_pylist() == ["d1"]
