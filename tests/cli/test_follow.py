"""`llm-dag run` beside a leader: it runs the same job, on a Dagster home of its own, and says only what went wrong."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_dag.cli import run
from llm_dag.cli.main import app
from llm_dag.cli.session import BAD_INPUT
from llm_dag.store.launcher import KEYS

COMMAND = ["run", "scale=ci", "compute.nodes=2"]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The Dagster homes of the jobs that ran, as rank 1 of two; a job fails if it is named `pretrain`."""
    homes: list[str] = []

    def execute(job: str, session: Any) -> Any:
        homes.append(os.environ["DAGSTER_HOME"])
        assert Path(homes[-1]).is_dir()
        return SimpleNamespace(success=job != "pretrain", all_events=[], run_id="[/r1]")  # no markup

    for name in KEYS[0]:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "shared"))
    monkeypatch.setattr(run, "_execute", execute)
    return homes


def test_a_follower_is_silent_and_has_a_home_of_its_own(
    ran: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = [*COMMAND, f"compute.store={tmp_path / 'store'}"]
    assert app(asked, standalone_mode=False) in (0, None)
    assert capfd.readouterr().out == ""
    (home,) = ran
    assert home != str(tmp_path / "shared")
    assert not Path(home).exists()


def test_a_follower_that_fails_names_its_rank(
    ran: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = app([*COMMAND, "--job", "pretrain", f"compute.store={tmp_path / 'store'}"], standalone_mode=False)
    assert code == run.FAILED
    assert "error of rank 1: the run [/r1] failed" in capfd.readouterr().out


def test_another_number_of_processes_stops_before_any_work(
    ran: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = app([*COMMAND, "compute.devices=4", f"compute.store={tmp_path / 'store'}"], standalone_mode=False)
    assert code == BAD_INPUT
    assert "torchrun started 2 processes, but compute.devices=4" in capfd.readouterr().out
    assert ran == []
