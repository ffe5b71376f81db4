"""Bootstrap intervals of ratios of sums, resampled by cluster.

Every score of the harness is a ratio of sums: bits per byte is bits over bytes, a mean is values over counts. What is
resampled, with replacement, is the cluster (a held-out document, the questions with one answer), because scores
within one are not independent; numerator and denominator of a cluster, and both sides of a paired difference, are drawn
together. Percentile intervals (Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13). Cost: resamples ×
clusters multiplications. Equal inputs and seed give equal bytes: no BLAS, whose sums depend on its threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
BLOCK = 4_000_000  # weights held at once; bounds the memory to some tens of megabytes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value, its interval of 95 % (None: a single cluster has none), and the number of clusters that it stands on."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Ratio:
    """Per observation: what is counted, and what it is counted over (bits and bytes; values and ones)."""

    numerators: Sequence[float]
    denominators: Sequence[float]


def mean_of(values: Sequence[float]) -> Ratio:
    """The ratio that is the mean of `values`."""
    return Ratio(values, [1.0] * len(values))


def interval(ratio: Ratio, clusters: Sequence[str], resamples: int, seed: int) -> Interval:
    """Sum of numerators over sum of denominators, with its interval.

    Raises:
        ValueError: no observations, lengths that differ, or denominators that sum to zero.
    """
    return _bootstrap([ratio], clusters, resamples, seed)


def paired_difference(first: Ratio, second: Ratio, clusters: Sequence[str], resamples: int, seed: int) -> Interval:
    """`first` minus `second`, both over the same observations, with the interval of the difference."""
    return _bootstrap([first, second], clusters, resamples, seed)


def _bootstrap(ratios: list[Ratio], clusters: Sequence[str], resamples: int, seed: int) -> Interval:
    names = sorted(set(clusters))
    if not names:
        raise ValueError("a bootstrap of no observations")
    sums = [_by_cluster(ratio, clusters, names) for ratio in ratios]
    value = _difference([float(over.sum()) / _positive(float(under.sum())) for over, under in sums])
    if len(names) == 1:  # one cluster resampled is itself
        return Interval(value, None, None, 1)
    drawn = np.sort(_resample(sums, resamples, seed))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, float(low), float(high), len(names))


def _resample(sums: list[tuple[Floats, Floats]], resamples: int, seed: int) -> Floats:
    count = len(sums[0][0])
    random = np.random.Generator(np.random.PCG64(seed))
    even = np.full(count, 1 / count)
    drawn: list[Floats] = []
    done = 0
    while done < resamples:
        rows = min(resamples - done, max(1, BLOCK // count))
        weights = random.multinomial(count, even, size=rows)
        values = []
        for over, under in sums:
            below = (weights * under).sum(axis=1)
            # Clusters without a denominator can be drawn alone; such a draw says nothing.
            values.append(np.divide((weights * over).sum(axis=1), below, out=np.full(rows, np.nan), where=below > 0))
        drawn.append(values[0] if len(values) == 1 else values[0] - values[1])
        done += rows
    joined = np.concatenate(drawn)
    return joined[~np.isnan(joined)]


def _by_cluster(ratio: Ratio, clusters: Sequence[str], names: list[str]) -> tuple[Floats, Floats]:
    if not len(ratio.numerators) == len(ratio.denominators) == len(clusters):
        raise ValueError(
            f"{len(ratio.numerators)} numerators, {len(ratio.denominators)} denominators, {len(clusters)} clusters:"
            " as many of each are wanted"
        )
    index = {name: at for at, name in enumerate(names)}
    at = [index[cluster] for cluster in clusters]
    over = np.bincount(at, weights=np.asarray(ratio.numerators, np.float64), minlength=len(names))
    under = np.bincount(at, weights=np.asarray(ratio.denominators, np.float64), minlength=len(names))
    return over.astype(np.float64), under.astype(np.float64)


def _difference(values: list[float]) -> float:
    return values[0] if len(values) == 1 else values[0] - values[1]


def _positive(total: float) -> float:
    if total <= 0:
        raise ValueError(f"the denominators sum to {total}; more than zero is wanted")
    return total
