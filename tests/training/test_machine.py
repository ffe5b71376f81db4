"""What is chosen for a machine, the learning rate over a run, and what the checks of a model say."""

from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from training_world import COMPUTE, PRETRAIN, Folder

from llm_dag.config.pretrain import Pretrain
from llm_dag.ledger import write_table
from llm_dag.modeling.device import NoDevice
from llm_dag.modeling.transformer import ModelShape, Transformer
from llm_dag.store.work import Work
from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.tokenization.chat import Conversation, render
from llm_dag.tokenization.vocabulary import Vocabulary
from llm_dag.training import checks, machine
from llm_dag.training.optimizers import learning_rate, make_optimizers


@pytest.mark.parametrize(
    ("features", "precision"), [(["avx512_bf16"], "bf16"), (["amx_bf16"], "bf16"), (["avx2", "avx512f"], "float32")]
)
def test_auto_takes_bf16_where_it_is_native(
    monkeypatch: pytest.MonkeyPatch, features: list[str], precision: str
) -> None:
    monkeypatch.setattr(machine, "cpu_features", lambda: features)
    chosen = machine.choose(COMPUTE, "auto")
    assert chosen.precision == precision
    assert bool(chosen.remarks) == (precision == "float32")
    assert machine.choose(COMPUTE, "float32").precision == "float32"


def test_without_a_compiler_it_runs_eager_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "missing_for_compile", lambda: "")
    assert machine.choose(replace(COMPUTE, compile=True), "float32").compiled
    assert not machine.choose(COMPUTE, "float32").compiled
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    chosen = machine.choose(replace(COMPUTE, compile=True), "float32")
    assert not chosen.compiled
    assert "no C++ compiler" in chosen.remarks[0]


def test_what_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NoDevice, match=r"compute\.accelerator=gpu"):
        machine.choose(replace(COMPUTE, accelerator="gpu"), "auto")
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(machine.MachineError, match=r"compute\.nodes=2"):
        machine.choose(replace(COMPUTE, nodes=2), "auto")


def test_settings_are_put_back() -> None:
    before = torch.get_num_threads()
    with machine.settled(machine.choose(replace(COMPUTE, threads=before + 1), "float32")):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_learning_rate_rises_stays_and_falls() -> None:
    node = replace(PRETRAIN, learning_rate=1.0, warmup=0.1, decay=0.4)
    rates = [learning_rate(node, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:61] == [1.0] * 52
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1 / 40)
    plain = replace(node, warmup=0.0, decay=0.0)
    assert {learning_rate(plain, step, 100) for step in range(100)} == {1.0}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_parameter_has_one_optimizer_and_norms_no_decay(optimizer: str) -> None:
    model = Transformer(ModelShape(50, 16, 2, 2, 1, 32, 32, 1e4, 1e-5, False))
    made = make_optimizers(model, replace(PRETRAIN, optimizer=optimizer))
    groups = [group for one in made for group in one.param_groups]
    held = [weight for group in groups for weight in group["params"]]
    assert len({id(weight) for weight in held}) == len(held) == len(list(model.parameters()))
    for group in groups:
        assert {weight.dim() > 1 for weight in group["params"]} == {group["weight_decay"] > 0}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"sequence": 65, "device_tokens": 65, "batch_tokens": 65}, "sequence"),
        ({"device_tokens": 60}, "device_tokens"),
        ({"batch_tokens": 100}, "batch_tokens"),
        ({"warmup": 0.6}, "decay"),
        ({"optimizer": "sgd"}, "optimizer"),
        ({"precision": "fp16"}, "precision"),
        ({"tokens": 63}, "tokens"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"dumps": []}, "dumps"),
        ({"model": replace(PRETRAIN.model, heads=3)}, None),
    ],
)
def test_impossible_values_are_named(changes: dict[str, object], key: str | None) -> None:
    node: Pretrain = replace(PRETRAIN, **changes)  # type: ignore[arg-type]
    assert [problem.key for problem in node.problems()] == ([key] if key else [])
    assert [problem.key for problem in node.model.problems()] == ([] if key else ["heads"])
    assert not list(PRETRAIN.problems())


