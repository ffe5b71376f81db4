"""How text is drawn from a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, within


@dataclass
class Sampling:
    """How the next token is chosen, and how many are asked for."""

    temperature: float = MISSING  # logits are divided by it; 0: always the most probable token
    top_k: int = MISSING  # only so many most probable tokens; 0: all
    top_p: float = MISSING  # only the most probable tokens that together reach this probability; 1: all
    max_new_tokens: int = MISSING  # at most so many tokens
    seed: int = MISSING  # fixes every draw

    def problems(self) -> Iterator[Problem]:
        yield from at_least("temperature", self.temperature, 0)
        yield from at_least("top_k", self.top_k, 0)
        yield from within("top_p", self.top_p, 1e-6, 1)
        yield from at_least("max_new_tokens", self.max_new_tokens, 1)
