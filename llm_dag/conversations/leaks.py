"""What must not stand on both sides of a split, and how it is found.

- a held-out answer or question that the train split holds, whole or within a longer text;
- a held-out arithmetic problem that a train conversation states, in either order of its operands;
- a benchmark item of which a train conversation holds `SPAN` words in a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from llm_dag.conversations.dialogue import Dialogue, normal
from llm_dag.tasks.arithmetic import problems_in

SPAN = 8  # words in a row that two texts hardly share by chance
CONTAINED = 5  # words from which a text within a longer one counts as the same
FEWEST = 4  # a benchmark text under so many words is no evidence
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
CALLED = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\(")


class TrainText:
    """The answers and questions of the train split: asked whether a held-out conversation is in them."""

    def __init__(self, train: Iterable[Dialogue]) -> None:
        conversations = list(train)
        self._answers = {answer for one in conversations for answer in one.answers}
        self._questions = {one.questions for one in conversations}
        self._text = "\n" + "\n".join(f" {answer} " for answer in sorted(self._answers)) + "\n"

    def leak(self, heldout: Dialogue) -> str:
        """Why a conversation cannot be held out, or nothing."""
        if heldout.questions in self._questions:
            return "question_in_train"
        for answer in heldout.answers:
            if answer in self._answers:
                return "answer_in_train"
            if len(answer.split()) >= CONTAINED and f" {answer} " in self._text:
                return "answer_within_train"
        return ""


class BenchmarkSpans:
    """The words of pinned benchmark items, `SPAN` in a row (a shorter item: all of its words)."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._spans: dict[int, set[str]] = {}
        for text in texts:
            words = normal(text).split()
            size = min(SPAN, len(words))
            if size >= FEWEST:
                self._spans.setdefault(size, set()).update(_spans(words, size))

    def overlaps(self, conversation: Dialogue) -> bool:
        """Whether a message shares a span with an item."""
        if not self._spans:
            return False
        messages = [text.split() for text in (*conversation.questions, *conversation.answers)]
        return any(
            not found.isdisjoint(_spans(words, size)) for size, found in self._spans.items() for words in messages
        )


def arithmetic_keys(conversation: Dialogue) -> set[str]:
    """The keys of the arithmetic problems that a conversation states."""
    return {problem.key for message in conversation.messages for problem in problems_in(message.content)}


def mentioned_names(conversations: Iterable[Dialogue]) -> set[str]:
    """Dotted names in what was said, and names that are called without a module: `len(`."""
    names: set[str] = set()
    for conversation in conversations:
        for message in conversation.messages:
            names.update(DOTTED.findall(message.content))
            names.update(CALLED.findall(message.content))
    return names


def _spans(words: list[str], size: int) -> Iterable[str]:
    return (" ".join(words[start : start + size]) for start in range(len(words) - size + 1))
