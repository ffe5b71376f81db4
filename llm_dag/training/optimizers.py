"""Optimizers and the learning rate over a run.

AdamW (Loshchilov & Hutter 2019) for everything, or Muon (Jordan et al. 2024) for the matrices inside the layers with
AdamW for embedding, head and norms. Muon's orthogonal updates are scaled to the root mean square that AdamW's have
(Liu et al. 2025), so one learning rate and one weight decay serve both.
"""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from llm_dag.config.optimisation import Optimisation

BETAS = (0.9, 0.95)  # a second moment over some twenty steps: short runs have no time for 0.999


def make_optimizers(model: nn.Module, node: Optimisation) -> list[Optimizer]:
    """The optimizers of a model; every parameter belongs to exactly one."""
    hidden, matrices, vectors = [], [], []
    for name, weight in model.named_parameters():
        if weight.dim() < 2:
            vectors.append(weight)
        elif ".layers." in name and node.optimizer == "muon":
            hidden.append(weight)
        else:
            matrices.append(weight)
    groups = [
        {"params": matrices, "weight_decay": node.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    rest = AdamW(groups, lr=node.learning_rate, betas=BETAS, fused=True)
    if node.optimizer == "adamw":
        return [rest]
    muon = Muon(hidden, lr=node.learning_rate, weight_decay=node.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, rest]


def learning_rate(node: Optimisation, step: int, steps: int) -> float:
    """The rate of step `step` (from 0): a rise over `warmup · steps`, a plateau, a fall over `decay · steps`.

    The first step has a rate above zero, and so has the last (Hu et al. 2024, warm-up, stable, decay).
    """
    rising = min(1.0, (step + 1) / max(1.0, node.warmup * steps))
    falling = min(1.0, (steps - step) / max(1.0, node.decay * steps))
    return node.learning_rate * min(rising, falling)
