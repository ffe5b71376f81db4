"""Finetuning: packing, the mask, and that neither kills nor cuts of a batch change what is computed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_world import SFT, sft_work

from llm_dag.modeling.huggingface import load_model
from llm_dag.store.work import Work
from llm_dag.tasks.jsonl import read_objects
from llm_dag.tokenization.vocabulary import Vocabulary
from llm_dag.training import sft
from llm_dag.training.loop import IGNORED, TrainingError, packed_mask
from llm_dag.training.packing import OPEN, Example, PackedHeldout, PackedRows, lay_out, pack


def data_of(work: Work) -> dict[str, bytes]:
    root = work.data("x").parent
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def taught(inputs: Path, base: Work, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """An uninterrupted finetuning."""
    work = sft_work(inputs, base.folder, tmp_path_factory.mktemp("sft"))
    sft.build(work)
    return work


@given(st.lists(st.integers(1, 20), max_size=150))
def test_packing_keeps_every_conversation_whole_and_once(places: list[int]) -> None:
    rows = pack(places, 20)
    assert sorted(at for row in rows for at in row) == list(range(len(places)))
    assert all(0 < sum(places[at] for at in row) <= 20 for row in rows)
    # Two neighbouring rows never fit into one, or first fit would have put them there.
    assert all(
        places[after[0]] + sum(places[at] for at in row if at < after[0]) > 20
        for row, after in zip(rows[-OPEN:], rows[-OPEN:][1:], strict=False)
    )


examples = st.lists(
    st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=2, max_size=13), min_size=1, max_size=40
)


@settings(deadline=None)
@given(examples, st.integers(1, 3), st.integers(1, 4), st.integers(0, 5))
def test_each_epoch_trains_every_label_once_and_nothing_else(
    drawn: list[list[tuple[int, bool]]], epochs: int, rows: int, seed: int
) -> None:
    made = [
        Example(str(at), np.array([one for one, _ in pairs], np.int32), np.array([said for _, said in pairs]))
        for at, pairs in enumerate(drawn)
    ]
    packed = PackedRows(made, 12, rows, epochs, seed)
    found: list[tuple[int, ...]] = []
    for step in range(packed.steps):
        batch = packed.batch(step, 0, rows)
        assert (batch["labels"] != IGNORED).sum() == packed.targets(step)
        for row in range(rows):
            for segment in range(int(batch["segments"][row].max()) + 1):
                places = batch["segments"][row] == segment
                assert batch["positions"][row][places].tolist() == list(range(int(places.sum())))
                labels = batch["labels"][row][places].tolist()
                found.append((*batch["tokens"][row][places].tolist(), -1, *labels))
            assert (batch["labels"][row][batch["segments"][row] < 0] == IGNORED).all()
    wanted = [
        (*one.ids[:-1].tolist(), -1, *np.where(one.mask[1:], one.ids[1:], IGNORED).tolist())
        for one in made
        for _ in range(epochs)
    ]
    assert sorted(found) == sorted(wanted)
    assert 0 < packed.fill <= 1


def test_a_packed_conversation_has_the_logits_that_it_has_alone(base: Work) -> None:
    model, _ = load_model(base.data("x").parent)
    draw = np.random.Generator(np.random.PCG64(1))
    made = [Example(str(size), draw.integers(0, 90, size).astype(np.int32), np.ones(size, bool)) for size in (7, 12, 9)]
    batch = lay_out([made], 32)
    packed = model(batch["tokens"], None, batch["positions"], packed_mask(batch["segments"]))
    start = 0
    for one in made:
        alone = model(torch.from_numpy(one.ids[None, :-1].astype(np.int64)))
        torch.testing.assert_close(packed[:, start : start + one.places], alone, atol=1e-5, rtol=1e-4)
        start += one.places


def test_the_trained_labels_spell_the_answers(inputs: Path) -> None:
    vocabulary = Vocabulary.load(inputs / "tokenizer/data")
    path = inputs / "conversations/data/train.jsonl"
    made = list(sft.read(path, vocabulary, 64, []))
    answers = {record["id"]: record["messages"][1]["content"] for _, record in read_objects(path)}
    batch = PackedHeldout(made, 64)
    labels = batch.batch(0, len(batch))["labels"]
    spoken = vocabulary.decode([token for token in labels.flatten().tolist() if token != IGNORED])
    said = spoken.split("<|im_end|>")
    assert said.pop() == ""
    assert sorted(said) == sorted(answers[one.id] for one in made)


def test_the_artifact_answers_better_than_the_base(taught: Work, base: Work) -> None:
    history = pq.read_table(taught.data("history.parquet")).to_pydict()
    assert history["loss"][-1] < history["loss"][0]
    seen = pq.read_table(taught.data("seen.parquet")).to_pydict()
    assert len(seen["id"]) == taught.metrics["conversations"]
    assert set(seen["times"]) == {SFT.epochs}
    assert sum(history["targets"]) == taught.metrics["trained_tokens"] == SFT.epochs * sum(seen["trained_tokens"])
    before, _ = load_model(base.data("x").parent)
    after, _ = load_model(taught.data("x").parent)
    assert before.shape == after.shape
    assert not torch.equal(before.model.embed_tokens.weight, after.model.embed_tokens.weight)


def test_a_conversation_of_exactly_a_rows_length_is_kept(inputs: Path) -> None:
    vocabulary = Vocabulary.load(inputs / "tokenizer/data")
    path = inputs / "conversations/data/train.jsonl"
    longest = max(one.places for one in sft.read(path, vocabulary, 64, []))
    left_out: list[dict[str, Any]] = []
    kept = list(sft.read(path, vocabulary, longest, left_out))
    assert (max(one.places for one in kept), left_out) == (longest, [])
    assert all(one.places < longest for one in sft.read(path, vocabulary, longest - 1, left_out))
    assert {row["reason"] for row in left_out} == {"too_long"}


def test_what_is_left_out_has_a_row(inputs: Path, base: Work, tmp_path: Path) -> None:
    work = sft_work(inputs, base.folder, tmp_path / "out")
    copy = tmp_path / "conversations/data"
    copy.mkdir(parents=True)
    lines = (inputs / "conversations/data/train.jsonl").read_text()
    long = [{"role": "user", "content": "what"}, {"role": "assistant", "content": "path " * 100}]
    lines += json.dumps({"id": "long", "messages": long}) + "\n"
    lines += json.dumps({"id": "odd", "messages": [{"role": "robot", "content": "?"}]}) + "\n"
    lines += json.dumps({"id": "silent", "messages": [{"role": "user", "content": "?"}]}) + "\n"
    (copy / "train.jsonl").write_text(lines)
    (copy / "heldout.jsonl").symlink_to(inputs / "conversations/data/heldout.jsonl")
    work.input("conversations").root = copy.parent  # type: ignore[attr-defined]
    sft.build(work)
    rows = [row for _, row in read_objects(work.record("left_out.jsonl"))]
    assert {row["id"]: row["reason"] for row in rows} == {"long": "too_long", "odd": "malformed", "silent": "no_answer"}
    assert (work.metrics["left_out/too_long"], work.metrics["conversations"]) == (1, 30)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_batch_is_its_accumulated_parts(inputs: Path, base: Work, tmp_path: Path, optimizer: str) -> None:
    losses = []
    for name, device_tokens in (("whole", 512), ("parts", 64)):
        node = replace(SFT, batch_tokens=512, device_tokens=device_tokens, optimizer=optimizer, epochs=4)
        work = sft_work(inputs, base.folder, tmp_path / name, node)
        sft.build(work)
        history = pq.read_table(work.data("history.parquet")).to_pydict()
        losses.append(torch.tensor([history["loss"], history["grad_norm"]]))
    # Muon orthogonalises in bfloat16, which makes more of a difference in the last bit.
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-2 if optimizer == "muon" else 2e-4, atol=1e-5)


def test_a_killed_process_resumes_to_the_same_bytes(taught: Work, inputs: Path, base: Work, tmp_path: Path) -> None:
    program = Path(__file__).with_name("training_world.py")
    settings = json.dumps({"checkpoint_seconds": 0})
    command = [sys.executable, str(program), "sft", str(inputs), str(base.folder), str(tmp_path), "float32", settings]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    assert any(line.strip() == "3" for line in process.stdout)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    work = sft_work(inputs, base.folder, tmp_path)
    work.clear_outputs()
    sft.build(work)
    assert data_of(work) == data_of(taught)


def test_a_base_model_with_another_context_is_refused(inputs: Path, base: Work, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"sft\.context=128, but the base model's context is 64"):
        sft.build(sft_work(inputs, base.folder, tmp_path, replace(SFT, context=128)))


def test_conversations_of_which_none_fits_are_refused(inputs: Path, base: Work, tmp_path: Path) -> None:
    node = replace(SFT, sequence=2, batch_tokens=64, device_tokens=64)
    with pytest.raises(TrainingError, match=r"no train conversation fits into sft\.sequence=2 tokens"):
        sft.build(sft_work(inputs, base.folder, tmp_path, node))
