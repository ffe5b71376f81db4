from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llm_dag.modeling.generation import uniforms
from llm_dag.modeling.sampling import Sampling, candidates, choose

PLAIN = Sampling(temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=1, seed=0)
DRAWS = 20_000

# The 99.9 % quantile of chi-squared, by degrees of freedom: what a right sampler passes on all but one seed in 1000.
CRITICAL = {1: 10.83, 2: 13.82, 4: 18.47, 9: 27.88}


def counted(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    numbers = torch.from_numpy(uniforms(sampling.seed, 5, DRAWS))
    drawn = choose(logits.expand(DRAWS, -1), sampling, numbers)
    return torch.bincount(drawn, minlength=logits.shape[-1]).double()


def chi_squared(counts: torch.Tensor, probabilities: torch.Tensor) -> float:
    expected = probabilities.double() * counts.sum()
    assert counts[expected == 0].sum() == 0
    inside = expected > 0
    return float(((counts - expected)[inside] ** 2 / expected[inside]).sum())


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (PLAIN, 10),
        (replace(PLAIN, temperature=0.5), 10),
        (replace(PLAIN, temperature=2.0), 10),
        (replace(PLAIN, top_k=5), 5),
        (replace(PLAIN, top_p=0.6), 3),
        (replace(PLAIN, top_k=5, top_p=0.7, temperature=0.8), 2),
    ],
)
def test_frequencies_are_the_probabilities(sampling: Sampling, kept: int) -> None:
    logits = torch.tensor([0.3, 2.0, -1.0, 1.5, 0.0, 1.0, -0.5, 0.7, -2.0, 0.2])
    scaled = logits / sampling.temperature
    order = scaled.argsort(descending=True)
    probabilities = torch.zeros(10)
    probabilities[order[:kept]] = scaled[order[:kept]].softmax(0)
    assert chi_squared(counted(logits, sampling), probabilities) < CRITICAL[kept - 1]


def test_temperature_zero_takes_the_most_probable() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, -math.inf, 4.0]])
    assert choose(logits, replace(PLAIN, temperature=0.0), torch.tensor([0.99, 0.99])).tolist() == [1, 0]


@given(
    logits=st.lists(st.sampled_from([-math.inf, -80.0, -1.0, 0.0, 2.0]), min_size=2, max_size=9),
    top_k=st.integers(0, 10),
    top_p=st.sampled_from([1e-6, 0.3, 0.9999, 1.0]),
    number=st.sampled_from([0.0, 0.3, 1 - 2**-24]),
)
def test_nothing_impossible_is_ever_chosen(logits: list[float], top_k: int, top_p: float, number: float) -> None:
    logits[0] = 1.0
    row = torch.tensor([logits])
    chosen = choose(row, replace(PLAIN, top_k=top_k, top_p=top_p), torch.tensor([number]))
    assert row[0, chosen[0]] > -math.inf


@given(st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=20), st.floats(0.01, 1.0))
def test_top_p_keeps_the_smallest_set_that_reaches_it(logits: list[float], top_p: float) -> None:
    probabilities, _ = candidates(torch.tensor([logits]), replace(PLAIN, top_p=top_p))
    kept = probabilities[0][probabilities[0] > 0].double()
    assert len(kept) == 1 or kept.sum() - kept.min() < top_p + 1e-6
    assert kept.sum() >= min(top_p, 1.0) - 1e-5


def test_uniforms_depend_on_seed_and_index_and_not_on_count() -> None:
    assert uniforms(1, 2, 5).tolist() == uniforms(1, 2, 9)[:5].tolist()
    assert len({uniforms(seed, at, 1)[0] for seed in (-1, 0, 1) for at in range(3)}) == 9
    assert uniforms(0, 0, 10_000).max() < 1
