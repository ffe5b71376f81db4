"""Pretraining: the artifact, and that neither kills nor cuts of a batch change what is computed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from training_world import PRETRAIN, Folder, pretrain_work

from llm_dag.config.pretrain import Pretrain
from llm_dag.ledger import write_table
from llm_dag.modeling.huggingface import load_model
from llm_dag.store.checks import CheckResult
from llm_dag.store.work import Work
from llm_dag.tokenization.token_arrays import DOCUMENTS
from llm_dag.training import checks, pretrain
from llm_dag.training.loop import Training, TrainingError
from llm_dag.training.machine import missing_for_compile

STEPS = 12


class Killed(BaseException):
    """Like SIGKILL, nothing handles it."""


def data_of(work: Work) -> dict[str, bytes]:
    root = work.data("x").parent
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def started(inputs: Path, out: Path, node: Pretrain = PRETRAIN, **compute: object) -> subprocess.Popen[str]:
    program = Path(__file__).with_name("training_world.py")
    command = [sys.executable, str(program), "pretrain", str(inputs), "", str(out), node.precision, json.dumps(compute)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONHASHSEED": "random"})


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for found in process.stdout:
        if found.strip() == line:
            return
    raise AssertionError(f"the process ended before it said {line}")


def test_the_artifact_is_a_model_with_its_history_and_what_it_saw(base: Work) -> None:
    names = set(data_of(base))
    assert {"config.json", "model.safetensors", "tokenizer.json", "history.parquet", "seen.parquet"} <= names
    model, vocabulary = load_model(base.data("x").parent)
    assert model.shape.vocab_size == vocabulary.size
    history = pq.read_table(base.data("history.parquet")).to_pydict()
    assert history["step"] == list(range(1, STEPS + 1))
    assert history["loss"][-1] < history["loss"][0]
    assert [row for row, value in zip(history["step"], history["heldout_bits_per_byte"], strict=True) if value] == [
        5,
        10,
        12,
    ]
    assert base.metrics["heldout_bits_per_byte"] == history["heldout_bits_per_byte"][-1]
    assert base.metrics["tokens"] == 64 * STEPS
    assert base.metrics["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert pq.read_table(base.record("speed.parquet")).num_rows == STEPS
    assert (base.witness["precision"], base.witness["compiled"]) == ("float32", False)


def test_the_held_out_measure_is_the_models_own(base: Work, inputs: Path) -> None:
    from llm_dag.tokenization.arrays import TokenArrays
    from llm_dag.training.windows import HeldoutWindows

    model, vocabulary = load_model(base.data("x").parent)
    arrays = TokenArrays.open(base.inputs("token_arrays"), "heldout")
    heldout = HeldoutWindows.choose(arrays, 16, 80, PRETRAIN.seed)
    nats, size = 0.0, 0
    for at in range(len(heldout)):
        ids = torch.from_numpy(heldout.ids(at).astype("int64"))
        chosen = model(ids[None, :-1]).log_softmax(-1)[0].gather(1, ids[1:, None])
        nats -= chosen.sum().item()
        size += len(b"".join(vocabulary.token_bytes(token) for token in ids[1:] if token < vocabulary.end_of_text))
    found = nats / torch.tensor(2.0).log().item() / size
    assert base.metrics["heldout_bits_per_byte"] == pytest.approx(found, rel=1e-5)


def test_the_same_run_gives_the_same_bytes(base: Work, inputs: Path, tmp_path: Path) -> None:
    again = pretrain_work(inputs, tmp_path)
    pretrain.build(again)
    assert data_of(again) == data_of(base)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_batch_is_its_accumulated_parts(inputs: Path, tmp_path: Path, optimizer: str) -> None:
    losses = []
    for name, device_tokens in (("whole", 128), ("parts", 16)):
        node = replace(PRETRAIN, batch_tokens=128, device_tokens=device_tokens, optimizer=optimizer, tokens=128 * 8)
        work = pretrain_work(inputs, tmp_path / name, node)
        pretrain.build(work)
        history = pq.read_table(work.data("history.parquet")).to_pydict()
        losses.append(torch.tensor([history["loss"], history["grad_norm"]]))
    # Muon orthogonalises in bfloat16, which makes more of a difference in the last bit.
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-2 if optimizer == "muon" else 2e-4, atol=1e-5)


def break_off(inputs: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Pretrain until the checkpoint after step `at` is written."""
    save = Training.save

    def broken(self: Training) -> None:
        save(self)
        if self.done == at:
            raise Killed

    monkeypatch.setattr(Training, "save", broken)
    with pytest.raises(Killed):
        pretrain.build(pretrain_work(inputs, folder, checkpoint_seconds=0))
    monkeypatch.undo()


