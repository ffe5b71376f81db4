"""How well a score ranks good texts above bad ones: the area under the ROC curve, with its interval.

The area is the share of (good, bad) pairs in which the good text has the higher score; ties count half. Its variance is
that of DeLong, DeLong and Clarke-Pearson (1988), from midranks (Sun and Xu 2014), and the interval is the normal one,
cut at 0 and 1. A score that says the same of every text, the majority's answer among them, has exactly one half.
Cost: three sorts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054  # of the normal distribution, 95 % lie within so many deviations

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value and its interval of 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def area(scores: Sequence[float], good: Sequence[bool]) -> Estimate:
    """The area under the ROC curve of `scores`. Raises ValueError with fewer than two texts on either side."""
    values, sides = np.asarray(scores, np.float64), np.asarray(good, np.bool_)
    above, below = values[sides], values[~sides]
    if min(len(above), len(below)) < 2:
        raise ValueError(f"{len(above)} good and {len(below)} bad texts; two of each are the fewest with an interval")
    ranks = _midranks(np.concatenate([above, below]))
    beaten = (ranks[: len(above)] - _midranks(above)) / len(below)  # of each good text: the share of bad ones under it
    beating = 1 - (ranks[len(above) :] - _midranks(below)) / len(above)  # of each bad text: of good ones above it
    spread = math.sqrt(beaten.var(ddof=1) / len(above) + beating.var(ddof=1) / len(below))
    return _within(float(beaten.mean()), spread)


def gain(right: Sequence[bool], baseline: Sequence[bool]) -> Estimate:
    """The accuracy of one judge minus that of another over the same texts. Raises ValueError for fewer than two."""
    differences = np.asarray(right, np.float64) - np.asarray(baseline, np.float64)
    if len(differences) < 2:
        raise ValueError(f"{len(differences)} texts; two are the fewest with an interval")
    return _within(float(differences.mean()), math.sqrt(differences.var(ddof=1) / len(differences)), -1.0)


def _within(value: float, spread: float, least: float = 0.0) -> Estimate:
    return Estimate(value, max(least, value - Z * spread), min(1.0, value + Z * spread))


def _midranks(values: Floats) -> Floats:
    """The rank of each value from 1; equal values share the mean of theirs."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    shared = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(shared[where.reshape(-1)], np.float64)
