"""Pretraining: next-token prediction over token arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, gate
from llm_dag.config.model import Model
from llm_dag.config.optimisation import Optimisation


@dataclass
class Pretrain(Optimisation):
    """One run over the named dumps."""

    dumps: list[str] = field(default_factory=list)  # whose tokens; a new dump joins only when it is named here
    model: Model = field(default_factory=Model)  # the shape that is trained
    tokens: int = MISSING  # how many are trained on, repeats counted; rounded down to whole batches
    heldout_tokens: int = MISSING  # at most so many held-out tokens are looked at each time
    max_ratio_to_xz: float = gate()  # held-out bits per byte over those of xz alone on the same bytes

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        yield from at_least("dumps", len(self.dumps), 1)
        if self.sequence > self.model.context:
            yield Problem("sequence", self.sequence, f"at most the model's context, {self.model.context}")
        yield from at_least("tokens", self.tokens, self.batch_tokens)
        yield from at_least("heldout_tokens", self.heldout_tokens, self.sequence)
        if self.max_ratio_to_xz <= 0:
            yield Problem("max_ratio_to_xz", self.max_ratio_to_xz, "a number above 0")
