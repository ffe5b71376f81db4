"""Ask both models, and measure what they answer.

Likelihood is the bits that a model needs for the reference answer, given the question; the `<|im_end|>` that would end
it is not counted, as the plain form has none. In the plain form a space stands before the answer: the bits that fall on
its byte are not counted either. Overlap is that of the greedy answer with the reference. The base model counts with the
better of its forms for each measure and each question (`questions.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_dag.config.evaluation import Harness
from llm_dag.evaluation.heldout import hashed
from llm_dag.evaluation.overlap import overlap
from llm_dag.evaluation.questions import Question, chat_prompt, plain_answers, plain_prompt
from llm_dag.evaluation.strict_lines import spread
from llm_dag.modeling.generation import generate
from llm_dag.modeling.sampling import Sampling
from llm_dag.modeling.scoring import log_likelihood
from llm_dag.modeling.transformer import Transformer
from llm_dag.tasks.arithmetic import grade
from llm_dag.tasks.jsonl import read_objects
from llm_dag.tokenization.vocabulary import Vocabulary

SUM_TOKENS = 24  # `12 divided by 3 is 4.` takes fewer; a base model goes on until it is stopped


@dataclass(frozen=True)
class Graded:
    """One arithmetic problem, and whether each model's answer was exactly right."""

    key: str
    base: bool
    sft: bool


def fits(question: Question, model: Transformer, vocabulary: Vocabulary) -> bool:
    """Whether the reference leaves at least half the context to the question."""
    return len(vocabulary.encode(" " + question.reference)) <= model.shape.context // 2


def ask(
    base: Transformer, sft: Transformer, vocabulary: Vocabulary, questions: Sequence[Question], config: Harness
) -> list[dict[str, Any]]:
    """One row of `ANSWERS` for each question."""
    chat = [chat_prompt(question, vocabulary) for question in questions]
    plain = [plain_prompt(question, vocabulary) for question in questions]
    references = [question.reference for question in questions]
    base_chat_bits = reference_bits(base, vocabulary, chat, references, "")
    base_plain_bits = reference_bits(base, vocabulary, plain, references, " ")
    sft_bits = reference_bits(sft, vocabulary, chat, references, "")
    base_answers = base_candidates(base, vocabulary, chat, plain, config.answer_tokens)
    sft_answers = greedy(sft, vocabulary, chat, config.answer_tokens)
    rows = []
    for at, question in enumerate(questions):
        reference = question.reference
        best = max(base_answers[at], key=lambda answer, wanted=reference: overlap(answer, wanted))  # type: ignore[misc]
        rows.append(
            {
                "id": question.id,
                "subject": question.subject,
                "kind": question.kind,
                "label": question.label,
                "note": question.note,
                "question": question.text,
                "reference": reference,
                "base_answer": best,
                "sft_answer": sft_answers[at],
                "bytes": len(reference.encode()),
                "base_bits": min(base_chat_bits[at], base_plain_bits[at]),
                "sft_bits": sft_bits[at],
                "base_overlap": overlap(best, reference) if reference else 0.0,
                "sft_overlap": overlap(sft_answers[at], reference) if reference else 0.0,
            }
        )
    return rows


def reference_bits(
    model: Transformer,
    vocabulary: Vocabulary,
    prompts: Sequence[Sequence[int]],
    references: Sequence[str],
    before: str,
) -> list[float]:
    """Bits of each reference after its prompt; the bytes of `before`, which stand between them, are not counted."""
    ids = [vocabulary.encode(before + reference) if reference else [] for reference in references]
    scored = log_likelihood(model, prompts, ids)
    found = []
    for tokens, scores in zip(ids, scored, strict=True):
        bits = [-score / math.log(2) for score in scores]
        lengths = [len(vocabulary.token_bytes(token)) for token in tokens]
        found.append(float(spread(bits, lengths)[len(before.encode()) :].sum()))
    return found


def greedy(model: Transformer, vocabulary: Vocabulary, prompts: Sequence[Sequence[int]], longest: int) -> list[str]:
    """The most probable continuation of each prompt, token by token, at most `longest` tokens."""
    sampling = Sampling(temperature=0.0, top_k=0, top_p=1.0, max_new_tokens=longest, seed=0)
    return [vocabulary.decode(one.spoken).strip() for one in generate(model, vocabulary, prompts, sampling)]


def base_candidates(
    base: Transformer,
    vocabulary: Vocabulary,
    chat: Sequence[Sequence[int]],
    plain: Sequence[Sequence[int]],
    longest: int,
) -> list[tuple[str, ...]]:
    """What the base model may be taken to answer: in plain words all of it or its first line, or in the chat format."""
    in_chat = greedy(base, vocabulary, chat, longest)
    in_plain = greedy(base, vocabulary, plain, longest)
    return [(*plain_answers(words), other) for words, other in zip(in_plain, in_chat, strict=True)]


def solve(base: Transformer, sft: Transformer, vocabulary: Vocabulary, problems: Path, config: Harness) -> list[Graded]:
    """Held-out arithmetic, at most `config.questions` problems in hash order, graded exactly."""
    records = [record for _, record in read_objects(problems)]
    chosen = [records[at] for at in hashed([record["id"] for record in records], config.seed)][: config.questions]
    asked = [Question(one["id"], one["key"], "arithmetic", "", (("user", one["question"]),), "") for one in chosen]
    chat = [chat_prompt(question, vocabulary) for question in asked]
    plain = [plain_prompt(question, vocabulary) for question in asked]
    base_answers = base_candidates(base, vocabulary, chat, plain, SUM_TOKENS)
    sft_answers = greedy(sft, vocabulary, chat, SUM_TOKENS)
    return [
        Graded(one["key"], any(grade(one["answer"], text) for text in of_base), grade(one["answer"], of_sft))
        for one, of_base, of_sft in zip(chosen, base_answers, sft_answers, strict=True)
    ]
