"""Materializing: code that changes under a running step, two results of one recipe, and what may be written."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_dag.store import build
from llm_dag.store.build import materialize
from llm_dag.store.code_identity import edited_since, identify
from llm_dag.store.errors import CodeChanged, LeaseLost, StoreError, Unhashable
from llm_dag.store.resolve import Resolver, State
from llm_dag.store.step import Graph, Step
from llm_dag.store.store import Store
from llm_dag.store.verify import verify
from llm_dag.store.work import Work

from .example import STEPS, House, Root, Upper, compute, source_from


def only(house: House, step: Callable[[Work], None], node: str = "upper") -> House:
    return dataclasses.replace(house, graph=Graph([Step("one", step, "g", node)]))


def committed(house: House) -> list[tuple[str, str | None, str]]:
    return house.store.places()


def edits_code(work: Work) -> None:
    """A step whose code is edited while it runs; `words` names the module's file."""
    work.data("one.txt").write_text("one")
    if work.config.mark == "import":
        from llm_dag.tree import outer

        outer.build(work)
    with open(work.config.knob, "w") as stream:
        stream.write(work.config.mark)


@pytest.mark.parametrize(("text", "fails"), [("VALUE = 2\n", True), ("# a comment\nVALUE = 1\n", False)])
def test_code_changed_while_running_fails_and_commits_nothing(
    house: House, tmp_path: Path, text: str, fails: bool
) -> None:
    module = tmp_path / "llm_dag" / "tree" / "outer.py"
    module.parent.mkdir(parents=True)
    module.write_text("VALUE = 1\n")
    graph = Graph([Step("one", edits_code, "g", "upper")])
    root = Root(upper=Upper(mark=text, knob=str(module)))
    code = functools.partial(identify, source=tmp_path / "llm_dag")
    resolver = Resolver(house.store, graph, root, code, source_from)
    if not fails:
        materialize(resolver, "one", None, compute(house.url), house.log)
        assert len(committed(house)) == 1
        return
    with pytest.raises(CodeChanged, match=r"changed while it was running: llm_dag\.tree\.outer; run again"):
        materialize(resolver, "one", None, compute(house.url), house.log)
    assert committed(house) == []


def test_code_changed_since_it_was_resolved_fails_before_the_step_runs(house: House) -> None:
    answers = [identify(steady)]
    answers.append(dataclasses.replace(answers[0], modules={"an edited module": "0"}))
    resolver = Resolver(house.store, only(house, steady).graph, Root(), lambda step: answers.pop(0), source_from)
    with pytest.raises(CodeChanged, match="before it was running: an edited module"):
        materialize(resolver, "one", None, compute(house.url), house.log)
    assert (committed(house), house.log.ran()) == ([], [])


def test_a_loaded_module_that_was_edited_after_the_process_started_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "outer.py"
    file.write_text("VALUE = 1\n")
    module = type(sys)("llm_dag.tree.outer")
    module.__file__ = str(file)
    identity = dataclasses.replace(identify(steady), modules={"llm_dag.tree.outer": "0", "llm_dag.tree.other": "0"})
    written = file.stat().st_ctime
    assert edited_since(json.dumps, identity, written - 60) == []
    monkeypatch.setitem(sys.modules, "llm_dag.tree.outer", module)
    assert edited_since(json.dumps, identity, written + 60) == []
    assert edited_since(json.dumps, identity, written - 60) == ["llm_dag.tree.outer"]
    os.utime(file, (0, 0))  # moved here with an old date
    assert edited_since(json.dumps, identity, written - 60) == ["llm_dag.tree.outer"]


def steady(work: Work) -> None:
    """Writes the same bytes each time."""
    work.progress.say(f"ran {work.asset}")
    work.data("one.txt").write_text("one")


def edits_words(work: Work) -> None:
    """A step that changes a file which its config names."""
    Path(work.config.words).write_text("other")
    work.data("one.txt").write_text("one")


