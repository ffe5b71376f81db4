"""Which problems are asked: local benchmark files, and the arithmetic generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, path, paths, within


@dataclass
class Tasks:
    """Evaluation items that are fixed before anything is trained."""

    files: list[str] = paths()  # JSONL benchmark files or globs: one {"task", "question", "answer"} a line
    canaries: str = path()  # items in the same form that a canary page quotes; empty: none
    arithmetic_problems: int = MISSING  # problems of the generator, both splits together
    arithmetic_largest: int = MISSING  # largest operand (of a division: of its divisor and quotient)
    heldout: float = MISSING  # fraction of the arithmetic problems that no model may train on
    seed: int = MISSING  # chooses the problems and their split

    def problems(self) -> Iterator[Problem]:
        yield from at_least("arithmetic_problems", self.arithmetic_problems, 0)
        yield from at_least("arithmetic_largest", self.arithmetic_largest, 1)
        yield from within("heldout", self.heldout, 0.0, 0.9)