def checked(base: Work, inputs: Path, tmp_path: Path, **values: float) -> Folder:
    """The base model as a check sees it, in a copy that may be damaged."""
    (tmp_path / "data").mkdir()
    for path in base.data("x").parent.iterdir():
        (tmp_path / "data" / path.name).symlink_to(path)
    above = {"token_arrays": list(base.inputs("token_arrays")), "conversations": [Folder(inputs / "conversations")]}
    config = {"sequence": 16, "heldout_tokens": 80, "seed": PRETRAIN.seed, "max_ratio_to_xz": 9.0, **values}
    return Folder(tmp_path, None, above, base.metrics, config)  # type: ignore[arg-type]


def test_a_trained_model_passes_its_checks(base: Work, inputs: Path, tmp_path: Path) -> None:
    artifact = checked(base, inputs, tmp_path)
    for check in (checks.loss_fell, checks.weights_finite, checks.bits_per_byte_under_xz, checks.loss_mask_exact):
        result = check(artifact)  # type: ignore[arg-type]
        assert result.passed, result.message


def test_a_model_worse_than_the_gate_fails(base: Work, inputs: Path, tmp_path: Path) -> None:
    result = checks.bits_per_byte_under_xz(checked(base, inputs, tmp_path, max_ratio_to_xz=0.1))  # type: ignore[arg-type]
    assert not result.passed
    assert "at most 0.1 is wanted" in result.message


def test_the_gate_compares_with_the_strongest_xz_over_the_bytes_of_the_held_out_labels(
    base: Work, inputs: Path, tmp_path: Path
) -> None:
    artifact = checked(base, inputs, tmp_path, heldout_tokens=10**6)
    arrays = TokenArrays.open(base.inputs("token_arrays"), "heldout")
    vocabulary = Vocabulary.load(inputs / "tokenizer/data")
    specials = set(vocabulary.special_ids.values())
    text = vocabulary.decode_bytes([one for one in arrays.slice(1, len(arrays) - 1).tolist() if one not in specials])
    sizes = {preset: len(lzma.compress(text, preset=preset)) for preset in (0, 6, 9 | lzma.PRESET_EXTREME)}
    assert sizes[0] > sizes[9 | lzma.PRESET_EXTREME]
    numbers = checks.bits_per_byte_under_xz(artifact).numbers  # type: ignore[arg-type]
    assert numbers["xz_bits_per_byte"] == pytest.approx(8 * sizes[9 | lzma.PRESET_EXTREME] / len(text))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_weights_that_are_no_numbers_fail(base: Work, inputs: Path, tmp_path: Path, value: float) -> None:
    artifact = checked(base, inputs, tmp_path)
    state = load_file(artifact.path("model.safetensors"))
    state["model.norm.weight"] = torch.full_like(state["model.norm.weight"], value)
    artifact.path("model.safetensors").unlink()
    save_file(state, artifact.path("model.safetensors"))
    result = checks.weights_finite(artifact)  # type: ignore[arg-type]
    assert not result.passed
    assert "model.norm.weight" in result.message


@pytest.mark.parametrize("losses", [[2.0, 2.1], [2.0, float("nan")], [2.0]])
def test_a_loss_that_did_not_fall_fails(base: Work, inputs: Path, tmp_path: Path, losses: list[float]) -> None:
    artifact = checked(base, inputs, tmp_path)
    artifact.path("history.parquet").unlink()
    write_table(pa.table({"loss": losses}), artifact.path("history.parquet"))
    assert not checks.loss_fell(artifact).passed  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["all", "none", "earlier", "no_end", "other_turn"])
def test_a_mask_that_is_not_the_assistants_words_is_a_fault(inputs: Path, damage: str) -> None:
    vocabulary = Vocabulary.load(inputs / "tokenizer/data")
    said = Conversation.of(("user", "what is it"), ("assistant", "a path"), ("user", "and"), ("assistant", "a file"))
    rendered = render(said, vocabulary)
    assert checks.mask_fault(rendered.ids, rendered.mask, list(said.messages), vocabulary) == ""
    mask = list(rendered.mask)
    first = mask.index(True)
    if damage in ("all", "none"):
        mask = [damage == "all"] * len(mask)
    elif damage == "earlier":
        mask[first - 1] = True
    elif damage == "no_end":
        mask[len(mask) - 1] = False
    else:
        mask = [False] * first + mask[:first] + mask[2 * first :]
    assert checks.mask_fault(rendered.ids, mask, list(said.messages), vocabulary)
