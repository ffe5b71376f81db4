"""Recipes: what makes an artifact stale, what does not, and what a held asset keeps."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_dag.config.compute import Compute
from llm_dag.store.artifact import place
from llm_dag.store.build import materialize
from llm_dag.store.code_identity import identify
from llm_dag.store.commit import adopt
from llm_dag.store.errors import MissingInput, StoreError, Unhashable
from llm_dag.store.resolve import Resolver, State
from llm_dag.store.step import Graph, Input, Step
from llm_dag.store.work import Work

from .example import (
    PAGES,
    STEPS,
    House,
    Judged,
    Measured,
    Root,
    Source,
    Upper,
    Vocabulary,
    compute,
    source_from,
)


def pages_with(**texts: str) -> Source:
    return Source(pages={**PAGES, **{name.removeprefix("s"): text for name, text in texts.items()}})


def states(house: House, root: Any = None) -> dict[str, State]:
    resolver = house.resolver(root)
    return {name: resolver.resolve(name).state for name in house.graph}


def test_nothing_is_made_twice_when_nothing_changed(house: House) -> None:
    first = house.make_all()
    assert house.log.ran() == list(house.graph)
    assert [one.state for one in first.values()] == [State.BUILD] * len(first)
    second = house.make_all()
    assert house.log.ran() == []
    assert all(one.reused and one.artifact.digest == first[name].artifact.digest for name, one in second.items())


def test_a_recipe_is_known_before_the_step_starts(house: House) -> None:
    recipe = house.resolver().resolve("pages").recipe
    assert recipe is not None
    assert house.make("pages").artifact.recipe == recipe.digest


def test_artifacts_are_found_by_recipe_never_by_newest(house: House) -> None:
    old = house.make("pages").artifact
    house.make("pages", Root(source=pages_with(s00000="other words")))
    again = house.make("pages")
    assert again.reused
    assert again.artifact.recipe == old.recipe


def test_a_recipe_names_asset_partition_code_config_and_inputs(house: House) -> None:
    house.make_all("upper")
    recipe = house.resolver().resolve("upper").recipe
    assert recipe is not None
    others = [
        dataclasses.replace(recipe, asset="lower"),
        dataclasses.replace(recipe, partition="d2"),
        dataclasses.replace(recipe, code=dataclasses.replace(recipe.code, modules={})),
        dataclasses.replace(recipe, code=dataclasses.replace(recipe.code, distributions={"numpy": "1"})),
        dataclasses.replace(recipe, code=dataclasses.replace(recipe.code, python="3.0")),
        dataclasses.replace(recipe, config={}),
        dataclasses.replace(recipe, inputs={**recipe.inputs, "pages": (("d1", "0" * 64),)}),
        dataclasses.replace(recipe, inputs={"pages": recipe.inputs["pages"]}),
    ]
    assert len({recipe.digest, *(one.digest for one in others)}) == 1 + len(others)


def test_the_same_bytes_downstream_are_an_early_cutoff(house: House) -> None:
    house.make_all()
    house.log.ran()
    swapped = Root(source=pages_with(s00000="two one"))  # other text, the same verdicts
    made = house.make_all("funnel", root=swapped)
    assert house.log.ran() == ["pages", "judged"]
    assert made["funnel"].state is State.FRESH


def test_a_verdict_only_input_is_not_enough_when_text_is_read_too(house: House) -> None:
    house.make_all()
    swapped = Root(source=pages_with(s00000="two one"))
    house.make_all("judged", root=swapped)
    resolution = house.resolver(swapped).resolve("upper")
    assert resolution.state is State.BUILD
    assert resolution.reasons == ("input: pages has other bytes",)
    assert house.make("upper", swapped).artifact.path("text/00000.parquet").read_text() == "TWO ONE!"


def test_until_an_input_is_made_a_step_is_undecided_unless_its_own_config_changed(house: House) -> None:
    house.make_all()
    swapped = Root(source=pages_with(s00000="two one"))
    found = house.resolver(swapped).resolve("funnel")
    assert (found.state, found.reasons) == (State.UNDECIDED, ("rebuilds unless judged yields the same bytes",))
    both = dataclasses.replace(swapped, upper=Upper(mark="?"))
    found = house.resolver(both).resolve("upper")
    assert (found.state, found.reasons) == (State.BUILD, ("config: mark '!' → '?'",))


def test_an_input_that_is_not_made_is_an_error_that_says_what_to_make(house: House) -> None:
    with pytest.raises(MissingInput, match=r"upper opens judged, pages, not made yet .* of the dump d1"):
        house.make("upper")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Compute)])
def test_runtime_config_cannot_reach_a_recipe(house: House, field: str, tmp_path: Path) -> None:
    house.make_all("upper")
    house.log.ran()
    given = compute(house.url)
    value = getattr(given, field)
    other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"{value}-other"
    changed: Compute = dataclasses.replace(given, **{field: other})  # type: ignore[arg-type]
    for name in ("pages", "judged", "upper"):
        assert materialize(house.resolver(), name, None, changed, house.log).state is State.FRESH
    assert house.log.ran() == []


def test_a_node_reaches_no_other_step(house: House) -> None:
    house.make_all()
    found = states(house, Root(measured=Measured(digits=3)))
    assert {name for name, state in found.items() if state is not State.FRESH} == {"measured"}


def test_a_field_at_the_value_as_before_makes_nothing_stale(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass
    class Older:
        mark: str = "!"
        words: str = dataclasses.field(default="", metadata=Upper.__dataclass_fields__["words"].metadata)

    older = dataclasses.replace(Root(), upper=Older())  # type: ignore[arg-type]
    house.make_all(root=older)
    assert set(states(house).values()) == {State.FRESH}
    changed = Root(upper=Upper(knob="new"))
    assert house.resolver(changed).resolve("upper").reasons == ("config: knob None → 'new'",)
    assert house.resolver(changed).resolve("vocabulary").request != house.resolver().resolve("vocabulary").request
    assert house.resolver(older).resolve("vocabulary").request == house.resolver().resolve("vocabulary").request


def test_a_path_enters_as_the_digest_of_the_file_and_moving_the_folder_changes_nothing(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "words.txt").write_text("adult")
    root = Root(upper=Upper(words=str(tmp_path / "here")))
    house.make_all("upper", root=root)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = Root(upper=Upper(words=str(tmp_path / "there")))
    assert house.make("upper", moved).reused
    (tmp_path / "there" / "words.txt").write_text("adult, illegal")
    assert house.resolver(moved).resolve("upper").state is State.BUILD


def test_a_value_that_cannot_be_hashed_stops_before_the_step(house: House) -> None:
    house.make("pages")
    house.log.ran()
    with pytest.raises(Unhashable, match=r"judged\.min_words=nan"):
        house.make("judged", Root(judged=Judged(min_words=float("nan"))))  # type: ignore[arg-type]
    assert house.log.ran() == []


def branching(work: Work) -> None:
    """A step that reaches the temporary package by an import statement inside a function."""
    work.progress.say(f"ran {work.asset}")
    if work.config.mark == "import":
        from llm_dag.tree import outer

        outer.build(work)
    work.data("text.txt").write_text("text")


def following(work: Work) -> None:
    """What depends on it."""
    work.progress.say(f"ran {work.asset}")
    work.data("more.txt").write_text(work.input("branching").path("text.txt").read_text())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "llm_dag"
    (root / "tree").mkdir(parents=True)
    (root / "tree" / "outer.py").write_text("def build(work):\n    from llm_dag.tree import inner\n    inner.go()\n")
    (root / "tree" / "inner.py").write_text("def go():\n    return 1\n")
    return root


def resolvers(house: House, tree: Path) -> Callable[[], Resolver]:
    graph = Graph(
        [
            Step("branching", branching, "g", "upper"),
            Step("following", following, "g", "judged", (Input("branching"),)),
        ]
    )
    code = functools.partial(identify, source=tree)
    return lambda: Resolver(house.store, graph, Root(), code, source_from)


def test_a_code_edit_makes_the_step_stale_and_leaves_what_depends_on_it_undecided(house: House, tree: Path) -> None:
    resolver = resolvers(house, tree)
    for name in ("branching", "following"):
        materialize(resolver(), name, None, compute(house.url), house.log)
    (tree / "tree" / "inner.py").write_text('"""Says more."""\n\n\ndef go():\n    return 1  # one\n')
    assert [resolver().resolve(name).state for name in ("branching", "following")] == [State.FRESH, State.FRESH]
    (tree / "tree" / "inner.py").write_text("def go():\n    return 2\n")
    assert resolver().resolve("branching").reasons == ("code: llm_dag.tree.inner changed",)
    assert resolver().resolve("following").state is State.UNDECIDED
    house.log.ran()
    materialize(resolver(), "branching", None, compute(house.url), house.log)
    assert materialize(resolver(), "following", None, compute(house.url), house.log).state is State.FRESH
    assert house.log.ran() == ["branching"]


def test_adopting_keeps_an_artifact_across_a_refactor_and_records_who_and_why(house: House, tree: Path) -> None:
    resolver = resolvers(house, tree)
    old = materialize(resolver(), "branching", None, compute(house.url), house.log).artifact
    (tree / "tree" / "inner.py").write_text("def go():\n    one = 1\n    return one\n")
    recipe = resolver().resolve("branching").recipe
    assert recipe is not None
    for who, why in (("", "refactored"), ("Ada", " ")):
        with pytest.raises(StoreError, match="a name and a reason"):
            adopt(house.store, old, recipe, who, why)
    adopt(house.store, old, recipe, "Ada", "a variable got a name")
    house.log.ran()
    new = materialize(resolver(), "branching", None, compute(house.url), house.log)
    assert new.reused
    assert house.log.ran() == []
    assert new.artifact.digest == old.digest
    assert new.artifact.path("text.txt").read_text() == "text"
    adopted = new.artifact.manifest.adopted
    assert (adopted["from"], adopted["who"], adopted["why"]) == (old.recipe, "Ada", "a variable got a name")
    with pytest.raises(StoreError, match="in the store already"):
        adopt(house.store, old, recipe, "Ada", "again")


def test_adopting_is_refused_when_something_else_was_asked_for(house: House) -> None:
    house.make_all("upper")
    old = house.make("upper").artifact
    recipe = house.resolver(Root(upper=Upper(mark="?"))).resolve("upper").recipe
    assert recipe is not None
    with pytest.raises(StoreError, match="config: mark"):
        adopt(house.store, old, recipe, "Ada", "looks the same")


class TestHeld:
    """A held asset keeps its artifact until it is released, and shows why it is stale."""

    def test_other_bytes_under_the_same_request_leave_it_held_with_reasons(self, house: House, tmp_path: Path) -> None:
        words = tmp_path / "words.txt"
        words.write_text("first")
        root = Root(upper=Upper(words=str(words)))
        first = house.make_all("vocabulary", root=root)["vocabulary"].artifact
        words.write_text("second")
        house.make_all("upper", root=root)
        found = house.make("vocabulary", root)
        assert (found.state, found.artifact.recipe) == (State.HELD, first.recipe)
        assert found.reasons == ("input: upper has other bytes",)

    def test_other_code_leaves_it_held_and_another_config_in_its_closure_rebuilds_it(self, house: House) -> None:
        first = house.make_all("vocabulary")["vocabulary"].artifact
        edited = identity_with_edit(house, "vocabulary")
        found = edited.resolve("vocabulary")
        assert found.state is State.HELD
        assert found.artifact is not None
        assert found.artifact.recipe == first.recipe
        assert found.reasons == ("code: an edited module is new",)
        house.log.ran()
        assert materialize(edited, "vocabulary", None, compute(house.url), house.log).state is State.HELD
        assert any("vocabulary is held; --release vocabulary rebuilds it (code" in line for line in house.log.lines())
        asked_otherwise = Root(judged=Judged(min_words=2))
        house.make_all("upper", root=asked_otherwise)
        house.make_all("vocabulary", root=Root(upper=Upper(mark="?")))
        assert "vocabulary" in house.log.ran()

    def test_released_it_is_rebuilt_and_held_again(self, house: House) -> None:
        first = house.make_all("vocabulary")["vocabulary"].artifact
        edited = identity_with_edit(house, "vocabulary")
        house.store.release("vocabulary", edited.resolve("vocabulary").request)
        edited = identity_with_edit(house, "vocabulary")
        made = materialize(edited, "vocabulary", None, compute(house.url), house.log)
        assert made.state is State.BUILD
        assert made.artifact.recipe != first.recipe
        request = edited.resolve("vocabulary").request
        assert house.store.holder_of("vocabulary", request) == made.artifact.recipe

    def test_what_depends_on_it_opens_the_held_artifact_before_its_inputs_are_made(self, house: House) -> None:
        house.make_all()
        edited = identity_with_edit(house, "upper", "vocabulary")
        assert edited.resolve("upper").state is State.BUILD
        assert edited.resolve("vocabulary").state is State.HELD
        assert edited.resolve("measured").state is State.FRESH


def identity_with_edit(house: House, *names: str) -> Resolver:
    """A resolver for which the code of some steps is another."""
    builds = {house.graph[name].build for name in names}

    def code(build: Callable[..., Any]) -> Any:
        found = identify(build)
        if build not in builds:
            return found
        return dataclasses.replace(found, modules={**found.modules, "an edited module": "0"})

    return Resolver(house.store, house.graph, Root(), code, source_from)


def test_via_opens_what_another_input_was_made_from(house: House) -> None:
    made = house.make_all()
    edited = identity_with_edit(house, "upper")
    newer = materialize(edited, "upper", None, compute(house.url), house.log).artifact
    assert newer.recipe != made["upper"].artifact.recipe
    (opened,) = made["measured"].artifact.inputs("upper")
    assert opened.recipe == made["upper"].artifact.recipe
    (through,) = edited.resolve("measured").inputs["upper"]
    assert through.artifact is not None
    assert through.artifact.recipe == made["upper"].artifact.recipe


def test_a_list_of_dumps_opens_those_in_order_and_no_other(house: House) -> None:
    for number in (1, 2, 3):
        source = Source(dump=f"d{number}", pages={"00000": f"page{number} text"})
        house.store.register_dump(source.dump, dataclasses.asdict(source))
        house.make_all("upper", root=Root(source=source))
    two = Root(source=Source(dump="d3", pages={"00000": "page3 text"}), vocabulary=Vocabulary(dumps=["d2", "d1"]))
    made = house.make("vocabulary", two)
    assert [one.partition for one in made.artifact.inputs("upper")] == ["d2", "d1"]
    assert made.artifact.path("words.txt").read_text().split() == ["PAGE1", "PAGE2", "TEXT!"]
    assert house.make("measured", two).artifact.path("shards.txt").read_text() == "d2 1 d1 1"


def test_a_new_dump_does_not_remake_what_does_not_list_it(house: House) -> None:
    house.store.register_dump("d1", dataclasses.asdict(Source()))
    house.make_all()
    house.log.ran()
    new = Root(source=Source(dump="d2", pages={"00000": "new page"}))
    house.make_all(root=new)
    assert house.log.ran() == ["pages", "judged", "upper", "funnel", "arrays"]


def test_a_dump_that_was_not_crawled_is_an_error_that_names_the_known_ones(house: House) -> None:
    house.store.register_dump("d1", dataclasses.asdict(Source()))
    with pytest.raises(StoreError, match=r"the dump d7 has not been crawled .* known dumps: d1"):
        house.resolver(Root(vocabulary=Vocabulary(dumps=["d7"]))).resolve("vocabulary")


@pytest.mark.parametrize("dump", ["../up", "a/b", "", ".hidden", "with space"])
def test_a_dump_that_cannot_name_a_folder_is_refused(house: House, dump: str) -> None:
    with pytest.raises(StoreError, match="names a folder"):
        place("pages", dump, "0" * 40)
    with pytest.raises(StoreError, match="names a folder"):
        house.store.register_dump(dump, {})


def test_a_graph_without_an_order_is_refused() -> None:
    steps = {step.name: step for step in STEPS}
    with pytest.raises(StoreError, match=r"wait for \['pages'\]"):
        Graph([steps["judged"]])
    circle = dataclasses.replace(steps["pages"], inputs=(Input("judged"),))
    with pytest.raises(StoreError, match="wait for each other"):
        Graph([circle, steps["judged"]])
    with pytest.raises(StoreError, match="two steps are named pages"):
        Graph([steps["pages"], steps["pages"]])
    with pytest.raises(StoreError, match="via vocabulary, which is not among its inputs"):
        Graph([*STEPS[:5], dataclasses.replace(steps["measured"], inputs=(Input("upper", via="vocabulary"),))])
