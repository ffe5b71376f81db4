"""Log-probabilities of given tokens: how likely a model finds a continuation of a prompt.

Pairs are scored a batch at a time, longest first, padded on the right: a causal model cannot see what stands behind, so
padding needs no mask. The output head, the largest tensor, is applied only where a token is scored, in slices.

Axes: B sequences, T tokens, W width, N scored tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from llm_dag.modeling.transformer import Transformer

SLICE = 4_096  # scored tokens whose logits are in memory together


@torch.inference_mode()
def log_likelihood(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[int]],
    batch: int = 16,
) -> list[list[float]]:
    """The natural log-probability of each token of each continuation, after its prompt and the tokens before it.

    A prompt is cut on the left where prompt and continuation pass the context by more than the last token (which is
    scored and not read).

    Raises:
        ValueError: an empty prompt, a continuation longer than the context, or unequal numbers of both.
    """
    context = model.shape.context
    rows = []
    for at, (prompt, continuation) in enumerate(zip(prompts, continuations, strict=True)):
        if not len(prompt) or len(continuation) > context:
            raise ValueError(
                f"pair {at}: a prompt of {len(prompt)} and a continuation of {len(continuation)} tokens; "
                f"wanted a prompt that is not empty and a continuation of at most {context}"
            )
        rows.append([*prompt, *continuation][-(context + 1) :])
    found: list[list[float]] = [[] for _ in rows]
    order = sorted((at for at in range(len(rows)) if len(continuations[at])), key=lambda at: -len(rows[at]))
    for first in range(0, len(order), batch):
        group = order[first : first + batch]
        scored = _scores(model, [rows[at] for at in group], [len(continuations[at]) for at in group])
        for at, scores in zip(group, scored, strict=True):
            found[at] = scores
    return found


def _scores(model: Transformer, rows: Sequence[Sequence[int]], counts: Sequence[int]) -> list[list[float]]:
    """The scores of the last `counts[i]` tokens of each row."""
    device = model.head_weight_VW.device
    longest = max(map(len, rows)) - 1
    tokens_BT = torch.tensor([[*row[:-1], *[0] * (longest + 1 - len(row))] for row in rows], device=device)
    hidden_BTW = model.hidden(tokens_BT)
    readers_NW = torch.cat(
        [
            hidden_BTW[at, len(row) - 1 - count : len(row) - 1]
            for at, (row, count) in enumerate(zip(rows, counts, strict=True))
        ]
    )
    targets_N = torch.tensor(
        [token for row, count in zip(rows, counts, strict=True) for token in row[len(row) - count :]]
    )
    scores_N = token_log_probabilities(model, readers_NW, targets_N.to(device))
    return [part.tolist() for part in torch.split(scores_N, list(counts))]


def token_log_probabilities(model: Transformer, hidden_NW: Tensor, targets_N: Tensor) -> Tensor:
    """log p(target) in float32 for each row of the normalised residual stream (`Transformer.hidden`)."""
    parts = [
        -F.cross_entropy(F.linear(hidden_nW, model.head_weight_VW).float(), targets_n.long(), reduction="none")
        for hidden_nW, targets_n in zip(torch.split(hidden_NW, SLICE), torch.split(targets_N, SLICE), strict=True)
    ]
    return torch.cat(parts)
