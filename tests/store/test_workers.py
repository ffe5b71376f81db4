"""Shards over worker processes: the same bytes, and whatever happens to a process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_dag.store import workers
from llm_dag.store.errors import CodeChanged, StoreError, WorkerDied
from llm_dag.store.resolve import State
from llm_dag.store.verify import verify

from .toiling import NAMES, Toiling, toil


@pytest.fixture
def toiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toiling:
    monkeypatch.setattr(workers, "START_SECONDS", 0.0)  # workers from the first shard on
    return Toiling(tmp_path)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_any_number_of_workers_makes_the_same_artifact(toiling: Toiling) -> None:
    made = {}
    for count in (1, 2, 3):
        toiling.fault(s0="slept once")  # so that the first shard is not the first to be finished
        made[count] = toiling.house(count, name=f"store{count}").make("toiled", toiling.root).artifact
        processes = toiling.processes()
        begun = toiling.made()
        assert (os.getpid() in processes, len(processes)) == (count == 1, count)
        assert begun == {**dict.fromkeys(NAMES, 1), "tool": count}  # a tool is made once in each process
    assert len({one.digest for one in made.values()}) == 1
    assert len({(tuple(one.manifest.shards), str(one.metrics)) for one in made.values()}) == 1
    assert made[3].shards == tuple(NAMES)
    assert made[3].metrics["shards"] == made[3].metrics["documents"] == len(NAMES)


def test_workers_are_used_where_they_pay(toiling: Toiling, monkeypatch: pytest.MonkeyPatch) -> None:
    def used(name: str) -> int:
        toiling.house(9, name=name).make("toiled", toiling.root)
        found = toiling.processes() - {os.getpid()}
        toiling.made()
        return len(found)

    monkeypatch.setattr(workers, "START_SECONDS", 1e9)
    assert used("small") == 0
    monkeypatch.setattr(workers, "SMALL", 5)
    assert used("large") == len(NAMES)  # not more than there are shards


def test_one_shard_alone_is_made_here(toiling: Toiling) -> None:
    root = toiling.root
    root.source.pages = {"00000": "alone"}
    house = toiling.house(2)
    house.make("pages", root)
    house.make("toiled", root)
    assert toiling.processes() == {os.getpid()}


@pytest.mark.parametrize("kind", ["killed once", "ended once"])
def test_a_shard_whose_worker_died_is_made_again_alone_after_the_others(toiling: Toiling, kind: str) -> None:
    toiling.fault(s1=kind)
    house = toiling.house(2)
    made = house.make("toiled", toiling.root).artifact
    lines = [line.split() for line in toiling.log.lines()]
    assert toiling.made() == {**dict.fromkeys(NAMES, 1), "00001": 2, "tool": 3}
    assert lines[-1][1] == "00001"
    assert lines[-1][0] not in {process for process, _ in lines[:-2]}  # in a process of its own
    how = "was killed by SIGKILL (out of memory?)" if kind == "killed once" else "ended with exit code 3"
    assert f"shard 00001: its worker process {how}; it is made again after the others" in house.log.lines()
    assert made.path("text/00001.parquet").read_text() == "PAGE 00001"


def test_a_shard_whose_worker_dies_again_is_named_and_the_others_are_kept(toiling: Toiling) -> None:
    toiling.fault(s2="killed")
    house = toiling.house(2)
    with pytest.raises(WorkerDied, match=r"shard 00002 of toiled: .* was killed by SIGKILL twice \(out of memory\?\)"):
        house.make("toiled", toiling.root)
    assert house.resolver(toiling.root).resolve("toiled").state is State.RESUME
    (toiling.folder / "00002").unlink()
    toiling.made()
    house.make("toiled", toiling.root)
    assert toiling.made() == {"00002": 1, "tool": 1}
    assert verify(house.store, house.log) == []


def test_both_deaths_are_named(toiling: Toiling) -> None:
    toiling.fault(s0="crashed", s1="crashed", s2="crashed")
    house = toiling.house(3)
    with pytest.raises(WorkerDied, match=r"shard 0000[012] of toiled: .* was killed by SIGSEGV twice, the"):
        house.make("toiled", toiling.root)
    assert toiling.made()["00005"] == 1  # three dead workers are not the end


def test_what_a_judge_raises_is_raised_here(toiling: Toiling) -> None:
    toiling.fault(s2="slow", s3="raised")
    with pytest.raises(KeyError, match="no such word") as caught:
        toiling.house(2).make("toiled", toiling.root)
    assert not any(map(alive, toiling.processes()))  # nobody waits for the slow one
    assert caught.value.__notes__ == ["in shard 00003"]
    assert "in judge" in str(caught.value.__context__)  # the traceback of the worker
    toiling.fault(s2="clumsy", s3="clumsy")
    with pytest.raises(StoreError, match=r"Clumsy: this and that\nin shard 0000[23]"):
        toiling.house(2).make("toiled", toiling.root)
    with pytest.raises(Exception, match="this and that") as here:
        toiling.house(1).make("toiled", toiling.root)
    assert here.value.__notes__ == ["in shard 00002"]


def test_a_worker_that_has_grown_is_replaced(toiling: Toiling) -> None:
    toiling.fault(s0="grown", s1="grown", s2="grown")
    house = toiling.house(2, memory_mb=100)
    house.make("toiled", toiling.root)
    assert len(toiling.processes()) >= 4
    (left,) = [worker for worker in [toiling.made()] if worker["tool"] >= 4]
    assert [left[name] for name in NAMES] == [1] * len(NAMES)


def test_a_judge_that_cannot_be_sent_is_an_error_that_says_what_is_wanted(toiling: Toiling) -> None:
    with pytest.raises(StoreError, match=r"the judge of closure cannot be sent .*; a judge and its tools are func"):
        toiling.house(2).make("closure", toiling.root)


def test_a_worker_that_loads_code_edited_since_the_run_started_makes_nothing(
    toiling: Toiling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "process_started", lambda: 1.0)
    with pytest.raises(CodeChanged, match=r"llm_dag\.store\.workers.* changed since the run started; run again"):
        toiling.house(2).make("toiled", toiling.root)
    assert list(toiling.folder.rglob("state/shards/*")) == []


def test_a_worker_has_one_thread_and_leaves_ctrl_c_to_the_run(
    toiling: Toiling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    toiling.fault(s0="threads", s1="threads", s2="interrupted")
    made = toiling.house(2).make("toiled", toiling.root).artifact
    assert made.metrics["documents"] == len(NAMES)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_the_run_and_the_next_run_goes_on(toiling: Toiling, ending: signal.Signals) -> None:
    toiling.fault(s2="slow", s4="slow")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["llm_dag.store.build"])
    process = context.Process(target=toil, args=(toiling.folder, 2))
    process.start()
    wait_until(lambda: {"00002", "00004"} <= {what for _, what in map(str.split, toiling.log.lines())})
    at_work = toiling.processes()
    assert len(at_work) == 2
    assert process.pid is not None
    os.kill(process.pid, ending)
    process.join(60)
    assert process.exitcode != 0
    wait_until(lambda: not any(map(alive, at_work)))
    for name in ("00002", "00004"):
        (toiling.folder / name).unlink()
    toiling.made()
    house = toiling.house(2)
    house.make("toiled", toiling.root)
    begun = toiling.made()
    assert begun["00000"] == begun["00001"] == begun["00003"] == 0
    assert {begun["00002"], begun["00004"], begun["00005"]} == {1}
    assert verify(house.store, house.log) == []
