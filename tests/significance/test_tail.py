"""The share of unrelated signals above a score, where the truth is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from pipeline.significance import Tail, null_of
from pipeline.significance.null import truncated_rate


def scores_near(count: int, rate: float, seed: int, at: float = 0.2) -> np.ndarray:
    """Draw scores whose distances 1 − score follow a power law: a share (d / (1 − at))^rate is nearer than d."""
    return (1 - (1 - at) * np.random.default_rng(seed).uniform(size=count) ** (1 / rate)).astype(np.float32)


def true_share(score: float, rate: float, at: float = 0.2) -> float:
    return float(((1 - score) / (1 - at)) ** rate)


def test_counts_where_there_are_enough_and_never_says_none() -> None:
    scores = scores_near(3000, 5, 1)
    tail = Tail.of(scores)
    for score in (-0.5, 0.2, 0.3, float(np.sort(scores)[-100])):
        share, low, high = tail.share(score)
        assert share == pytest.approx((1 + sum(one >= score for one in scores)) / 3001)
        assert low < share < high or share == high == 1
    assert 0 < tail.share(0.99999)[0] < 1e-12
    assert tail.share(1.0)[0] > 0


@pytest.mark.parametrize("rate", [3.0, 6.0, 12.0])
def test_extrapolates_a_power_law_and_its_interval_holds_the_truth(rate: float) -> None:
    held, ratios = 0, []
    score = 1 - 0.8 * 1e-6 ** (1 / rate)
    for seed in range(60):
        share, low, high = Tail.of(scores_near(6000, rate, seed)).share(score)
        held += low <= 1e-6 <= high
        ratios.append(share / true_share(score, rate))
    assert true_share(score, rate) == pytest.approx(1e-6)
    assert held >= 50  # an interval of 95 % holds 57 of 60 on average
    assert 0.5 < np.exp(np.mean(np.log(ratios))) < 2


def test_the_share_falls_with_the_score() -> None:
    tail = Tail.of(scores_near(500, 4, 3))
    shares = [tail.share(float(score))[0] for score in np.linspace(-1, 1, 400)]
    assert all(a >= b for a, b in pairwise(shares))


def test_the_truncated_rate_is_that_of_the_distribution_with_this_mean() -> None:
    for rate, room in ((0.5, 1.0), (4.0, 0.7), (20.0, 2.0)):
        mean = stats.truncexpon(b=rate * room, scale=1 / rate).mean()
        assert truncated_rate(mean, room) == pytest.approx(rate, rel=1e-5)


def test_a_corpus_like_the_simulation_changes_little_with_kin_or_without() -> None:
    simulated, corpus = scores_near(6000, 6, 1), scores_near(16_000, 6, 2)
    kin = np.random.default_rng(3).uniform(0.85, 0.98, 16_000).astype(np.float32)
    for with_kin in (corpus, np.concatenate([corpus, kin[:40]]), np.concatenate([corpus, kin])):
        assert 1 <= null_of(simulated, with_kin).excess < 1.3


def test_a_corpus_that_is_nearer_raises_the_share() -> None:
    simulated = scores_near(6000, 6, 1)
    nearer = scores_near(16_000, 6, 2, at=1 - 0.8 / 3 ** (1 / 6))  # three times as many are nearer than any distance
    null = null_of(simulated, nearer)
    assert null.excess == pytest.approx(3, rel=0.3)
    assert null.share(0.9)[0] == pytest.approx(min(1, null.excess * Tail.of(simulated).share(0.9)[0]))


def test_a_corpus_that_is_farther_or_small_changes_nothing() -> None:
    simulated = scores_near(6000, 6, 1)
    assert null_of(simulated, scores_near(16_000, 6, 2, at=0.0)).excess == 1
    assert null_of(simulated, scores_near(100, 6, 2, at=0.6)).excess == 1
    assert null_of(simulated, np.empty(0, np.float32)).excess == 1
