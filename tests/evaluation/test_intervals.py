"""Bootstrap intervals cover what they claim to, and repeat."""

from __future__ import annotations

import numpy as np
import pytest

from llm_dag.evaluation.intervals import Ratio, interval, mean_of, paired_difference


def test_value_is_the_ratio_of_the_sums() -> None:
    found = interval(Ratio([2.0, 4.0, 6.0], [1.0, 1.0, 4.0]), ["a", "b", "c"], resamples=200, seed=1)
    assert found.value == pytest.approx(2.0)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert found.n == 3


def test_interval_of_a_mean_covers_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(7)
    covered = 0
    for trial in range(200):
        values = random.normal(3.0, 2.0, size=60)
        found = interval(mean_of(list(values)), [str(at) for at in range(60)], resamples=400, seed=trial)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 3.0 <= found.high
    assert 180 <= covered <= 199


def test_clusters_are_drawn_whole() -> None:
    """Twenty copies of an observation are worth one: the interval must not shrink with copies in the same cluster."""
    random = np.random.default_rng(3)
    values = list(random.normal(size=40))
    names = [str(at) for at in range(40)]
    single = interval(mean_of(values), names, resamples=500, seed=5)
    copied = interval(mean_of(values * 20), names * 20, resamples=500, seed=5)
    assert copied.low == pytest.approx(single.low)
    assert copied.high == pytest.approx(single.high)


def test_paired_difference_knows_what_both_sides_share() -> None:
    random = np.random.default_rng(11)
    difficulty = random.normal(5.0, 3.0, size=80)
    before = list(difficulty + 0.5 + random.normal(0, 0.1, size=80))
    after = list(difficulty)
    names = [str(at) for at in range(80)]
    found = paired_difference(mean_of(before), mean_of(after), names, resamples=500, seed=2)
    assert found.value == pytest.approx(0.5, abs=0.05)
    assert found.low is not None
    assert found.low > 0.4


def test_same_seed_same_interval_and_order_of_observations_does_not_matter() -> None:
    ratio = Ratio([1.0, 5.0, 2.0, 8.0], [1.0, 2.0, 1.0, 2.0])
    names = ["b", "a", "b", "c"]
    first = interval(ratio, names, resamples=300, seed=9)
    assert first == interval(ratio, names, resamples=300, seed=9)
    turned = Ratio(list(reversed(ratio.numerators)), list(reversed(ratio.denominators)))
    assert interval(turned, names[::-1], resamples=300, seed=9) == first


def test_one_cluster_has_a_value_and_no_interval() -> None:
    found = interval(mean_of([1.0, 3.0]), ["only", "only"], resamples=100, seed=1)
    assert (found.value, found.low, found.high, found.n) == (2.0, None, None, 1)


@pytest.mark.parametrize(
    ("ratio", "names"),
    [(Ratio([], []), []), (Ratio([1.0], [1.0, 2.0]), ["a"]), (Ratio([1.0], [0.0]), ["a"])],
)
def test_impossible_inputs_are_refused(ratio: Ratio, names: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\d|no observations"):
        interval(ratio, names, resamples=10, seed=1)