@pytest.mark.parametrize("at", [1, 4, 5, 6, 11, 12])
def test_a_run_that_breaks_off_at_any_step_ends_with_the_same_bytes(
    base: Work, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    break_off(inputs, tmp_path, monkeypatch, at)
    work = pretrain_work(inputs, tmp_path)
    work.clear_outputs()
    pretrain.build(work)
    assert data_of(work) == data_of(base)
    assert "went_on" not in work.witness


def test_a_run_that_goes_on_elsewhere_names_everybody_who_computed(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(inputs, tmp_path, monkeypatch, 4)
    work = pretrain_work(inputs, tmp_path, threads=2)
    work.clear_outputs()
    heard: list[str] = []
    monkeypatch.setattr(work.progress, "say", heard.append)
    pretrain.build(work)
    first, second = work.witness["went_on"]
    assert (first["after_step"], first["witness"]["threads"]) == (0, 1)
    assert (second["after_step"], second["witness"]["threads"]) == (4, 2)
    assert "another witness goes on (threads 1 → 2)" in " ".join(heard)


def test_a_killed_process_resumes_to_the_same_bytes(base: Work, inputs: Path, tmp_path: Path) -> None:
    process = started(inputs, tmp_path, checkpoint_seconds=0)
    wait_for(process, "7")
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out/data/model.safetensors").exists()
    second = started(inputs, tmp_path, checkpoint_seconds=0)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    assert "resumed after step" in said
    assert "\n1\n" not in said
    assert data_of(pretrain_work(inputs, tmp_path)) == data_of(base)


def test_sigterm_saves_before_it_ends(base: Work, inputs: Path, tmp_path: Path) -> None:
    process = started(inputs, tmp_path, checkpoint_seconds=10_000)
    wait_for(process, "3")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    saved = sorted((tmp_path / "state/checkpoints").glob("step-*.pt"))
    assert saved
    assert 3 <= int(saved[-1].stem.removeprefix("step-")) < STEPS
    work = pretrain_work(inputs, tmp_path)
    pretrain.build(work)
    assert data_of(work) == data_of(base)


def test_a_damaged_checkpoint_costs_one_interval(base: Work, inputs: Path, tmp_path: Path) -> None:
    first = pretrain_work(inputs, tmp_path, checkpoint_seconds=0)
    pretrain.build(first)
    newest = sorted((tmp_path / "state/checkpoints").glob("step-*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    work = pretrain_work(inputs, tmp_path)
    work.clear_outputs()
    pretrain.build(work)
    assert data_of(work) == data_of(base)


def test_two_processes_train_the_model_of_one(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also inside a Slurm job of two machines, which is none of their business."""
    for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_NNODES"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    losses, measured = [], []
    for devices in (1, 2):
        node = replace(PRETRAIN, batch_tokens=128, device_tokens=32, tokens=128 * 4, optimizer="adamw")
        work = pretrain_work(inputs, tmp_path / str(devices), node, devices=devices)
        pretrain.build(work)
        history = pq.read_table(work.data("history.parquet")).to_pydict()
        losses.append(torch.tensor([history["loss"], history["grad_norm"]]))
        last = history["heldout_bits_per_byte"][-1]
        assert last == pytest.approx(work.metrics["heldout_bits_per_byte"])
        measured.append((last, history["heldout_loss"][-1]))
    assert measured[0] == pytest.approx(measured[1], rel=1e-4)
    torch.testing.assert_close(losses[0], losses[1], rtol=2e-4, atol=1e-5)


def test_a_loss_that_is_no_number_stops_with_its_step(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = Training.loss
    monkeypatch.setattr(
        Training, "loss", lambda self, batch: loss(self, batch) * (float("nan") if self.done == 4 else 1.0)
    )
    with pytest.raises(TrainingError, match="step 5 of 12: the loss is nan"):
        pretrain.build(pretrain_work(inputs, tmp_path))


def test_batches_that_devices_cannot_share_are_refused(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="a multiple of 128"):
        pretrain.build(pretrain_work(inputs, tmp_path, devices=2))


def test_another_tokenizer_is_refused(inputs: Path, tmp_path: Path) -> None:
    arrays = json.loads((inputs / "one/data/arrays.json").read_text())
    work = pretrain_work(inputs, tmp_path)
    for dump in ("one", "two"):
        copy = tmp_path / dump / "data"
        copy.mkdir(parents=True)
        for path in (inputs / dump / "data").iterdir():
            if path.is_dir():
                (copy / path.name).symlink_to(path)
        (copy / "arrays.json").write_text(json.dumps(arrays | {"vocabulary": "0" * 32}))
    for artifact in work.inputs("token_arrays"):
        artifact.root = tmp_path / str(artifact.partition)  # type: ignore[attr-defined]
    with pytest.raises(pretrain.TokenizerMismatch, match="0" * 32):
        pretrain.build(work)


@pytest.mark.skipif(bool(missing_for_compile()), reason="torch.compile needs a C++ compiler and Python's headers")
def test_compiled_in_bfloat16_a_killed_process_still_resumes_to_the_same_bytes(inputs: Path, tmp_path: Path) -> None:
    node = replace(PRETRAIN, precision="bf16")
    whole = started(inputs, tmp_path / "whole", node, compile=True, threads=2)
    assert "resumed" not in whole.communicate(timeout=300)[0]
    killed = started(inputs, tmp_path / "killed", node, compile=True, threads=2, checkpoint_seconds=0)
    wait_for(killed, "8")
    killed.kill()
    killed.wait()
    resumed = started(inputs, tmp_path / "killed", node, compile=True, threads=2)
    assert "resumed after step" in resumed.communicate(timeout=300)[0]
    assert (whole.returncode, resumed.returncode) == (0, 0)
    first, second = (data_of(pretrain_work(inputs, tmp_path / name)) for name in ("whole", "killed"))
    assert first == second


def test_a_held_out_text_that_another_dump_trains_on_is_found(inputs: Path, tmp_path: Path) -> None:
    def found(*dumps: Path) -> CheckResult:
        above = {"token_arrays": [Folder(dump, dump.name) for dump in dumps]}
        return checks.heldout_apart(Folder(tmp_path, above=above))  # type: ignore[arg-type]

    apart = found(inputs / "one", inputs / "two")
    assert (apart.passed, apart.numbers["trained_on"]) == (True, 0)
    for name in ("train", "heldout"):  # the second dump has the first one's pages, with their sides changed
        other = "heldout" if name == "train" else "train"
        shutil.copytree(inputs / "one/data" / name, tmp_path / "turned/data" / other)
    for path in (inputs / "one/data/documents").iterdir():
        table = pq.read_table(path)
        sides = pc.if_else(pc.equal(table["split"], "train"), "heldout", "train")
        turned = table.set_column(table.schema.get_field_index("split"), DOCUMENTS.field("split"), sides)
        write_table(turned, tmp_path / "turned/data/documents" / path.name)
    shutil.copy(inputs / "one/data/arrays.json", tmp_path / "turned/data/arrays.json")
    both = found(inputs / "one", tmp_path / "turned")
    assert not both.passed
    assert both.numbers["trained_on"] == both.numbers["heldout"] > 4
