"""Followers: processes that a launcher started beside the leader wait for it, take part, and commit nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_dag.store import follow, launcher
from llm_dag.store.artifact import place
from llm_dag.store.build import materialize
from llm_dag.store.errors import LaunchError
from llm_dag.store.follow import LeaderGone, PartDone
from llm_dag.store.launcher import launched
from llm_dag.store.leases import held, process_start, this_process
from llm_dag.store.resolve import State
from llm_dag.store.step import Graph, Step
from llm_dag.store.work import Work

from .example import House, Root, compute

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "r"}
SLURM = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_JOB_ID": "7"}


@pytest.fixture(autouse=True)
def of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the second of two machines', and does not wait long."""
    for name in (*SLURM, *launcher.KEYS[0], "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(follow, "LEADER_SECONDS", 0.2)


def together(work: Work) -> None:
    """Made by all: each says so in its own folder; the leader alone goes on to write."""
    work.progress.say(f"part in {work.folder.parent.name}")
    work.data("part.txt").write_text("part")
    if work.config.dump == "part only":
        raise PartDone
    if work.config.dump == "broken":
        raise ValueError("broken")


def follows(house: House, name: str = "together", dump: str = "d1", made_together: bool = True) -> str:
    """What a follower gives: the state, or its error."""
    house.graph = Graph([Step("together", together, "crawl", "source", (), together=made_together)])
    root = Root()
    root.source.dump = dump
    where = dataclasses.replace(compute(house.url), nodes=2)
    return materialize(house.resolver(root), name, None, where, house.log).state.name


@contextlib.contextmanager
def leading(house: House, dump: str = "d1", commits: bool = True) -> Iterator[None]:
    """The leader of the launch has the lease of the step, and when the block ends its artifact is there, or not."""
    house.graph = Graph([Step("together", together, "crawl", "source", (), together=True)])
    root = Root()
    root.source.dump = dump
    recipe = house.resolver(root).resolve("together").recipe
    assert recipe is not None
    where = place("together", None, recipe.digest)
    with held(house.store.files, f".leases/{where}.json", Path(house.url) / "guard", lambda holder: False):
        yield
        if commits:  # as one machine would, under a lease of another name
            elsewhere = House(f"{house.url}-leader", house.log, house.graph)
            artifact = elsewhere.make("together", root).artifact
            target = Path(house.url) / where
            target.parent.mkdir(parents=True)
            Path(artifact.location).rename(target)


def test_a_follower_takes_part_once_in_a_folder_of_its_own_and_reuses_what_the_leader_commits(house: House) -> None:
    gave: list[str] = []
    with leading(house):
        thread = threading.Thread(target=lambda: gave.append(follows(house)))
        thread.start()
        while not house.log.lines():
            thread.join(0.01)
        thread.join(0.1)
        assert thread.is_alive()
    thread.join(30)
    assert gave == [State.FRESH.name]
    assert house.log.lines()[0] == "part in followers"
    assert list((Path(house.url) / ".work/followers").iterdir()) == []
    assert not list((Path(house.url) / ".work").rglob("scratch/together/*/*"))


def test_a_follower_only_waits_for_a_step_that_one_process_makes(house: House) -> None:
    gave: list[str] = []
    with leading(house):
        thread = threading.Thread(target=lambda: gave.append(follows(house, made_together=False)))
        thread.start()
        thread.join(0.1)
        assert house.log.lines() == []
    thread.join(30)
    assert gave == [State.FRESH.name]


def test_a_leader_that_never_begins_is_not_waited_for_for_ever(house: House) -> None:
    with pytest.raises(LeaderGone, match="rank 0 has not begun to make it"):
        follows(house)
    assert house.log.lines() == []


@pytest.mark.parametrize("dump", ["d1", "part only"])
def test_a_leader_that_ends_without_an_artifact_ends_its_followers(house: House, dump: str) -> None:
    failed: list[Exception] = []

    def run() -> None:
        try:
            follows(house, dump=dump)
        except LeaderGone as error:
            failed.append(error)

    with leading(house, dump, commits=False):
        thread = threading.Thread(target=run)
        thread.start()
        while not house.log.lines():
            thread.join(0.01)
    thread.join(30)
    assert "rank 0 ended without it" in str(failed[0])
    assert list((Path(house.url) / ".work/followers").iterdir()) == []


def test_a_leader_that_is_dead_is_none(house: House) -> None:
    house.graph = Graph([Step("together", together, "crawl", "source", (), together=True)])
    recipe = house.resolver(Root()).resolve("together").recipe
    assert recipe is not None
    process = subprocess.Popen(["sleep", "60"])
    dead = dataclasses.replace(this_process(), pid=process.pid, started=process_start(process.pid))
    process.kill()
    process.wait()
    house.store.files.write(f".leases/{place('together', None, recipe.digest)}.json", dead.to_bytes())
    with pytest.raises(LeaderGone, match="rank 0 has not begun"):
        follows(house)
    assert house.log.lines() == []


def test_the_lease_of_another_run_is_no_call_to_take_part(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """That run makes the artifact; the leader waits for it as well, and this process reuses it."""
    gave: list[str] = []
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another")
    with leading(house):
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "r")
        thread = threading.Thread(target=lambda: gave.append(follows(house)))
        thread.start()
        thread.join(0.5)  # longer than for a leader that never begins
        assert thread.is_alive()
        assert house.log.lines() == []
    thread.join(30)
    assert gave == [State.FRESH.name]


def test_a_leader_that_ended_is_not_waited_for_while_another_run_has_the_lease(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Exception] = []

    def run() -> None:
        try:
            follows(house)
        except LeaderGone as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    with leading(house, commits=False):
        thread.start()
        while not house.log.lines():
            thread.join(0.01)
        (lease,) = (Path(house.url) / ".leases").rglob("*.json")
        name = lease.relative_to(house.url).as_posix()
        house.store.files.write(name, dataclasses.replace(this_process(), launch="another").to_bytes())
        thread.join(10)
        said = list(ended)
        house.store.files.delete(name)
    thread.join(10)
    assert [str(error).count("rank 0 ended without it") for error in said] == [1]


def test_a_fault_of_a_follower_is_its_own(house: House) -> None:
    with leading(house, "broken", commits=False), pytest.raises(ValueError, match="broken"):
        follows(house, dump="broken")


def test_ranks_are_those_of_torchrun_or_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    one = compute("")
    assert launched(one) is None, "one machine, whoever started it"
    two = dataclasses.replace(one, nodes=2)
    found = launched(two)
    assert found is not None
    assert (found.launcher, found.rank, found.world_size, found.leads) == ("torchrun", 1, 2, False)
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert launched(two) == found, "torchrun inside srun"
    for name in TORCHRUN:
        monkeypatch.delenv(name)
    found = launched(dataclasses.replace(two, devices=2))
    assert found is not None
    assert (found.launcher, found.rank, found.world_size) == ("Slurm", 3, 4)
    for name in SLURM:
        monkeypatch.delenv(name)
    assert launched(two) is None


@pytest.mark.parametrize(
    ("nodes", "devices", "changes", "message"),
    [
        (3, 1, {}, r"torchrun started 2 processes, but compute.devices=1 × compute.nodes=3 asks for 3"),
        (2, 4, {}, r"started 2 processes, but compute.devices=4 × compute.nodes=2 asks for 8"),
        (2, 1, {"LOCAL_WORLD_SIZE": "2"}, r"LOCAL_WORLD_SIZE is 2, but compute.devices=1: .*--nproc_per_node=1"),
        (2, 1, {"WORLD_SIZE": "two"}, r"WORLD_SIZE='two' in the environment"),
    ],
)
def test_other_processes_than_asked_for_are_refused(
    house: House, monkeypatch: pytest.MonkeyPatch, nodes: int, devices: int, changes: dict[str, str], message: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    where = dataclasses.replace(compute(house.url), nodes=nodes, devices=devices)
    with pytest.raises(LaunchError, match=message):
        materialize(house.resolver(), "pages", None, where, house.log)
    assert house.log.lines() == []


@pytest.mark.parametrize("changes", [{"SLURM_STEP_NUM_TASKS": None}, {"SLURM_NTASKS_PER_NODE": None}])
def test_a_batch_script_outside_srun_and_a_step_without_tasks_per_node_are_refused(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, None]
) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name)
    for name, value in SLURM.items():
        if name not in changes:
            monkeypatch.setenv(name, value)
    with pytest.raises(LaunchError, match=r"Slurm started 1 processes|--ntasks-per-node=2"):
        launched(dataclasses.replace(compute(""), nodes=2, devices=2))
