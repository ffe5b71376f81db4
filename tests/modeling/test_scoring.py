from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from llm_dag.modeling import scoring
from llm_dag.modeling.scoring import log_likelihood
from llm_dag.modeling.transformer import Transformer


@pytest.fixture(scope="module")
def model(make: Callable[..., Transformer]) -> Transformer:
    return make()


def pairs(model: Transformer, lengths: list[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    draw = random.Random(1)
    made = [[[draw.randrange(model.shape.vocab_size) for _ in range(length)] for length in both] for both in lengths]
    return [pair[0] for pair in made], [pair[1] for pair in made]


def one(model: Transformer, prompt: list[int], continuation: list[int]) -> list[float]:
    """Straight from the definition: one pass over one sequence."""
    whole = [*prompt, *continuation][-(model.shape.context + 1) :]
    with torch.no_grad():
        logprobs_TV = model(torch.tensor([whole[:-1]]))[0].log_softmax(-1)
    first = len(whole) - 1 - len(continuation)
    return [float(logprobs_TV[first + at, token]) for at, token in enumerate(continuation)]


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_scores_are_those_of_each_pair_alone(model: Transformer, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "SLICE", 7)
    lengths = [(3, 5), (1, 1), (20, 9), (40, 20), (1, 48), (90, 3), (2, 0), (1, 0), (5, 5)]
    prompts, continuations = pairs(model, lengths)
    found = log_likelihood(model, prompts, continuations, batch)
    assert [len(scores) for scores in found] == [length for _, length in lengths]
    for prompt, continuation, scores in zip(prompts, continuations, found, strict=True):
        wanted = one(model, prompt, continuation) if continuation else []
        assert scores == pytest.approx(wanted, abs=1e-5)


def test_nothing_to_score(model: Transformer) -> None:
    assert log_likelihood(model, [], []) == []
    assert log_likelihood(model, [[1], [1, 2]], [[], []]) == [[], []]


@pytest.mark.parametrize(("prompt", "continuation"), [(0, 3), (3, 49)])
def test_what_cannot_be_scored_is_refused(model: Transformer, prompt: int, continuation: int) -> None:
    with pytest.raises(ValueError, match=f"pair 1: a prompt of {prompt} and a continuation of {continuation}"):
        log_likelihood(model, *pairs(model, [(2, 2), (prompt, continuation)]))
    with pytest.raises(ValueError, match="zip"):
        log_likelihood(model, [[1]], [])