def test_a_file_of_the_config_that_changes_while_running_fails_and_commits_nothing(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("words")
    with pytest.raises(StoreError, match="a file that upper names changed while the step ran"):
        only(house, edits_words).make("one", Root(upper=Upper(words=str(tmp_path / "words.txt"))))
    assert committed(house) == []


def test_what_a_changed_file_may_have_made_is_not_kept(house: House, tmp_path: Path) -> None:
    """A worker process may have read the file late: with the first words again, shards are made again."""
    words = tmp_path / "words.txt"
    house.make_all("judged")
    steps = [dataclasses.replace(one, build=edits_words_at_its_end) if one.name == "upper" else one for one in STEPS]
    for made in (1, 2):
        words.write_text("words")
        with pytest.raises(StoreError, match="a file that upper names changed while the step ran"):
            dataclasses.replace(house, graph=Graph(steps)).make("upper", Root(upper=Upper(words=str(words))))
        assert house.log.lines().count("shard 00000") == made


def edits_words_at_its_end(work: Work) -> None:
    """`upper`, and an edit of the file of words."""
    from tests.store.example import upper

    upper(work)
    Path(work.config.words).write_text("other")


def nested(work: Work) -> None:
    """A step during which another process takes over its lease, and may commit the same recipe first."""
    work.data("one.txt").write_text(str(work.compute.checkpoint_seconds))
    work.data("same.txt").write_text("same")
    interruption = Path(work.compute.store) / "interrupt"
    if work.compute.checkpoint_seconds == 1 and interruption.exists():
        (lease,) = (Path(work.compute.store) / ".leases").rglob("*.json")
        holder = json.loads(lease.read_text())
        lease.write_text(json.dumps({**holder, "token": "another"}))
        if interruption.read_text() == "steal":
            return
        winner = Path(work.compute.store) / "winner" / "one"
        shutil.copytree(winner, Path(work.compute.store) / "one")
        if interruption.read_text() == "lose the race":
            lease.write_text(json.dumps(holder))


def interrupted(house: House, how: str) -> House:
    """A house in which another process has made the step's artifact, ready to be put in place while it runs."""
    elsewhere = only(dataclasses.replace(house, url=f"{house.url}-elsewhere"), nested)
    other = dataclasses.replace(compute(elsewhere.url), checkpoint_seconds=2)
    materialize(elsewhere.resolver(), "one", None, other, house.log)
    shutil.copytree(Path(elsewhere.url) / "one", Path(house.url) / "winner" / "one")
    (Path(house.url) / "interrupt").write_text(how)
    return only(house, nested)


def test_a_lease_lost_before_the_commit_commits_nothing(house: House) -> None:
    stolen = interrupted(house, "steal")
    with pytest.raises(LeaseLost, match="another process has taken over"):
        stolen.make("one")
    assert not (Path(house.url) / "one").exists()


def test_a_lease_lost_before_the_commit_leaves_the_artifact_of_who_took_over(house: House) -> None:
    stolen = interrupted(house, "take over and commit")
    with pytest.raises(LeaseLost):
        stolen.make("one")
    assert stolen.make("one").artifact.path("one.txt").read_text() == "2"


def test_the_first_commit_wins_and_the_difference_is_recorded_as_non_determinism(house: House) -> None:
    artifact = interrupted(house, "lose the race").make("one").artifact
    assert artifact.path("one.txt").read_text() == "2"
    (difference,) = house.store.differences(artifact)
    assert difference["files"] == ["data/one.txt"]
    assert difference["digest"] != artifact.digest
    assert difference["witness"]["threads"] == 1
    assert not house.store.scratch("one", None, artifact.recipe).exists()


def test_a_second_commit_of_the_same_bytes_records_nothing(house: House) -> None:
    first = only(house, steady).make("one").artifact
    before = sorted(Path(first.location).iterdir())
    assert house.store.differences(first) == []
    assert sorted(Path(first.location).iterdir()) == before


def failing_once(work: Work) -> None:
    """Fails the first time, with outputs and state half written."""
    work.progress.say(f"ran {work.asset}")
    state = work.scratch("checkpoint.txt")
    if not state.exists():
        state.write_text("step 10")
        work.data("half.txt").write_text("half")
        work.record("half.txt").write_text("half")
        raise RuntimeError("out of memory")
    work.data("one.txt").write_text(state.read_text())


def test_what_fails_commits_nothing_and_the_next_run_resumes_from_its_state(house: House) -> None:
    failing = only(house, failing_once)
    with pytest.raises(RuntimeError, match="out of memory"):
        failing.make("one")
    assert committed(house) == []
    assert failing.resolver().resolve("one").state is State.RESUME
    made = failing.make("one")
    assert made.state is State.RESUME
    assert made.artifact.path("one.txt").read_text() == "step 10"
    assert made.artifact.names() == ["one.txt"]
    assert not any(name.startswith("record/") for name in made.artifact.manifest.files)
    assert not house.store.scratch("one", None, made.artifact.recipe).exists()


def test_scratch_that_a_killed_run_left_after_its_commit_is_removed(house: House) -> None:
    """Between resolving and taking the lease another process has committed; its scratch is still there."""
    one = only(house, steady)
    late = one.resolver()
    late.resolve("one")
    made = one.make("one").artifact
    left = house.store.scratch("one", None, made.recipe) / "state" / "checkpoint.txt"
    left.parent.mkdir(parents=True)
    left.write_text("gigabytes")
    assert materialize(late, "one", None, compute(house.url), house.log).state is State.FRESH
    assert not left.exists()


def writes_nothing(work: Work) -> None:
    """Forgets to write."""
    work.record("log.txt").write_text("nothing")


def writes_link(work: Work) -> None:
    """Writes a link to what may change."""
    work.data("one.txt").symlink_to("/etc/hostname")


def test_what_is_no_artifact_is_refused(house: House) -> None:
    with pytest.raises(StoreError, match="one wrote nothing under data/"):
        only(house, writes_nothing).make("one")
    with pytest.raises(StoreError, match=r"data/one\.txt is no plain file"):
        only(house, writes_link).make("one")
    assert committed(house) == []


@pytest.mark.parametrize("name", ["../one.txt", "/tmp/one.txt", "a/../../one.txt", "", "a//b", "."])
def test_a_step_writes_in_its_own_folders_only(tmp_path: Path, name: str) -> None:
    work = Work("one", None, None, compute(""), {}, tmp_path)
    for write in (work.data, work.record, work.scratch):
        with pytest.raises(StoreError, match="no name of a file below"):
            write(name)


def odd_metrics(work: Work) -> None:
    """Metrics and witness of a library's own types."""
    import numpy as np

    work.data("one.txt").write_text("one")
    work.metrics["loss"] = np.float32(0.5)  # type: ignore[assignment]
    work.metrics["steps"] = 3
    work.witness["device"] = Path("cuda")
    work.witness["shapes"] = [(1, 2)]


def no_metric(work: Work) -> None:
    """A metric that is none."""
    work.data("one.txt").write_text("one")
    work.metrics["loss"] = "low"  # type: ignore[assignment]


def test_the_manifest_says_what_was_asked_what_was_made_from_what_and_by_whom(house: House) -> None:
    made = house.make_all("upper")["upper"].artifact.manifest
    assert made.recipe_parts["config"] == {"mark": "!", "words": None}
    assert made.config == {"mark": "!", "words": "", "knob": "old"}
    assert {name: reference.asset for name, (reference,) in made.inputs.items()} == {
        "pages": "pages",
        "judged": "judged",
    }
    assert set(made.witness) >= {"machine", "cpu_features", "device", "threads", "world_size", "torch"}
    assert made.versions["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert made.metrics == {"documents_kept": 3, "shards": 3, "shards_reused": 0}
    assert made.seconds >= 0
    entry = made.files["data/text/00000.parquet"]
    assert (entry.bytes, len(entry.digest), entry.url) == (len("ONE TWO!"), 64, "")


def test_metrics_and_witness_are_plain_values(house: House) -> None:
    manifest = only(house, odd_metrics).make("one").artifact.manifest
    assert manifest.metrics == {"loss": 0.5, "steps": 3}
    assert (manifest.witness["device"], manifest.witness["shapes"]) == ("cuda", [[1, 2]])
    with pytest.raises(Unhashable, match=r"metrics\['loss'\] is a str"):
        only(house, no_metric).make("one")


def test_another_witness_reuses_the_artifact(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = only(house, steady).make("one").artifact
    monkeypatch.setattr(build, "witness", lambda *_: {"machine": "another"})
    again = only(house, steady).make("one")
    assert again.reused
    assert again.artifact.manifest.witness == made.manifest.witness


def test_verify_finds_no_fault_after_all_this(house: House) -> None:
    only(house, failing_once)
    house.make_all()
    assert verify(Store(house.url), house.log) == []


def test_a_name_that_is_taken_by_something_else_is_an_error(house: House) -> None:
    one = only(house, steady)
    recipe: Any = one.resolver().resolve("one").recipe
    other = Path(house.url) / "one" / "_" / recipe.digest
    other.mkdir(parents=True)
    (other / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="something that is not an artifact lies there"):
        one.make("one")
