"""Two processes that a launcher started on two machines, over one store: real processes, joined by gloo."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import together_world
import torch
from together_world import NODE, by_slurm, by_torchrun, pair

from llm_dag.store.artifact import Artifact
from llm_dag.store.store import Store

LONGER = {"tokens": 128 * 16}


def ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What the processes said, once they have ended."""
    return [process.communicate(timeout=120)[0] for process in processes]


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    said = []
    for found in process.stdout:
        said.append(found)
        if found.strip() == line:
            return
    raise AssertionError(f"the process ended before it said {line}: {''.join(said)}")


def base_model(store: Path) -> Artifact:
    (made,) = Store(str(store)).artifacts("base_model", None)
    return made


def left_in(store: Path) -> list[str]:
    """Files of the store's workspace that belong to somebody's work, and leases."""
    folders = (store / ".work/scratch", store / ".work/followers", store / ".leases")
    return [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


def resumed(said: str) -> int:
    found = re.search(r"resumed after step (\d+) of 16", said)
    assert found, said
    return int(found[1])


def test_two_machines_train_the_model_of_one_and_make_one_artifact(inputs: Path, tmp_path: Path) -> None:
    processes = pair(tmp_path / "two", inputs, {}, by_torchrun)
    said = ended(processes)
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    made = base_model(tmp_path / "two")
    assert made.manifest.witness["world_size"] == 2
    assert left_in(tmp_path / "two") == []
    assert [text.count("made ") for text in said] == [3, 0]  # what is not trained, the leader makes alone
    alone = together_world.make(str(tmp_path / "one"), str(inputs), {"nodes": 1}, {}).artifact
    assert alone.recipe == made.recipe
    histories = [pq.read_table(one.path("history.parquet")).to_pydict() for one in (made, alone)]
    assert histories[0]["step"] == list(range(1, NODE.tokens // NODE.batch_tokens + 1))
    losses = [torch.tensor([one["loss"], one["grad_norm"]]) for one in histories]
    torch.testing.assert_close(losses[0], losses[1], rtol=2e-4, atol=1e-5)
    for name in ("heldout_loss", "heldout_bits_per_byte"):
        assert histories[0][name][-1] == pytest.approx(histories[1][name][-1], rel=1e-4)


def test_killed_or_stopped_both_end_and_start_again_at_one_step(inputs: Path, tmp_path: Path) -> None:
    """Rank 0 alone has checkpoints: the other has a folder of its own, which is new at each start."""
    leader, follower = pair(tmp_path, inputs, LONGER, by_torchrun, checkpoint_seconds=0)
    wait_for(leader, "3")
    leader.kill()
    _, said = ended([leader, follower])
    assert follower.returncode == 1
    assert "LeaderGone" in said
    saved = int(max((tmp_path / ".work/scratch").rglob("step-*.pt")).stem.removeprefix("step-"))
    assert saved >= 2  # what is said comes before what is saved

    leader, follower = pair(tmp_path, inputs, LONGER, by_torchrun, checkpoint_seconds=10_000)
    wait_for(follower, str(saved + 3))
    follower.terminate()  # as when one machine is taken away
    said = "".join(ended([leader, follower])[:1])
    assert [leader.returncode, follower.returncode] == [128 + signal.SIGTERM] * 2
    assert resumed(said) == saved
    last = int(max((tmp_path / ".work/scratch").rglob("step-*.pt")).stem.removeprefix("step-"))
    assert saved + 3 <= last < 16

    processes = pair(tmp_path, inputs, LONGER, by_slurm)
    told = ended(processes)
    assert [process.returncode for process in processes] == [0, 0], "\n".join(told)
    assert [resumed(text) for text in told] == [last, last]
    history = pq.read_table(base_model(tmp_path).path("history.parquet"))
    assert history["step"].to_pylist() == list(range(1, 17))
    assert left_in(tmp_path) == []
