"""A killed run gives its place on the accelerator back; a run that lives keeps it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from llm_dag.assets import pools, reporting
from tests.assets import toy

POOL = "accelerator"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    settings = {"concurrency": {"pools": {"granularity": "op", "default_limit": 1}}}
    with dg.instance_for_test(overrides=settings) as made:
        yield made


def ended_process() -> int:
    """The id of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def holder(instance: dg.DagsterInstance, pid: int, step: str = "made") -> str:
    """A run that has noted its process and holds the pool's one slot, or waits for it."""
    run = instance.create_run_for_job(toy.process_job(), status=dg.DagsterRunStatus.STARTED)
    instance.report_engine_event("Executing steps in process", run, EngineEventData.in_process(pid))
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default(POOL)
    storage.claim_concurrency_slot(POOL, run.run_id, step)
    return run.run_id


def claimed(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_info(POOL).active_run_ids)


def test_a_run_whose_process_is_gone_gives_its_slot_back(instance: dg.DagsterInstance) -> None:
    run_id = holder(instance, ended_process())
    assert claimed(instance) == {run_id}
    assert pools.free(instance, "own") == [run_id]
    assert claimed(instance) == set()
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert pools.free(instance, "own") == []


def test_a_run_that_lives_keeps_it(instance: dg.DagsterInstance) -> None:
    run_id = holder(instance, os.getpid())
    assert pools.free(instance, "own") == []
    assert claimed(instance) == {run_id}


def test_a_run_says_for_whom_it_waits(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = holder(instance, os.getpid())
    assert pools.holders(instance, "own") == [run_id]
    assert pools.holders(instance, run_id) == []
    told = tmp_path / "progress.jsonl"
    monkeypatch.setenv(reporting.FILE, str(told))
    assert toy.run(instance, toy.conf(str(tmp_path / "store")), "pages", dump="python-docs").success
    said = [json.loads(line) for line in told.read_text().splitlines()]
    assert [one["text"] for one in said if run_id in one["text"]] == [
        f"run {run_id} is on the accelerator; a step of this run that wants it waits for that run"
    ]


def test_a_run_never_frees_itself(instance: dg.DagsterInstance) -> None:
    run_id = holder(instance, ended_process())
    assert pools.free(instance, run_id) == []
    assert claimed(instance) == {run_id}


def test_a_later_process_with_the_same_id_is_another(instance: dg.DagsterInstance) -> None:
    """After a restart of the machine ids begin anew."""
    assert pools._lives(os.getpid(), 1e12)
    assert not pools._lives(os.getpid(), 0.0)


def test_a_finished_run_that_kept_its_slot_gives_it_back(instance: dg.DagsterInstance) -> None:
    run_id = holder(instance, os.getpid())
    instance.report_run_canceled(instance.get_run_by_id(run_id))  # type: ignore[arg-type]
    assert pools.free(instance, "own") == [run_id]
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.CANCELED  # type: ignore[union-attr]


def test_the_next_run_goes_on(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Without the slot it would wait for ever."""
    holder(instance, ended_process())
    assert toy.run(instance, toy.conf(str(tmp_path)), "made").success
