"""How much is evaluated, what the gates want, and how the report card looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import MISSING

from llm_dag.config.fields import Problem, at_least, gate, path, within


@dataclass
class Harness:
    """The evaluations of the base model and the SFT model."""

    seed: int = MISSING  # chooses documents and questions, draws bootstrap samples and dreams
    heldout_bytes: int = MISSING  # at most so much held-out text is compressed
    window: int = MISSING  # tokens that the model reads at once while it compresses: as many as it was trained on
    prime_bytes: int = MISSING  # at most so much training text primes xz; xz takes some 25 bytes of memory for each
    questions: int = MISSING  # at most so many held-out questions, and as many arithmetic problems
    taught_questions: int = MISSING  # at most so many questions of the SFT data, asked for comparison
    asked: list[str] = field(default_factory=list)  # questions that are always asked and shown
    answer_tokens: int = MISSING  # the longest answer
    resamples: int = MISSING  # bootstrap samples of each interval
    dreams: int = MISSING  # samples of the base model from nothing
    dream_prompts: list[str] = field(default_factory=list)  # beginnings that the base model continues
    dream_tokens: int = MISSING  # the longest dream
    temperature: float = MISSING  # of dreams; answers are greedy
    top_p: float = MISSING  # dreams draw from the likeliest tokens that have this probability together
    max_ratio_to_xz: float = gate()  # bits per byte of the base model over those of xz alone
    min_answer_gain: float = gate()  # bits per byte of answers that SFT must save, at the interval's lower end

    def problems(self) -> Iterator[Problem]:
        yield from at_least("heldout_bytes", self.heldout_bytes, 1)
        yield from at_least("window", self.window, 4)
        yield from within("prime_bytes", self.prime_bytes, 1, 1 << 30)
        yield from at_least("questions", self.questions, 1)
        yield from at_least("taught_questions", self.taught_questions, 0)
        yield from at_least("answer_tokens", self.answer_tokens, 1)
        yield from at_least("resamples", self.resamples, 100)
        yield from at_least("dreams", self.dreams, 0)
        yield from at_least("dream_tokens", self.dream_tokens, 1)
        yield from within("temperature", self.temperature, 0.01, 10.0)
        yield from within("top_p", self.top_p, 0.01, 1.0)
        yield from within("max_ratio_to_xz", self.max_ratio_to_xz, 0.01, 100.0)


@dataclass
class Report:
    """The report card."""

    template: str = path()  # Jinja template of the page
    title: str = MISSING  # of the page
    samples: int = MISSING  # answers of each label, and dreams, that the page shows

    def problems(self) -> Iterator[Problem]:
        yield from at_least("samples", self.samples, 1)


@dataclass
class Evaluation:
    """What is measured, and the page that shows it."""

    harness: Harness = field(default_factory=Harness)
    report: Report = field(default_factory=Report)
