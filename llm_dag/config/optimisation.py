"""What every training step is asked for: batches, optimizer, learning rate, precision, seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, one_of, within

OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("auto", "bf16", "float32")


@dataclass
class Optimisation:
    """How weights are changed. The learning rate rises in a line, stays, and falls in a line to zero."""

    sequence: int = MISSING  # tokens of one row
    batch_tokens: int = MISSING  # tokens of one optimizer step, over all devices
    device_tokens: int = MISSING  # tokens that a device holds at once; a larger batch is accumulated
    optimizer: str = MISSING  # adamw, or muon: for hidden matrices, with adamw for the rest
    learning_rate: float = MISSING  # at its highest; muon's updates are scaled to the size of adamw's
    warmup: float = MISSING  # fraction of the steps in which the learning rate rises
    decay: float = MISSING  # fraction of the steps, at the end, in which it falls
    weight_decay: float = MISSING  # of matrices, not of norms
    clip: float = MISSING  # largest norm of a gradient; a longer one is scaled down
    validate_every: int = MISSING  # steps between looks at held-out data
    precision: str = MISSING  # auto (bf16 where the device multiplies it natively, else float32), bf16, float32
    seed: int = MISSING  # of first weights and of the order of the data

    def problems(self) -> Iterator[Problem]:
        yield from at_least("sequence", self.sequence, 2)
        if self.sequence > 0 and (self.device_tokens < 1 or self.device_tokens % self.sequence):
            yield Problem("device_tokens", self.device_tokens, f"a multiple of the sequence, {self.sequence}")
        elif self.batch_tokens < 1 or self.batch_tokens % self.device_tokens:
            yield Problem("batch_tokens", self.batch_tokens, f"a multiple of device_tokens, {self.device_tokens}")
        yield from one_of("optimizer", self.optimizer, OPTIMIZERS)
        if self.learning_rate <= 0:
            yield Problem("learning_rate", self.learning_rate, "a number above 0")
        yield from within("warmup", self.warmup, 0.0, 1.0)
        yield from within("decay", self.decay, 0.0, 1.0)
        if self.warmup + self.decay > 1.0:
            yield Problem("decay", self.decay, f"at most 1 - warmup, {1.0 - self.warmup}")
        yield from at_least("weight_decay", self.weight_decay, 0.0)
        if self.clip <= 0:
            yield Problem("clip", self.clip, "a number above 0")
        yield from at_least("validate_every", self.validate_every, 1)
        yield from one_of("precision", self.precision, PRECISIONS)
