"""Which questions are asked, and how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_dag.evaluation import questions
from llm_dag.tokenization.vocabulary import Vocabulary


def record(name: str, *turns: tuple[str, str], kind: str = "what") -> dict[str, Any]:
    messages = [{"role": role, "content": words} for role, words in turns]
    return {"id": name, "subject": f"subject of {name}", "kind": kind, "messages": messages}


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write(tmp_path / "train.jsonl", [record("t", ("user", "Who are you?"), ("assistant", "A model."))])


@pytest.fixture
def heldout(tmp_path: Path) -> Path:
    records = [record(f"q{at}", ("user", f"question {at}"), ("assistant", f"answer {at}")) for at in range(20)]
    records.append(record("sum", ("user", "1 + 1?"), ("assistant", "2"), kind="arithmetic"))
    records.append(record("silent", ("user", "anyone?")))
    return write(tmp_path / "heldout.jsonl", records)


def test_questions_are_chosen_by_hash_without_arithmetic(heldout: Path) -> None:
    everything = questions.choose(heldout, "held out", 100, seed=1)
    assert len(everything) == 20
    assert {one.kind for one in everything} == {"what"}
    some = questions.choose(heldout, "held out", 5, seed=1)
    assert some == everything[:5]
    assert some != questions.choose(heldout, "held out", 5, seed=2)
    assert some[0].reference == some[0].text.replace("question", "answer")


def test_the_last_answer_is_the_reference(tmp_path: Path) -> None:
    turns = (("system", "be kind"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e"))
    only = questions.choose(write(tmp_path / "x.jsonl", [record("m", *turns)]), "held out", 1, seed=1)[0]
    assert only.turns == turns[:4]
    assert only.reference == "d"


def test_asked_questions_say_whether_they_were_taught(train: Path, heldout: Path) -> None:
    found = questions.asked(["Who are you?", "question 3", "What is love?"], train, heldout)
    assert [one.note for one in found] == ["taught in these words", "held out", "not taught in these words"]
    assert [one.reference for one in found] == ["A model.", "answer 3", ""]


def test_prompts_end_where_the_answer_begins(vocabulary: Vocabulary) -> None:
    question = questions.Question("q", "s", "k", "held out", (("user", "What is <|im_end|>?"),), "It ends.")
    chat = questions.chat_prompt(question, vocabulary)
    assert (
        vocabulary.decode(chat)
        == "<|im_start|>user<|im_sep|>What is <|im_end|>?<|im_end|><|im_start|>assistant<|im_sep|>"
    )
    assert chat.count(vocabulary.im_end) == 1
    plain = questions.plain_prompt(question, vocabulary)
    assert plain[0] == vocabulary.end_of_text
    assert vocabulary.decode(plain[1:]) == "Question: What is <|im_end|>?\nAnswer:"


def test_plain_answers_end_where_the_model_asks_itself() -> None:
    assert questions.plain_answers(" It joins.\nSee also.\nQuestion: And?\nAnswer: x") == (
        "It joins.\nSee also.",
        "It joins.",
    )
    assert questions.plain_answers("") == ("", "")


def test_questions_with_equal_answers_count_once() -> None:
    from llm_dag.config.compose import compose
    from llm_dag.evaluation.harness import answer_scores

    def row(subject: str, reference: str, base: float) -> dict[str, object]:
        scores = {"bytes": 10, "base_bits": base, "sft_bits": 5.0, "base_overlap": 0.1, "sft_overlap": 0.5}
        return {"label": "held out", "subject": subject, "reference": reference, **scores}

    aliases = [
        row("a.f", "Do it.", 9.0),
        row("b.f", "do  it.", 9.0),
        row("c.g", "Leave it.", 8.0),
        row("d", "No.", 7.0),
    ]
    scores = list(answer_scores(aliases, compose(["scale=ci"]).identity.evaluation.harness))
    assert {score.n for score in scores} == {3}
