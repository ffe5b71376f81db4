"""Real processes: two that want the same artifact, and one that is killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from llm_dag.store import build, commit, leases
from llm_dag.store.files import LocalFiles
from llm_dag.store.leases import read_holder
from llm_dag.store.resolve import State
from llm_dag.store.step import Graph
from llm_dag.store.store import Store
from llm_dag.store.verify import verify

from .example import SLOW, House, Slow, SlowRoot, run_slow

ROUNDS = 8  # of two kills each
SEED = 20240611


@pytest.fixture
def slow(house: House) -> House:
    house.graph = Graph(SLOW)
    house.make("listed", SlowRoot())
    return house


def root(seconds: float) -> SlowRoot:
    return SlowRoot(Slow(seconds=seconds))


def started(house: House, seconds: float) -> BaseProcess:
    """A process that makes the slow step. It comes from a clean server, so starting one is quick."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["llm_dag.store.build"])
    process = context.Process(target=run_slow, args=(house.url, house.log.path, seconds))
    process.start()
    return process


def wait_for(house: House, line: str) -> None:
    deadline = time.monotonic() + 60
    while line not in house.log.lines():
        assert time.monotonic() < deadline, f"{line!r} was never said: {house.log.lines()}"
        time.sleep(0.005)


def test_two_processes_that_build_one_recipe_end_with_one_artifact(slow: House) -> None:
    slow.make("listed", root(0.1))
    slow.log.ran()
    processes = [started(slow, 0.1) for _ in range(3)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert slow.log.lines().count("ran slow") == 1
    assert len(slow.store.artifacts("slow", "d1")) == 1
    made = slow.make("slow", root(0.1))
    assert made.state is State.FRESH
    assert slow.store.differences(made.artifact) == []


def test_killed_at_any_moment_a_run_leaves_a_complete_artifact_or_none_and_the_next_resumes(slow: House) -> None:
    """Every round kills a run at a random moment; a shard that was finished is never made again."""
    chance = random.Random(SEED)
    ended = Counter[str]()
    for number in range(ROUNDS):
        seconds = 0.1 + number / 10_000  # a recipe of its own for each round
        slow.make("listed", root(seconds))
        slow.log.ran()
        for patience in (chance.uniform(0.0, 0.3), chance.uniform(0.2, 0.7)):
            process = started(slow, seconds)
            wait_for(slow, "ran slow")
            time.sleep(patience)
            process.kill()
            process.join(60)
            found = slow.resolver(root(seconds)).resolve("slow")
            ended[found.state.name] += 1
            assert verify(slow.store, slow.log) == []
            if found.artifact is not None:
                assert set(found.artifact.names()) == WHOLE
        made = slow.make("slow", root(seconds))
        shards = Counter(line for line in slow.log.lines() if line.startswith("shard "))
        assert set(made.artifact.names()) == WHOLE
        assert [made.artifact.path(f"text/{name:05}.parquet").stat().st_size for name in range(4)] == [5000] * 4
        assert sum(shards.values()) <= 4 + 2, f"two kills cost at most two unfinished shards, but {shards} were made"
        assert [name for name in made.artifact.manifest.files if name.startswith("record/")] == ["record/log.txt"]
        assert not slow.store.scratch("slow", "d1", made.artifact.recipe).exists()
    assert verify(slow.store, slow.log) == []
    assert ended["RESUME"] > 0


def die(*arguments: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(url: str, log: Path, owner: Any, name: str, when: str) -> None:
    """Make the slow step, and be killed when it calls, or returns from, a function."""
    function = getattr(owner, name)

    def after(*arguments: Any, **options: Any) -> None:
        function(*arguments, **options)
        die()

    setattr(owner, name, die if when == "before" else after)
    run_slow(url, log, 0.0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "committed"),
    [
        (commit, "_hashed", False),
        (commit, "_seal", False),
        (LocalFiles, "publish", None),
        (build, "_discard", True),
        (leases.Lease, "release", True),
        (Store, "record_checks", True),
    ],
)
def test_killed_at_each_step_of_a_commit_it_is_whole_or_not_there(
    slow: House, owner: Any, name: str, committed: bool | None, when: str
) -> None:
    slow.make("listed", root(0.0))
    process = multiprocessing.get_context("fork").Process(
        target=run_and_die, args=(slow.url, slow.log.path, owner, name, when)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    there = slow.resolver(root(0.0)).resolve("slow").artifact
    assert (there is not None) == (when == "after" if committed is None else committed)
    assert verify(slow.store, slow.log) == []
    slow.log.ran()
    made = slow.make("slow", root(0.0))
    assert made.checks["is_whole"].passed
    assert set(made.artifact.names()) == WHOLE
    assert not any(line.startswith("shard ") for line in slow.log.lines()), "every shard was finished"
    assert verify(slow.store, slow.log) == []


WHOLE = {"first.txt", "last.txt", *(f"text/{number:05}.parquet" for number in range(4))}


def test_the_next_run_resumes_from_finished_shards_and_takes_the_lease_of_the_dead(slow: House) -> None:
    slow.make("listed", root(0.3))
    slow.log.ran()
    process = started(slow, 0.3)
    wait_for(slow, "shard 00002")
    process.kill()
    process.join(60)
    (lease,) = (Path(slow.url) / ".leases" / "slow").rglob("*.json")
    holder = read_holder(slow.store.files, lease.relative_to(slow.url).as_posix())
    assert holder is not None
    assert holder.pid == process.pid
    assert slow.resolver(root(0.3)).resolve("slow").state is State.RESUME
    slow.log.ran()
    assert slow.make("slow", root(0.3)).state is State.RESUME
    assert [line for line in slow.log.lines() if line.startswith("shard ")] == ["shard 00002", "shard 00003"]
    assert not lease.exists()


def test_a_finished_shard_whose_bytes_were_changed_since_is_made_again(slow: House) -> None:
    slow.make("listed", root(0.2))
    process = started(slow, 0.2)
    wait_for(slow, "shard 00002")
    process.kill()
    process.join(60)
    recipe = slow.resolver(root(0.2)).resolve("slow").recipe
    assert recipe is not None
    (slow.store.scratch("slow", "d1", recipe.digest) / "out/data/text/00001.parquet").write_text("half")
    slow.log.ran()
    slow.make("slow", root(0.2))
    assert next(line for line in slow.log.lines() if line.startswith("shard ")) == "shard 00001"
    assert verify(slow.store, slow.log) == []


def test_a_run_that_is_stopped_politely_leaves_no_lease(slow: House) -> None:
    slow.make("listed", root(0.3))
    process = started(slow, 0.3)
    wait_for(slow, "shard 00001")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode != 0
    assert list((Path(slow.url) / ".leases" / "slow").rglob("*.json")) == []
    assert slow.make("slow", root(0.3)).state is State.RESUME
