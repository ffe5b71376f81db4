"""Which questions are asked, and in which forms.

Held-out questions are about subjects that no SFT conversation is about; taught ones stand in the SFT data and show how
much of an answer is memory. Both are chosen by hash. Arithmetic among them is left out: it has a grader of its own.

A base model was never told what `<|im_start|>` means, so it is asked twice, in the chat format and in plain words, and
the better of both counts for it, question by question: an advantage that the SFT model has no need of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_dag.evaluation.heldout import hashed
from llm_dag.tasks.jsonl import read_objects
from llm_dag.tokenization.chat import Conversation, render_prompt
from llm_dag.tokenization.vocabulary import Vocabulary

GRADED_APART = "arithmetic"
NEXT_QUESTION = "\nQuestion:"


@dataclass(frozen=True)
class Question:
    """What is asked, as (role, words) up to the answer, and what a reference answers ("": there is none)."""

    id: str
    subject: str
    kind: str
    label: str  # held out, taught, asked
    turns: tuple[tuple[str, str], ...]
    reference: str
    note: str = ""

    @property
    def text(self) -> str:
        """The words of the last turn."""
        return self.turns[-1][1]


def choose(path: Path, label: str, limit: int, seed: int) -> list[Question]:
    """At most `limit` questions of a JSONL file of conversations, in hash order."""
    records = [record for _, record in read_objects(path) if record["kind"] != GRADED_APART]
    order = hashed([record["id"] for record in records], seed)
    found = (_question(records[at], label) for at in order)
    return [question for question in found if question is not None][:limit]


def asked(texts: Sequence[str], train: Path, heldout: Path) -> list[Question]:
    """Questions of the configuration. The note says where each stands word for word; its reference comes from there."""
    known: dict[str, tuple[str, str, str]] = {}
    for path, note in ((heldout, "held out"), (train, "taught in these words")):
        for _, record in read_objects(path):
            question = _question(record, "asked")
            if question is not None and len(question.turns) == 1:
                known[question.text] = (note, question.reference, question.subject)
    questions = []
    for number, text in enumerate(texts):
        note, reference, subject = known.get(text, ("not taught in these words", "", ""))
        questions.append(Question(f"asked {number}", subject, "asked", "asked", (("user", text),), reference, note))
    return questions


def chat_prompt(question: Question, vocabulary: Vocabulary) -> list[int]:
    """The ids of the question in the chat format, up to where the assistant speaks."""
    return render_prompt(Conversation.of(*question.turns), vocabulary)


def plain_prompt(question: Question, vocabulary: Vocabulary) -> list[int]:
    """The ids of the question as a document of the corpus begins: `Question: …`, then `Answer:`."""
    names = {"user": "Question: ", "assistant": "Answer: ", "system": ""}
    lines = [names[role] + words for role, words in question.turns]
    return [vocabulary.end_of_text, *vocabulary.encode("\n".join([*lines, "Answer:"]))]


def plain_answers(text: str) -> tuple[str, str]:
    """What a plain continuation may be taken to answer: all until it asks a question itself, and its first line."""
    whole = text.split(NEXT_QUESTION, 1)[0].strip()
    return whole, whole.split("\n", 1)[0]


def _question(record: dict[str, Any], label: str) -> Question | None:
    """The last answer of a conversation and what leads to it; None where nobody answers."""
    turns = [(message["role"], message["content"]) for message in record["messages"]]
    while turns and turns[-1][0] != "assistant":
        turns.pop()
    if len(turns) < 2 or not turns[-1][1].strip():
        return None
    return Question(record["id"], record["subject"], record["kind"], label, tuple(turns[:-1]), turns[-1][1])
