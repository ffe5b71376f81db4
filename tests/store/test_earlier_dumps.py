"""A step of one dump opens artifacts of earlier dumps, and of its own asset there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from llm_dag.store.errors import MissingInput, StoreError
from llm_dag.store.resolve import State
from llm_dag.store.step import EarlierDumps, Graph, Input, Step
from llm_dag.store.work import Work
from tests.store.example import STEPS, House, Log, Root, Source


@dataclass
class Fresh:
    """Words that are in no earlier dump."""

    against: list[str] = field(default_factory=list)

    def of_dump(self, dump: str) -> Fresh:
        before = self.against[: self.against.index(dump)] if dump in self.against else self.against
        return dataclasses.replace(self, against=list(before))


@dataclass
class Loose:
    """The same with a list that says nothing of the dump that it is about."""

    against: list[str] = field(default_factory=list)


@dataclass
class FreshRoot(Root):
    fresh: Fresh | Loose = field(default_factory=Fresh)


def fresh(work: Work) -> None:
    """The words of the dump that no earlier dump has kept."""
    work.progress.say(f"ran {work.asset}")
    own, *texts = work.inputs("upper")
    known = {
        word for one in work.input_artifacts.get("fresh", ()) for word in one.path("words.txt").read_text().split()
    }
    assert len(texts) == len(work.config.against)
    words = {word.strip("!") for name in own.names("text/") for word in own.path(name).read_text().split()}
    work.data("words.txt").write_text(" ".join(sorted(words - known)))


FRESH = Step(
    "fresh",
    fresh,
    "curation",
    "fresh",
    (Input("upper"),),
    partitioned=True,
    earlier=EarlierDumps("against", ("upper", "fresh")),
)
DUMPS = {"d1": "one two", "d2": "two three", "d3": "three four one"}


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(str(tmp_path / "store"), Log(tmp_path / "log.txt"), Graph([*STEPS, FRESH]))
    for dump in DUMPS:
        made.store.register_dump(dump, dataclasses.asdict(source(dump)))
    return made


def source(dump: str) -> Source:
    return Source(dump=dump, pages={"00000": DUMPS[dump]})


def root(dump: str, *against: str, node: type[Fresh] | type[Loose] = Fresh) -> FreshRoot:
    return FreshRoot(source=source(dump), fresh=node(list(against)))


def words(house: House, dump: str, *against: str) -> str:
    made = house.make_all("fresh", root=root(dump, *against))["fresh"]
    return made.artifact.path("words.txt").read_text()


def test_what_earlier_dumps_made_is_opened_after_the_own(house: House) -> None:
    words(house, "d1")
    made = house.make_all("fresh", root=root("d2", "d1"))["fresh"].artifact
    assert [one.partition for one in made.inputs("upper")] == ["d2", "d1"]
    assert [one.partition for one in made.inputs("fresh")] == ["d1"]
    assert made.ancestor("pages").partition == "d2"
    with pytest.raises(StoreError, match="was not made from any fresh"):
        made.ancestor("fresh")


def test_one_configuration_serves_every_dump_of_its_list(house: House) -> None:
    """A dump is made against those before it, so what its own run made is found again by later ones."""
    apart = [words(house, "d1"), words(house, "d2", "d1"), words(house, "d3", "d1", "d2")]
    house.log.ran()
    together = [words(house, dump, "d1", "d2", "d3") for dump in DUMPS]
    assert together == apart == ["ONE TWO", "THREE", "FOUR"]
    assert house.log.ran() == []


def test_an_earlier_dump_that_changed_makes_a_later_one_stale_and_not_the_other_way(house: House) -> None:
    words(house, "d1")
    words(house, "d2", "d1")
    house.make_all("fresh", root=FreshRoot(source=Source("d2", {"00000": "other words"}), fresh=Fresh(["d1"])))
    assert house.resolver(root("d1")).resolve("fresh").state is State.FRESH
    changed = Source("d1", {"00000": "one three"})
    house.store.register_dump("d1", dataclasses.asdict(changed))
    house.make_all("fresh", root=FreshRoot(source=changed))
    found = house.resolver(root("d2", "d1")).resolve("fresh")
    assert found.state is State.BUILD
    assert set(found.reasons) == {"input: fresh has other bytes", "input: upper has other bytes"}


def test_an_earlier_dump_that_is_not_made_is_an_error_that_names_it(house: House) -> None:
    house.make_all("upper", root=root("d2"))
    with pytest.raises(MissingInput, match=r"fresh opens fresh, upper, not made yet .* of the dump d1"):
        house.make("fresh", root("d2", "d1"))
    with pytest.raises(StoreError, match="the dump d9 has not been crawled"):
        house.make("fresh", root("d2", "d9"))


@pytest.mark.parametrize("against", [["d1"], ["d2"], ["d2", "d1"]])
def test_a_list_that_leads_in_a_circle_is_an_error(house: House, against: list[str]) -> None:
    with pytest.raises(StoreError, match=r"fresh of the dump d[12] would be made from itself"):
        house.resolver(root("d1", *against, node=Loose)).resolve("fresh")


def test_a_step_opens_no_earlier_dumps_of_a_stranger() -> None:
    for change, said in (
        ({"partitioned": False}, "opens earlier dumps, so it is of one dump itself"),
        ({"earlier": EarlierDumps("against", ("judged",))}, "judged of earlier dumps, which is neither an input"),
    ):
        with pytest.raises(StoreError, match=said):
            Graph([*STEPS, dataclasses.replace(FRESH, **change)])
