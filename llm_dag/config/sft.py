"""Supervised finetuning: the assistant's words in conversations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least
from llm_dag.config.optimisation import Optimisation


@dataclass
class Sft(Optimisation):
    """Passes over conversations, packed whole into rows."""

    context: int = MISSING  # of the base model; rows are no longer, and the step refuses a base model with another
    epochs: int = MISSING  # passes over the training conversations

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.sequence > self.context:
            yield Problem("sequence", self.sequence, f"at most the base model's context, {self.context}")
        yield from at_least("epochs", self.epochs, 1)
