"""The tokenizer, and the arrays of token ids made with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, one_of, within

PATTERNS = ("gpt2", "cl100k", "o200k")
SMALLEST = 256 + 5 + 1  # every byte, the special tokens, one merge
DTYPES = ("auto", "uint16", "uint32")
LARGEST = 2**31  # token ids are stored in at most 32 bits


@dataclass
class Tokenizer:
    """Byte-level BPE, trained on documents of the train split."""

    dumps: list[str] = field(default_factory=list)  # whose documents; a new dump joins only when it is named here
    vocab_size: int = MISSING  # tokens, the five special ones included
    pattern: str = MISSING  # of pre-tokenization: how text is cut before merging: gpt2, cl100k, o200k
    sample_bytes: int = MISSING  # at most so much text is read for training (and again for the held-out measure)

    def problems(self) -> Iterator[Problem]:
        yield from at_least("dumps", len(self.dumps), 1)
        yield from within("vocab_size", self.vocab_size, SMALLEST, LARGEST)
        yield from one_of("pattern", self.pattern, PATTERNS)
        yield from at_least("sample_bytes", self.sample_bytes, 1)


@dataclass
class Tokens:
    """Arrays of token ids."""

    dtype: str = MISSING  # auto (the narrowest that holds the vocabulary), uint16, uint32

    def problems(self) -> Iterator[Problem]:
        yield from one_of("dtype", self.dtype, DTYPES)
