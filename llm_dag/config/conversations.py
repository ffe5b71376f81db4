"""What the assistant is taught with: questions made from the corpus, hand-written conversations, the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, path, paths, within


@dataclass
class Conversations:
    """The mixture of conversations for SFT, and its held-out split by subject."""

    dumps: list[str] = MISSING  # dumps whose clean text the questions are made from
    handwritten: str = path()  # JSONL file or glob of the hand-written conversations: a bad line is an error
    files: list[str] = paths()  # further JSONL files or globs, {"messages": [...]} a line: a bad line is skipped
    max_subjects: int = MISSING  # functions and classes asked about: the standard library's module level first
    phrasings: int = MISSING  # ways in which each question of the train split is asked
    answer_characters: int = MISSING  # longest description taken as an answer
    repeat_handwritten: int = MISSING  # times that each hand-written conversation stands in the train split
    heldout: float = MISSING  # fraction of the subjects that are held out
    seed: int = MISSING  # chooses the split, the phrasings and the order

    def problems(self) -> Iterator[Problem]:
        yield from at_least("max_subjects", self.max_subjects, 0)
        yield from within("phrasings", self.phrasings, 1, 4)
        yield from at_least("answer_characters", self.answer_characters, 20)
        yield from at_least("repeat_handwritten", self.repeat_handwritten, 1)
        yield from within("heldout", self.heldout, 0.0, 0.9)
