"""The harness over two tiny models: what it measures is what the models do, and the tables hold together."""

from __future__ import annotations

import json
import lzma
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from llm_dag.config.compute import Compute
from llm_dag.config.evaluation import Harness
from llm_dag.evaluation import answering, checks, harness
from llm_dag.evaluation.compression import NothingToCount, token_bits
from llm_dag.evaluation.questions import Question, chat_prompt, plain_prompt
from llm_dag.evaluation.scores import SCORES, Score, read_scores
from llm_dag.evaluation.strict_lines import spread
from llm_dag.modeling.huggingface import save_model
from llm_dag.modeling.transformer import ModelShape, Transformer
from llm_dag.store.artifact import Artifact
from llm_dag.store.work import Work
from llm_dag.tokenization.vocabulary import Vocabulary

CONFIG = Harness(
    seed=3,
    heldout_bytes=2_000,
    window=32,
    prime_bytes=100_000,
    questions=6,
    taught_questions=3,
    asked=["Who are you?"],
    answer_tokens=5,
    resamples=200,
    dreams=2,
    dream_prompts=["the "],
    dream_tokens=6,
    temperature=0.8,
    top_p=0.9,
    max_ratio_to_xz=0.85,
    min_answer_gain=0.0,
)
TRAIN = [f"See also\nThe function join number {at} returns the string.\n" for at in range(12)]
HELD = [f"See also\nThe thing number {at} is another thing.\n  Not there\n" for at in range(6)]


def tiny(vocabulary: Vocabulary, seed: int) -> Transformer:
    shape = ModelShape(vocabulary.size, 32, 2, 2, 1, 48, 32, 10_000.0, 1e-5, True)
    model = Transformer(shape).eval()
    model.initialise(seed)
    return model


def lines(*values: dict[str, Any]) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def talk(name: str, question: str, answer: str, kind: str = "what") -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": name, "subject": name, "kind": kind, "messages": messages}


@pytest.fixture
def inputs(
    shelf: Any, arrays_of: Any, vocabulary: Vocabulary, tmp_path: Path, tokenizer_folder: Path
) -> dict[str, list[Artifact]]:
    models = {}
    for asset, seed in (("base_model", 1), ("sft_model", 2)):
        model = tiny(vocabulary, seed)
        folder = tmp_path / asset
        save_model(folder, model.shape, model.state_dict(), tokenizer_folder)
        models[asset] = shelf.put(asset, {path.name: path.read_bytes() for path in folder.iterdir()})
    heldout = [talk(f"h{at}", f"What is {at}?", f"It is the {at}.") for at in range(9)]
    train = [talk(f"t{at}", f"Where is {at}?", f"In the {at}.") for at in range(9)] + [
        talk("tw", "Who are you?", "A model.")
    ]
    problems = [
        {"id": f"{at} + 1", "key": f"1 + {at}", "question": f"What is {at} + 1?", "answer": at + 1, "solution": "."}
        for at in range(5)
    ]
    conversations = shelf.put("conversations", {"heldout.jsonl": lines(*heldout), "train.jsonl": lines(*train)})
    return {
        "base_model": [models["base_model"]],
        "sft_model": [models["sft_model"]],
        "token_arrays": [arrays_of(TRAIN, HELD)],
        "conversations": [conversations],
        "eval_sets": [shelf.put("eval_sets", {"arithmetic.jsonl": lines(*problems)})],
    }


def run(inputs: dict[str, list[Artifact]], folder: Path, config: Harness = CONFIG) -> Work:
    compute = Compute(accelerator="cpu", threads=1)
    work = Work("evaluations", None, config, compute, inputs, folder)
    harness.build(work)
    return work


def test_bits_of_a_short_document_are_those_of_one_full_pass(vocabulary: Vocabulary) -> None:
    model = tiny(vocabulary, 5)
    ids = vocabulary.encode("the thing is another")[:20]
    row = torch.tensor([[vocabulary.end_of_text, *ids]])
    with torch.inference_mode():
        logprobs = model(row[:, :-1]).log_softmax(-1).gather(2, row[:, 1:, None])[0, :, 0]
    found = token_bits(model, vocabulary, [ids], 32)[0]
    np.testing.assert_allclose(found, -logprobs.numpy() / math.log(2), rtol=1e-4)


