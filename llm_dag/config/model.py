"""The shape of a language model; its vocabulary is the tokenizer's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least


@dataclass
class Model:
    """A Llama-architecture transformer."""

    width: int = MISSING  # size of the residual stream
    depth: int = MISSING  # layers
    heads: int = MISSING  # query heads; the head dimension is width / heads
    kv_heads: int = MISSING  # key-value heads, each shared by heads / kv_heads query heads
    ffn: int = MISSING  # hidden size of the feed-forward network
    context: int = MISSING  # longest sequence, in tokens
    rope_theta: float = MISSING  # base of the rotary wavelengths
    norm_eps: float = MISSING  # added under the root of the RMS norm
    tie_embeddings: bool = MISSING  # the output head is the embedding

    def problems(self) -> Iterator[Problem]:
        for key in ("width", "depth", "heads", "kv_heads", "ffn"):
            yield from at_least(key, getattr(self, key), 1)
        yield from at_least("context", self.context, 2)
        yield from at_least("rope_theta", self.rope_theta, 1.0)
        if self.norm_eps <= 0:
            yield Problem("norm_eps", self.norm_eps, "a number above 0")
        if min(self.width, self.heads, self.kv_heads) < 1:
            return
        if self.width % self.heads:
            yield Problem("heads", self.heads, f"a divisor of the width {self.width}")
        elif self.width // self.heads % 2:
            dimension = self.width // self.heads
            yield Problem("heads", self.heads, f"a number that gives an even head dimension, not {dimension}")
        if self.heads % self.kv_heads:
            yield Problem("kv_heads", self.kv_heads, f"a divisor of the {self.heads} heads")
