"""Numbers expected by chance, compared with numbers that chance gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.significance import Background, background_of_scores, false_shares, verdict_on
from pipeline.significance.background import EDGES

from .test_tail import scores_near, true_share


def test_expected_is_the_number_searched_times_the_share() -> None:
    one = background_of_scores(50_000, [scores_near(6000, 6, 1)], [scores_near(16_000, 6, 2)])
    chance = one.chance_of(0.8)
    assert chance is not None
    assert chance.expected == pytest.approx(50_000 * true_share(0.8, 6), rel=0.5)
    assert chance.low < chance.expected < chance.high
    assert not chance.extrapolated  # of 6,000 signals, 1.5 score so well
    far = one.chance_of(0.95)
    assert far is not None
    assert far.extrapolated


def test_histograms_count_every_score_once() -> None:
    corpus = np.array([-1.0, 1.0, 0.005, 0.019, 0.5, *scores_near(300, 6, 1)], np.float32)
    one = background_of_scores(10, [scores_near(200, 6, 1)], [corpus])
    assert (sum(one.counts), sum(one.unrelated_counts)) == (len(corpus), 200)
    naive = np.histogram(corpus.astype(np.float64), EDGES)[0]
    assert list(one.counts) == naive.tolist()
    assert len(EDGES) == len(one.counts) + 1


def test_where_nothing_is_known_nothing_is_guessed() -> None:
    one = Background(100, reason="no signals")
    assert one.chance_of(0.9) is None
    assert one.chance_of_arranged({0: 0.9}) is None
    assert one.to_json()["reason"] == "no signals"


def test_places_that_match_by_chance_are_no_more_than_expected() -> None:
    """Windows of a place match independently, or all alike. Each place is one shift with its own four windows."""
    rng, count, windows = np.random.default_rng(5), 200_000, 4
    simulated = [scores_near(6000, 6, i) for i in range(windows)]
    one = background_of_scores(count, simulated, [np.empty(0, np.float32)] * windows)
    for alike in (0.0, 0.5, 1.0):
        uniform = np.where(rng.uniform(size=(count, 1)) < alike, rng.uniform(size=(count, 1)),
                           rng.uniform(size=(count, windows)))
        cosines = 1 - 0.8 * uniform ** (1 / 6)
        best = np.argsort(-np.sort(cosines, axis=1)[:, 1])[:400]
        chances = [one.chance_of_arranged(dict(enumerate(cosines[i].tolist()))) for i in best]
        realised = sum(chance is not None and chance.expected <= 30 for chance in chances)
        assert realised <= 30 + 3 * math.sqrt(30)
        assert realised > 5 or not alike  # with windows that match together, the bound is not far off


def test_a_place_that_matches_less_than_half_is_chance() -> None:
    one = background_of_scores(500, [scores_near(600, 6, i) for i in range(4)], [np.empty(0, np.float32)] * 4)
    lonely, pair = one.chance_of_arranged({2: 0.99}), one.chance_of_arranged({0: 0.99, 2: 0.99})
    assert lonely is not None
    assert pair is not None
    assert (lonely.expected, pair.expected < 0.01) == (500, True)


def test_false_shares_are_those_of_benjamini_and_hochberg() -> None:
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(size=50), rng.uniform(size=9) * 1e-3])
    expected = (p * len(p)).tolist()  # scipy's rule knows no other tests than those listed
    assert false_shares(expected) == pytest.approx(stats.false_discovery_control(p))
    assert false_shares([]) == []


@pytest.mark.parametrize(("expected", "words"), [
    ([1e-6, 1e-5, 0.02, 0.4, 0.9, 30], "3 convincing, 2 plausible; expected by chance 0.90"),
    ([0.001], "1 convincing, 0 plausible; expected by chance 0.0010"),
    ([0.2, 3.0], "0 convincing, 1 plausible; expected by chance 0.20"),
    ([1.2, 7.0], "nothing convincing: the best hit is as good as chance gives in 7 of 10 searches"),
    ([30.0], "nothing convincing: the best hit is as good as chance gives in nearly every search"),
])
def test_the_verdict_counts_in_words(expected: list[float], words: str) -> None:
    verdict = verdict_on(expected)
    assert str(verdict) == words
    assert verdict.to_json()["words"] == words


def test_many_hits_that_are_as_good_convince_together() -> None:
    assert verdict_on([0.3]).convincing == 0
    assert verdict_on([0.3] * 6).convincing == 6
    assert verdict_on([0.07]).convincing == 1
    assert verdict_on([0.09]).convincing == 0
    assert verdict_on([0.34] * 100).convincing == 100
    assert verdict_on([0.36] * 100).convincing == 0
    assert verdict_on([0.7] * 100).convincing == 0
