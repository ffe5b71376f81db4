"""The asset `evaluations`: what the base model and the SFT model can do.

`scores.parquet` holds every number with its interval, `lines.parquet` the compression of each held-out document,
`answers.parquet` every question with both answers, `dreams.parquet` what the base model writes unasked. The same inputs
and the same witness give the same bytes: documents, questions, draws and bootstrap samples come from `seed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch

from llm_dag.config.evaluation import Harness
from llm_dag.evaluation import answering, questions
from llm_dag.evaluation.compression import NothingToCount, compress
from llm_dag.evaluation.dreams import dream
from llm_dag.evaluation.intervals import Interval, Ratio, interval, mean_of, paired_difference
from llm_dag.evaluation.scores import ANSWERS, DREAMS, LINES, SCORES, Score
from llm_dag.ledger import write_table
from llm_dag.modeling.device import choose_device, threads_of, using_threads
from llm_dag.modeling.huggingface import load_model
from llm_dag.modeling.transformer import Transformer
from llm_dag.store.work import Work
from llm_dag.tokenization.arrays import TokenArrays
from llm_dag.tokenization.vocabulary import Vocabulary

FORMS = "The base model is asked in the chat format and in plain words, and the better of both counts."


def build(work: Work) -> None:
    """Measure both models and write the four tables."""
    device = choose_device(work.compute)
    with using_threads(threads_of(work.compute)):
        work.witness |= {"device": device, "threads": torch.get_num_threads(), "precision": "float32"}
        measure(work, device)


def measure(work: Work, device: str) -> None:
    """`build` on a device that is settled."""
    config: Harness = work.config
    base, vocabulary = load_model(work.input("base_model").folder(), device, torch.float32)
    sft, _ = load_model(work.input("sft_model").folder(), device, torch.float32)

    arrays = work.inputs("token_arrays")
    train, held = (TokenArrays.open(arrays, split) for split in ("train", "heldout"))
    trained = work.input("base_model").metrics.get("tokens")
    compressed = compress(base, vocabulary, train, held, config, work.progress, trained)
    answers = ask(work, base, sft, vocabulary)
    work.progress.say("arithmetic")
    graded = answering.solve(base, sft, vocabulary, work.input("eval_sets").path("arithmetic.jsonl"), config)
    work.progress.say("dreams")
    dreams = dream(base, vocabulary, config)

    scores = [*compressed.scores, *answer_scores(answers, config), *arithmetic_scores(graded, config)]
    tables: tuple[tuple[str, Sequence[Mapping[str, Any]], pa.Schema], ...] = (
        ("scores", [vars(score) for score in scores], SCORES),
        ("lines", compressed.rows, LINES),
        ("answers", answers, ANSWERS),
        ("dreams", dreams, DREAMS),
    )
    for name, rows, schema in tables:
        write_table(pa.Table.from_pylist(list(rows), schema=schema), work.data(f"{name}.parquet"))
    for score in scores:
        work.metrics[f"{score.metric}/{score.model}"] = score.value
    work.metrics["strict_bytes"] = sum(row["strict_bytes"] for row in compressed.rows)


def ask(work: Work, base: Transformer, sft: Transformer, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Rows of `ANSWERS`: held-out questions, taught ones, and those that are always asked."""
    config: Harness = work.config
    conversations = work.input("conversations")
    train, held = conversations.path("train.jsonl"), conversations.path("heldout.jsonl")
    wanted = [
        *questions.choose(held, "held out", config.questions, config.seed),
        *questions.choose(train, "taught", config.taught_questions, config.seed),
        *questions.asked(config.asked, train, held),
    ]
    fitting = [question for question in wanted if answering.fits(question, base, vocabulary)]
    work.metrics["questions_too_long"] = len(wanted) - len(fitting)
    if not any(question.label == "held out" for question in fitting):
        raise NothingToCount(
            f"{conversations.place}/data/heldout.jsonl has no question whose answer fits half a context of"
            f" {base.shape.context} tokens; raise conversations.heldout or the model's context"
        )
    work.progress.say(f"{len(fitting)} questions")
    return answering.ask(base, sft, vocabulary, fitting, config)


def answer_scores(answers: Sequence[Mapping[str, Any]], config: Harness) -> Iterator[Score]:
    """Bits and overlap before and after SFT over the held-out questions.

    Resampled by reference answer: names of one object (`sqlite3.Cursor.execute`, `sqlite3.dbapi2.Cursor.execute`) have
    equal answers and are no independent questions.
    """
    held = [row for row in answers if row["label"] == "held out"]
    groups = [_normal(row["reference"]) for row in held]
    sizes = [float(row["bytes"]) for row in held]
    bits = {model: Ratio([row[f"{model}_bits"] for row in held], sizes) for model in ("base", "sft")}
    shared = {model: mean_of([row[f"{model}_overlap"] for row in held]) for model in ("base", "sft")}
    note = f"{len(held)} held-out questions, made from the corpus: closed-book recall. {FORMS}"
    yield from _compared("answer_bits_per_byte", "bits per byte", bits, groups, config, note, less=True)
    yield from _compared("answer_overlap", "F1", shared, groups, config, note, less=False)
    taught = [row for row in answers if row["label"] == "taught"]
    if taught:
        found = interval(
            mean_of([row["sft_overlap"] for row in taught]),
            [_normal(row["reference"]) for row in taught],
            config.resamples,
            config.seed,
        )
        yield _score("taught_overlap", "sft", found, "F1", f"{len(taught)} questions that stand in the SFT data")


def _normal(answer: str) -> str:
    """An answer without differences of case and spacing."""
    return " ".join(answer.casefold().split())


def arithmetic_scores(graded: Sequence[answering.Graded], config: Harness) -> Iterator[Score]:
    """The share of held-out problems answered exactly; both orders of a sum or product are one problem."""
    if graded:
        shares = {
            "base": mean_of([float(one.base) for one in graded]),
            "sft": mean_of([float(one.sft) for one in graded]),
        }
        note = f"{len(graded)} questions about held-out problems. {FORMS}"
        keys = [one.key for one in graded]
        yield from _compared("arithmetic_exact", "share", shares, keys, config, note, less=False)


def _compared(
    metric: str,
    unit: str,
    ratios: Mapping[str, Ratio],
    clusters: Sequence[str],
    config: Harness,
    note: str,
    less: bool,
) -> Iterator[Score]:
    for model, ratio in ratios.items():
        yield _score(metric, model, interval(ratio, clusters, config.resamples, config.seed), unit, note)
    greater, smaller = ("base", "sft") if less else ("sft", "base")  # of a gain above zero
    gain = paired_difference(ratios[greater], ratios[smaller], clusters, config.resamples, config.seed)
    yield _score(metric, "gain", gain, unit, note)


def _score(metric: str, model: str, found: Interval, unit: str, note: str) -> Score:
    return Score(metric, model, found.value, found.low, found.high, found.n, unit, note)
