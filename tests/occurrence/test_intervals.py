"""Intervals of rates and shares, compared with sums over all possible counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, poisson

from pipeline.occurrence import rate_interval, share_interval


@pytest.mark.parametrize("count", [0, 1, 5, 50])
def test_the_ends_of_a_rate_leave_a_fortieth_to_each_side(count: int) -> None:
    low, high = rate_interval(count, 4.0)
    assert poisson.cdf(count, 4 * high) == pytest.approx(0.025)
    if count:
        assert poisson.sf(count - 1, 4 * low) == pytest.approx(0.025)
    else:
        assert low == 0


def test_intervals_of_rates_cover_every_true_mean_at_least_as_often_as_they_say() -> None:
    counts = np.arange(260)
    low, high = np.array([rate_interval(int(count), 1.0) for count in counts]).T
    means = np.concatenate([np.geomspace(0.01, 10, 400), np.geomspace(10, 150, 1000)])
    covered = np.array([poisson.pmf(counts, mean)[(low <= mean) & (mean <= high)].sum() for mean in means])
    assert covered.min() >= 0.95
    assert covered[means >= 10].max() <= 0.98


@pytest.mark.parametrize("total", [5, 20, 100])
def test_intervals_of_shares_cover_every_true_share_at_least_as_often_as_they_say(total: int) -> None:
    counts = np.arange(total + 1)
    low, high = np.array([share_interval(int(count), total) for count in counts]).T
    shares = np.linspace(0.005, 0.995, 199)
    covered = [binom.pmf(counts, total, share)[(low <= share) & (share <= high)].sum() for share in shares]
    assert min(covered) >= 0.95
    assert binom.cdf(counts[:-1], total, high[:-1]) == pytest.approx(0.025)
    assert binom.sf(counts[1:] - 1, total, low[1:]) == pytest.approx(0.025)
    assert share_interval(0, total)[0] == 0
    assert share_interval(total, total)[1] == 1
