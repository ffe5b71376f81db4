"""Checks gate, wherever you come from: also when a downstream step is materialised by hand."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from llm_dag.store.artifact import Artifact
from llm_dag.store.build import materialize
from llm_dag.store.canonical import UNSET, identity
from llm_dag.store.checks import CheckResult
from llm_dag.store.code_identity import CodeIdentity, identify
from llm_dag.store.errors import BlockedInput, StoreError
from llm_dag.store.gate import outdated
from llm_dag.store.resolve import Resolver, State
from llm_dag.store.step import Check, Graph
from llm_dag.store.work import Work

from .example import STEPS, House, Judged, Root, compute, kept_some, source_from

NONE_KEPT = Root(judged=Judged(min_words=9))


def with_checks(house: House, *checks: Check) -> House:
    """The house with other checks of `judged`."""
    steps = [dataclasses.replace(one, checks=checks) if one.name == "judged" else one for one in house.graph.values()]
    return dataclasses.replace(house, graph=Graph(steps))


def breaks(artifact: Artifact) -> CheckResult:
    """A check that raises."""
    raise ValueError(f"no such column in {artifact.asset}")


def odd_numbers(artifact: Artifact) -> CheckResult:
    """A check with numbers that JSON does not know."""
    import numpy as np

    return CheckResult(bool(np.bool_(True)), "fine", {"kept": np.float32(0.5), "loss": float("nan")})  # type: ignore[dict-item]


def not_a_number(artifact: Artifact) -> CheckResult:
    """A check whose number is none."""
    return CheckResult(True, "fine", {"kept": "many"})  # type: ignore[dict-item]


def test_a_failed_blocking_check_stops_a_downstream_that_is_materialised_by_hand(house: House) -> None:
    outcome = house.make_all("judged", root=NONE_KEPT)["judged"]
    assert not outcome.checks["kept_some"].passed
    house.log.ran()
    with pytest.raises(BlockedInput, match="upper may not open judged: its check kept_some: 0 documents kept"):
        house.make("upper", NONE_KEPT)
    assert house.log.ran() == []


def test_an_acceptance_with_a_name_and_a_reason_opens_it(house: House) -> None:
    artifact = house.make_all("judged", root=NONE_KEPT)["judged"].artifact
    house.store.accept(artifact, "kept_some", "a test of empty dumps", "Ada")
    accepted = house.store.acceptances(artifact)["kept_some"]
    assert (accepted["who"], accepted["why"]) == ("Ada", "a test of empty dumps")
    assert house.make("upper", NONE_KEPT).state is State.BUILD
    house.store.accept(artifact, "kept_some", "still", "Bob")
    rows = json.loads(house.store.files.read(f"{artifact.place}/acceptances.json"))
    assert [row["who"] for row in rows] == ["Ada", "Bob"]


def test_an_acceptance_of_one_recipe_does_not_open_another(house: House) -> None:
    artifact = house.make_all("judged", root=NONE_KEPT)["judged"].artifact
    house.store.accept(artifact, "kept_some", "a test of empty dumps", "Ada")
    other = Root(judged=Judged(min_words=8))
    house.make_all("judged", root=other)
    with pytest.raises(BlockedInput):
        house.make("upper", other)


@pytest.mark.parametrize("why", ["", "  \n"])
def test_an_acceptance_without_a_reason_is_refused(house: House, why: str) -> None:
    artifact = house.make_all("judged", root=NONE_KEPT)["judged"].artifact
    with pytest.raises(StoreError, match="needs a reason"):
        house.store.accept(artifact, "kept_some", why, "Ada")
    with pytest.raises(StoreError, match="has no check kept_sme; it has kept_all, kept_some"):
        house.store.accept(artifact, "kept_sme", "a slip of the pen", "Ada")


def test_a_check_that_does_not_block_stops_nothing(house: House) -> None:
    some = Root(judged=Judged(min_words=2))
    some.source.pages = {"00000": "one", "00001": "two words"}
    outcome = house.make_all("judged", root=some)["judged"]
    assert {name: record.passed for name, record in outcome.checks.items()} == {"kept_all": False, "kept_some": True}
    assert house.make("upper", some).state is State.BUILD


def test_a_check_that_raises_has_not_passed(house: House) -> None:
    broken = with_checks(house, Check("breaks", breaks))
    record = broken.make_all("judged")["judged"].checks["breaks"]
    assert (record.passed, record.message) == (False, "the check broke: ValueError: no such column in judged")
    with pytest.raises(BlockedInput, match="the check broke"):
        broken.make("upper")


def breaks_for_now(artifact: Artifact) -> CheckResult:
    if os.environ.get("DISK_IS_FULL"):
        raise OSError("no space left")
    return CheckResult(True, "read")


def test_a_check_that_broke_runs_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISK_IS_FULL", "1")
    once = with_checks(house, Check("reads", breaks_for_now))
    assert not once.make_all("judged")["judged"].checks["reads"].passed
    with pytest.raises(BlockedInput, match="no space left"):
        once.make("upper")
    monkeypatch.delenv("DISK_IS_FULL")
    assert once.make("upper").state is State.BUILD
    assert once.make("judged").checks["reads"].message == "read"


def test_numbers_of_a_check_are_plain_ones_and_the_record_is_stable(house: House) -> None:
    odd = with_checks(house, Check("odd", odd_numbers), Check("text", not_a_number, blocking=False))
    outcome = odd.make_all("judged")["judged"]
    assert outcome.checks["odd"].numbers == {"kept": 0.5}
    assert outcome.checks["odd"].message == "fine; loss is nan"
    assert not outcome.checks["text"].passed
    assert dict(odd.store.checks(outcome.artifact)) == outcome.checks


def test_results_stand_beside_the_manifest_and_lie_outside_the_digest(house: House) -> None:
    first = house.make_all("judged")["judged"].artifact
    assert {row["name"] for row in json.loads(house.store.files.read(f"{first.place}/checks.json"))} == {
        "kept_some",
        "kept_all",
    }
    again = with_checks(house, Check("breaks", breaks, blocking=False)).make("judged")
    assert again.reused
    assert again.artifact.digest == first.digest
    assert set(again.checks) == {"breaks"}


def few_kept(artifact: Artifact) -> CheckResult:
    """No more pages are kept than the gate says."""
    kept, most = artifact.metrics["documents_kept"], artifact.config["most_kept"]
    return CheckResult(kept <= most, f"{kept} documents kept, wanted {most} or fewer")


def test_a_gate_that_moves_runs_its_check_again_and_remakes_nothing(house: House) -> None:
    gated = with_checks(house, Check("few_kept", few_kept))
    first = gated.make_all("judged")["judged"]
    assert first.checks["few_kept"].message == "3 documents kept, wanted 9 or fewer"
    house.log.ran()
    narrow = Root(judged=Judged(most_kept=2))
    with pytest.raises(BlockedInput, match="few_kept: 3 documents kept, wanted 2 or fewer"):
        gated.make("upper", narrow)  # nobody has run the check under this gate
    again = gated.make("judged", narrow)
    assert (again.reused, again.artifact.recipe) == (True, first.artifact.recipe)
    assert not again.checks["few_kept"].passed
    assert house.log.ran() == []
    assert gated.make("upper").state is State.BUILD  # the gate is where it was


def copies_gate(work: Work) -> None:
    work.data("made").write_text(work.config.most_kept)


def test_an_acceptance_is_of_one_failure(house: House) -> None:
    gated = with_checks(house, Check("few_kept", few_kept))
    narrow, narrower = Root(judged=Judged(most_kept=2)), Root(judged=Judged(most_kept=1))
    artifact = gated.make_all("judged")["judged"].artifact
    with pytest.raises(StoreError, match="few_kept has passed; only a failed one is accepted"):
        gated.store.accept(artifact, "few_kept", "in advance", "Ada")
    assert gated.make("judged", narrow).reused
    gated.store.accept(artifact, "few_kept", "three are few", "Ada")
    assert gated.make("upper", narrow).state is State.BUILD
    with pytest.raises(BlockedInput, match="few_kept: 3 documents kept, wanted 1 or fewer"):
        with_other_upper(gated).make("upper", narrower)


def with_other_upper(house: House) -> House:
    """The house with a changed `upper`, which has to be made again."""
    steps = [
        dataclasses.replace(one, build=copies_gate) if one.name == "upper" else one for one in house.graph.values()
    ]
    return dataclasses.replace(house, graph=Graph(steps))


def test_a_result_by_another_gate_is_known_as_such(house: House) -> None:
    gated = with_checks(house, Check("few_kept", few_kept))
    gated.make_all("judged")
    for most, again in ((9, []), (2, ["few_kept"])):
        resolver = Resolver(gated.store, gated.graph, Root(judged=Judged(most_kept=most)), identify, source_from)
        assert outdated(gated.store, resolver.resolve("judged")) == again


def test_a_gate_inside_a_node_is_refused() -> None:
    @dataclasses.dataclass
    class Outer:
        inner: Judged

    with pytest.raises(StoreError, match=r"node\.inner: most_kept: a gate is a field of a step's own node"):
        identity(Outer(Judged()), "node")


def test_a_step_cannot_read_a_gate(house: House) -> None:
    """What is made may not depend on a value that its recipe does not hold."""
    steps = [dataclasses.replace(one, build=copies_gate, checks=()) if one.name == "judged" else one for one in STEPS]
    artifact = dataclasses.replace(house, graph=Graph(steps)).make_all("judged")["judged"].artifact
    assert artifact.path("made").read_text() == UNSET
    assert "most_kept" not in artifact.config


def edited(house: House, check: Callable[..., Any]) -> Resolver:
    """A resolver for which the code of a check is another."""

    def code(run: Callable[..., Any]) -> CodeIdentity:
        found = identify(run)
        return dataclasses.replace(found, modules={"an edited module": "0"}) if run is check else found

    return Resolver(house.store, house.graph, Root(), code, source_from)


def test_a_check_whose_own_code_changed_runs_again_and_one_whose_code_did_not_does_not(house: House) -> None:
    made = house.make_all("judged")["judged"]
    false = [dataclasses.replace(record, message="as recorded") for record in made.checks.values()]
    house.store.record_checks(made.artifact, false)
    assert house.make("judged").checks["kept_some"].message == "as recorded"
    again = materialize(edited(house, kept_some), "judged", None, compute(house.url), house.log)
    assert again.reused
    assert again.checks["kept_some"].message == "3 documents kept, wanted 1 or more"
    assert again.checks["kept_all"].message == "as recorded"


def test_an_outdated_result_does_not_open_an_input(house: House) -> None:
    made = house.make_all("judged", root=NONE_KEPT)["judged"]
    passed = [dataclasses.replace(record, passed=True, code="of before") for record in made.checks.values()]
    house.store.record_checks(made.artifact, passed)
    with pytest.raises(BlockedInput, match="kept_some"):
        house.make("upper", NONE_KEPT)


def test_an_artifact_that_a_killed_run_left_unchecked_is_checked_before_it_is_opened(house: House) -> None:
    artifact = house.make_all("judged")["judged"].artifact
    house.store.files.delete(f"{artifact.place}/checks.json")
    assert house.make("upper").state is State.BUILD
    assert house.store.checks(artifact)["kept_some"].passed


def test_a_check_reads_what_its_artifact_was_made_from(house: House) -> None:
    artifact = house.make_all("arrays")["arrays"].artifact
    assert artifact.ancestor("pages").shards == ("00000", "00001", "00002")
    assert artifact.ancestor("upper").asset == "upper"
    with pytest.raises(StoreError, match="was not made from any funnel"):
        artifact.ancestor("funnel")
