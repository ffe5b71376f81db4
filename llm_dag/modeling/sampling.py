"""Choose the next token from logits: temperature, top-k, top-p, in this order.

A draw is the inverse of the cumulative distribution at a given uniform number. So what a sequence says depends on its
own numbers alone, not on the sequences beside it in the batch nor on the device's generator. Cost: a partial sort of
`top_k`, a full sort where only `top_p` cuts, none otherwise.

Axes: B sequences, V vocabulary, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, and how many are asked for."""

    temperature: float  # logits are divided by it; 0: always the most probable token
    top_k: int  # only so many most probable tokens; 0: all
    top_p: float  # only the most probable tokens that together reach this probability; 1: all
    max_new_tokens: int  # at most so many tokens
    seed: int  # fixes every draw


def choose(logits_BV: Tensor, sampling: Sampling, uniforms_B: Tensor) -> Tensor:
    """The chosen ids (B) of float logits; -inf is never chosen. `uniforms_B` in [0, 1), of float32 precision."""
    if sampling.temperature == 0:
        return logits_BV.argmax(dim=-1)
    probabilities_BK, ids_BK = candidates(logits_BV, sampling)
    cumulative_BK = probabilities_BK.double().cumsum(dim=-1)
    # A float32 uniform is at most 1 - 2^-24: times the total, in float64, it stays under the total.
    targets_B1 = uniforms_B.double()[:, None] * cumulative_BK[:, -1:]
    at_B1 = torch.searchsorted(cumulative_BK, targets_B1, right=True)
    return at_B1[:, 0] if ids_BK is None else ids_BK.gather(1, at_B1)[:, 0]


def candidates(logits_BV: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor | None]:
    """Unnormalised probabilities BK of the tokens that may be drawn, and their ids (None: K is V, in id order).

    Top-p keeps the smallest set of most probable tokens that reaches `top_p` of what top-k left.
    """
    scaled_BV = logits_BV / sampling.temperature
    ids_BK = None
    if 0 < sampling.top_k < scaled_BV.shape[-1]:
        scaled_BV, ids_BK = scaled_BV.topk(sampling.top_k, dim=-1)
    elif sampling.top_p < 1:
        scaled_BV, ids_BK = scaled_BV.sort(dim=-1, descending=True, stable=True)
    probabilities_BK = scaled_BV.softmax(dim=-1)
    if sampling.top_p < 1:
        before_BK = probabilities_BK.cumsum(dim=-1) - probabilities_BK
        probabilities_BK = probabilities_BK.masked_fill(before_BK >= sampling.top_p, 0.0)
    return probabilities_BK, ids_BK
