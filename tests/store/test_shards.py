"""Shards are incremental: what is unchanged is shared by reference, what is changed is made again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from llm_dag.store import manifest
from llm_dag.store.artifact import Artifact
from llm_dag.store.errors import StoreError
from llm_dag.store.manifest import Manifest
from llm_dag.store.step import Graph, Input, Step
from llm_dag.store.verify import verify
from llm_dag.store.work import Shard, Work

from .example import PAGES, House, Root, Source, Upper, compute, pages


def pages_with(**texts: str) -> Root:
    return Root(source=Source(pages={**PAGES, **{name.removeprefix("s"): text for name, text in texts.items()}}))


def judged_shards(house: House) -> list[str]:
    found = [line.removeprefix("shard ") for line in house.log.lines() if line.startswith("shard ")]
    house.log.path.unlink(missing_ok=True)
    return found


def urls(artifact: Artifact) -> dict[str, str]:
    return {name: artifact.entry(name).url for name in artifact.names("text/")}


def test_an_unchanged_shard_is_taken_by_reference_and_a_changed_one_is_made_again(house: House) -> None:
    first = house.make_all("upper")["upper"].artifact
    assert judged_shards(house) == ["00000", "00001", "00002"]
    second = house.make_all("upper", root=pages_with(s00001="other words"))["upper"].artifact
    assert judged_shards(house) == ["00001"]
    assert urls(second) == {
        "text/00000.parquet": f"{first.place}/data/text/00000.parquet",
        "text/00001.parquet": "",
        "text/00002.parquet": f"{first.place}/data/text/00002.parquet",
    }
    assert [second.path(name).read_text() for name in second.names("text/")] == [
        "ONE TWO!",
        "OTHER WORDS!",
        "FIVE SIX!",
    ]
    assert (second.metrics["shards_reused"], second.metrics["documents_kept"]) == (2, 3)
    assert not (Path(second.location) / "data" / "text" / "00000.parquet").exists()


def test_a_chain_of_reuse_keeps_pointing_at_the_file_that_was_written(house: House) -> None:
    first = house.make_all("upper")["upper"].artifact
    house.make_all("upper", root=pages_with(s00001="other words"))
    third = house.make_all("upper", root=pages_with(s00001="still other", s00002="words"))["upper"].artifact
    assert urls(third)["text/00000.parquet"] == f"{first.place}/data/text/00000.parquet"
    assert verify(house.store, house.log) == []


def test_sharing_does_not_enter_the_content_digest(house: House, tmp_path: Path) -> None:
    house.make_all("upper")
    shared = house.make_all("upper", root=pages_with(s00001="other words"))["upper"].artifact
    alone = House(str(tmp_path / "other"), house.log)
    assert alone.make_all("upper", root=pages_with(s00001="other words"))["upper"].artifact.digest == shared.digest


@pytest.mark.parametrize("root", [Root(upper=Upper(mark="?")), Root(upper=Upper(knob="new"))])
def test_other_config_makes_every_shard_again(house: House, root: Root) -> None:
    house.make_all("upper")
    judged_shards(house)
    house.make_all("upper", root=root)
    assert judged_shards(house) == ["00000", "00001", "00002"]


def test_a_removed_shard_leaves_the_others_shared(house: House) -> None:
    house.make_all("upper")
    judged_shards(house)
    fewer = Root(source=Source(pages={name: PAGES[name] for name in ("00000", "00002")}))
    artifact = house.make_all("upper", root=fewer)["upper"].artifact
    assert judged_shards(house) == []
    assert artifact.shards == ("00000", "00002")


def test_a_shard_is_shared_under_its_own_name_only(house: House) -> None:
    same = {"00000": "the same", "00001": "the same"}
    house.make_all("upper", root=Root(source=Source(pages=same)))
    judged_shards(house)
    made = house.make_all("upper", root=Root(source=Source(pages={**same, "00002": "the same"})))["upper"].artifact
    assert judged_shards(house) == ["00002"]
    assert made.names("text/") == ["text/00000.parquet", "text/00001.parquet", "text/00002.parquet"]


def test_an_input_that_is_opened_whole_enters_the_key_of_every_shard(house: House) -> None:
    """`arrays` opens the vocabulary outside `reads`: with another vocabulary no shard may be shared."""
    first = house.make_all("arrays")["arrays"].artifact
    root = Root()
    root.vocabulary.size = 2
    second = house.make_all("arrays", root=root)["arrays"].artifact
    assert second.metrics["shards_reused"] == 0
    assert second.digest != first.digest


def test_an_artifact_that_was_removed_by_hand_is_not_shared_from(house: House) -> None:
    import shutil

    first = house.make_all("upper")["upper"].artifact
    house.make_all("upper", root=pages_with(s00001="other words"))
    judged_shards(house)
    shutil.rmtree(first.location)
    third = house.make_all("upper", root=pages_with(s00001="still other"))["upper"].artifact
    assert judged_shards(house) == ["00000", "00001", "00002"]
    assert set(urls(third).values()) == {""}


@dataclasses.dataclass
class Rules:
    taken_down: dict[str, list[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Site(Root):
    takedowns: Rules = dataclasses.field(default_factory=Rules)


def takedowns(work: Work) -> None:
    """The rules, by the shard that they match."""
    import json

    work.data("rules.json").write_text(json.dumps(work.config.taken_down, sort_keys=True))


def purged(work: Work) -> None:
    """Pages without what was taken down."""
    import json

    rules = json.loads(work.input("takedowns").path("rules.json").read_text())

    def judge(shard: Shard) -> None:
        work.progress.say(f"shard {shard.name}")
        text = shard.read("pages").read_text()
        for rule in shard.extra:
            text = text.replace(rule, "")
        shard.write("text").write_text(text)

    work.map_shards(judge, reads={"pages": "pages"}, extra=lambda name: rules.get(name, []))


def test_a_takedown_makes_only_the_shard_that_its_rule_matches_again(house: House) -> None:
    site = dataclasses.replace(
        house,
        graph=Graph(
            [
                Step("pages", pages, "crawl", "source", (), partitioned=True),
                Step("takedowns", takedowns, "crawl", "takedowns"),
                Step("purged", purged, "curation", "judged", (Input("pages"), Input("takedowns")), partitioned=True),
            ]
        ),
    )
    site.make_all(root=Site())
    judged_shards(site)
    made = site.make_all(root=Site(takedowns=Rules({"00001": ["three"]})))["purged"].artifact
    assert judged_shards(site) == ["00001"]
    assert made.path("text/00001.parquet").read_text() == " four"


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_finished_shard_that_was_damaged_in_scratch_is_made_again(house: House, tmp_path: Path, damage: str) -> None:
    source = house.make("pages").artifact
    path = tmp_path / "scratch/out/data/text/00001.parquet"

    def made() -> list[str]:
        names = []

        def judge(shard: Shard) -> None:
            names.append(shard.name)
            shard.write("text").write_text(shard.read("pages").read_text().upper())

        work = Work("upper", "d1", None, compute(house.url), {"pages": [source]}, tmp_path / "scratch")
        work.map_shards(judge, reads={"pages": "pages"})
        return names

    assert made() == ["00000", "00001", "00002"]
    assert made() == []
    if damage == "gone":
        path.unlink()
    else:
        path.write_text("THREE FOUX" if damage == "changed" else "THREE")
    assert made() == ["00001"]
    assert path.read_text() == "THREE FOUR"


def test_a_shard_opens_nothing_that_was_not_declared(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    shard = Shard("00000", None, None, {("pages", "pages"): one, ("pages", "verdicts"): other}, tmp_path)
    assert shard.read("pages", "verdicts") == other
    for asset, kind in (("judged", ""), ("pages", "text"), ("pages", "")):
        with pytest.raises(StoreError, match="not one declared file of: pages pages, pages verdicts"):
            shard.read(asset, kind)


@pytest.mark.parametrize("kind", ["../up", "/tmp/up", "a/../../b", ""])
def test_a_shard_writes_nowhere_else(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StoreError, match="no name of a file"):
        Shard("00000", None, None, {}, tmp_path).write(kind)


def test_a_shard_that_an_input_lacks_is_an_error_that_names_it(house: House) -> None:
    broken = [dataclasses.replace(one, build=_lacking) if one.name == "judged" else one for one in house.graph.values()]
    with pytest.raises(StoreError, match=r"pages/d1/\w+ holds no file data/text/00000.parquet"):
        dataclasses.replace(house, graph=Graph(broken)).make_all("judged")


def _lacking(work: Work) -> None:
    work.map_shards(dict, reads={"pages": "text"})  # type: ignore[arg-type]


def test_a_declared_shard_whose_file_was_not_written_is_refused(house: House) -> None:
    forgetful = [
        dataclasses.replace(one, build=_forgetful) if one.name == "pages" else one for one in house.graph.values()
    ]
    with pytest.raises(StoreError, match=r"the shard 00000 names pages/00000\.parquet, which was not written"):
        dataclasses.replace(house, graph=Graph(forgetful)).make("pages")


def _forgetful(work: Work) -> None:
    work.data("pages/00001.parquet").write_text("x")
    work.declare_shard("00000", ["pages/00000.parquet"])


def test_shared_files_are_read_after_the_manifest_was_written_and_read(house: House) -> None:
    house.make_all("upper")
    shared = house.make_all("upper", root=pages_with(s00001="other words"))["upper"].artifact
    files = shared.manifest.to_files()
    again = Manifest.from_bytes(files["manifest.json"], "manifest.json")
    assert again == shared.manifest
    found = house.store.find("upper", "d1", shared.recipe)
    assert found is not None
    assert found.path("text/00000.parquet").read_text() == "ONE TWO!"


def test_a_folder_of_shared_files_is_one_folder(house: House) -> None:
    house.make_all("upper")
    shared = house.make_all("upper", root=pages_with(s00001="other words"))["upper"].artifact
    folder = shared.folder("text/")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "00000.parquet": "ONE TWO!",
        "00001.parquet": "OTHER WORDS!",
        "00002.parquet": "FIVE SIX!",
    }
    assert shared.folder("text/") == folder
    with pytest.raises(StoreError, match="holds no files under data/model/"):
        shared.folder("model/")


def many(work: Work) -> None:
    """More files than a manifest holds inline."""
    for number in range(manifest.INLINE + 1):
        work.reference(f"pages/{number:06}.parquet", f"file:///crawl/{number}", f"{number:064x}", number)
    work.data("one.txt").write_text("one")


def test_beyond_ten_thousand_files_the_entries_are_parquet(house: House) -> None:
    steps = [Step("pages", many, "crawl", "source", (), partitioned=True)]
    made = dataclasses.replace(house, graph=Graph(steps)).make("pages").artifact
    names = sorted(path.name for path in Path(made.location).iterdir())
    assert [name for name in names if name.startswith("entries-")] != []
    assert (Path(made.location) / "manifest.json").stat().st_size < 10_000
    found = house.store.find("pages", "d1", made.recipe)
    assert found is not None
    assert found.manifest == made.manifest
    assert len(found.names()) == manifest.INLINE + 2
    assert found.entry("pages/000007.parquet").url == "file:///crawl/7"
    assert found.path("one.txt").read_text() == "one"


def test_a_step_may_not_open_what_is_no_input(house: House) -> None:
    work = Work("judged", "d1", None, None, {"pages": []}, Path("/nowhere"))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"judged opens raw, which is not among its inputs \['pages'\]"):
        work.input("raw")
    with pytest.raises(StoreError, match="opens one pages, but 0 were given"):
        work.input("pages")