def test_windows_give_each_token_three_quarters_of_earlier_text(vocabulary: Vocabulary) -> None:
    """With a window of 24, a token's bits are those after some 18 to 24 tokens before it, or after all there are."""
    model = tiny(vocabulary, 5)
    ids = vocabulary.encode("The join of another thing, and the rest of it. " * 6)
    row = [vocabulary.end_of_text, *ids]
    found = token_bits(model, vocabulary, [ids], 24)[0]
    assert len(found) == len(ids) > 3 * model.shape.context
    for at in (5, 17, 40, len(ids) - 1):
        possible = []
        for length in range(min(18, at + 1), min(24, at + 1) + 1):
            context = torch.tensor([row[at + 1 - length : at + 1]])
            with torch.inference_mode():
                possible.append(-model(context)[0, -1].log_softmax(-1)[row[at + 1]].item() / math.log(2))
        assert min(abs(found[at] - value) for value in possible) < 1e-3


def test_reference_bits_leave_out_the_space_before_a_plain_answer(vocabulary: Vocabulary) -> None:
    model = tiny(vocabulary, 5)
    question = Question("q", "s", "k", "held out", (("user", "What?"),), "the thing")
    prompt = plain_prompt(question, vocabulary)
    found = answering.reference_bits(model, vocabulary, [prompt], [question.reference], " ")[0]
    ids = vocabulary.encode(" the thing")
    row = torch.tensor([[*prompt, *ids]])
    with torch.inference_mode():
        logprobs = model(row[:, :-1]).log_softmax(-1).gather(2, row[:, 1:, None])[0, -len(ids) :, 0]
    bits = spread(-logprobs.double().numpy() / math.log(2), [len(vocabulary.token_bytes(one)) for one in ids])
    assert found == pytest.approx(bits[1:].sum(), rel=1e-4)
    chat = chat_prompt(question, vocabulary)
    assert answering.reference_bits(model, vocabulary, [chat], [""], "") == [0.0]


def test_the_base_model_counts_with_the_fewer_bits_of_its_two_forms(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, sft = tiny(vocabulary, 5), tiny(vocabulary, 6)
    bits = {(base, ""): [10.0, 3.0], (base, " "): [4.0, 7.0], (sft, ""): [5.0, 6.0]}
    monkeypatch.setattr(answering, "reference_bits", lambda model, known, prompts, said, before: bits[model, before])
    questions = [Question(name, "s", "k", "held out", (("user", "What?"),), "the thing") for name in ("q", "r")]
    rows = answering.ask(base, sft, vocabulary, questions, CONFIG)
    assert [(row["base_bits"], row["sft_bits"]) for row in rows] == [(4.0, 5.0), (3.0, 6.0)]


def test_primed_xz_has_all_of_the_training_text(inputs: dict[str, list[Artifact]], tmp_path: Path) -> None:
    def packed(text: bytes) -> int:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20}]
        return len(lzma.compress(text, filters=filters))

    primed = read_scores(run(inputs, tmp_path / "work").data("scores.parquet"))["heldout_bits_per_byte", "xz_primed"]
    training = "\n".join(TRAIN).encode()
    strict = "".join(text.removeprefix("See also\n") for text in HELD).encode()
    assert primed.value == pytest.approx(8 * (packed(training + strict) - packed(training)) / len(strict))
    assert primed.note.startswith(f"All {sum(len(text.encode()) for text in TRAIN)} bytes of the training text")


@pytest.mark.parametrize(("low", "passed"), [(0.1, True), (-0.05, False), (0.049, False), (None, False)])
def test_the_interval_of_the_gain_must_lie_above_the_wanted_one(shelf: Any, low: float | None, passed: bool) -> None:
    high = None if low is None else 0.3
    score = Score("answer_bits_per_byte", "gain", 0.2, low, high, 9, "bits per byte", "")
    table = pa.Table.from_pylist([vars(score)], schema=SCORES)
    made = shelf.put("evaluations", {"scores.parquet": table}, config=vars(replace(CONFIG, min_answer_gain=0.05)))
    assert checks.sft_beats_base(made).passed == passed


def test_the_tables_hold_together(inputs: dict[str, list[Artifact]], tmp_path: Path) -> None:
    work = run(inputs, tmp_path / "work")
    scores = read_scores(work.data("scores.parquet"))
    rows = pq.read_table(work.data("lines.parquet")).to_pylist()
    strict = sum(row["strict_bytes"] for row in rows)
    wanted = sum(len(f"The thing number {at} is another thing.\n  Not there\n") for at in range(6))
    assert strict == wanted == work.metrics["strict_bytes"]
    model = scores["heldout_bits_per_byte", "base"]
    assert model.value == pytest.approx(sum(row["base_strict_bits"] for row in rows) / strict)
    assert model.value > 2  # it has learned nothing
    ratio = scores["heldout_ratio_to_xz", "base"].value
    assert ratio == pytest.approx(model.value / scores["heldout_bits_per_byte", "xz"].value)
    answers = pq.read_table(work.data("answers.parquet")).to_pylist()
    assert [row["label"] for row in answers] == ["held out"] * 6 + ["taught"] * 3 + ["asked"]
    for label, first in (("held out", "h"), ("taught", "t")):  # of heldout.jsonl, of train.jsonl
        ids = [row["id"] for row in answers if row["label"] == label]
        assert all(name.startswith(first) for name in ids), label
    assert answers[-1]["note"] == "taught in these words"
    held = [row for row in answers if row["label"] == "held out"]
    bits = {
        name: sum(row[f"{name}_bits"] for row in held) / sum(row["bytes"] for row in held) for name in ("base", "sft")
    }
    assert scores["answer_bits_per_byte", "gain"].value == pytest.approx(bits["base"] - bits["sft"])
    assert scores["answer_bits_per_byte", "gain"].n == 6
    assert scores["arithmetic_exact", "sft"].n == 5
    dreams = pq.read_table(work.data("dreams.parquet")).to_pylist()
    assert [row["prompt"] for row in dreams] == ["", "", "the "]
    assert dreams[0]["text"] != dreams[1]["text"]
    assert work.metrics["heldout_bits_per_byte/base"] == model.value


def test_a_second_run_gives_the_same_bytes(inputs: dict[str, list[Artifact]], tmp_path: Path) -> None:
    first, second = (run(inputs, tmp_path / name) for name in ("one", "two"))
    for name in ("scores", "lines", "answers", "dreams"):
        assert first.data(f"{name}.parquet").read_bytes() == second.data(f"{name}.parquet").read_bytes()


def test_threads_are_put_back(inputs: dict[str, list[Artifact]], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    work = run(inputs, tmp_path / "work")
    assert work.witness["threads"] == 1
    assert torch.get_num_threads() == before


def test_an_untrained_model_fails_the_gates(inputs: dict[str, list[Artifact]], tmp_path: Path, shelf: Any) -> None:
    work = run(inputs, tmp_path / "work")
    files = {"scores.parquet": work.data("scores.parquet").read_bytes()}
    committed = shelf.put("evaluations", files, config=vars(CONFIG))
    assert not checks.bits_per_byte_gate(committed).passed
    assert checks.scores_finite(committed).passed
    gain = read_scores(committed.path("scores.parquet"))["answer_bits_per_byte", "gain"]
    assert checks.sft_beats_base(committed).passed == (gain.low is not None and gain.low > 0)
    wide = shelf.put("evaluations", files, config=vars(replace(CONFIG, max_ratio_to_xz=50.0, min_answer_gain=-50.0)))
    assert checks.bits_per_byte_gate(wide).passed
    assert checks.sft_beats_base(wide).passed


def test_no_strict_line_is_an_error_that_says_so(
    inputs: dict[str, list[Artifact]], arrays_of: Any, tmp_path: Path
) -> None:
    inputs["token_arrays"] = [arrays_of(HELD, HELD, "dump-2")]
    with pytest.raises(NothingToCount, match="no line that the training text lacks"):
        run(inputs, tmp_path / "work")


def test_no_question_that_fits_is_an_error(inputs: dict[str, list[Artifact]], shelf: Any, tmp_path: Path) -> None:
    long = lines(talk("h", "What?", "word " * 200))
    inputs["conversations"] = [shelf.put("conversations", {"heldout.jsonl": long, "train.jsonl": b""}, partition="p")]
    with pytest.raises(NothingToCount, match=r"heldout\.jsonl has no question whose answer fits"):
        run(inputs, tmp_path / "work")
