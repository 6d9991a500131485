"""Tracks of simulated lines, compared with the lines that were drawn, and sums compared with plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.search.off_power import FALSE_PROBABILITY, _threshold
from pipeline.search.tracks import Box, Tracks, find_tracks, strongest_near, sums_along

SPECTRA, CHANNELS = 16, 768


def line(rng: np.random.Generator, middle: float, slope: float, bend: float, strength: float) -> np.ndarray:
    """Return noise with a line of one channel."""
    times = np.arange(SPECTRA) - (SPECTRA - 1) / 2
    excess = rng.normal(size=(SPECTRA, CHANNELS))
    excess[np.arange(SPECTRA), np.rint(middle + slope * times + bend * times**2 / 2).astype(int)] += strength
    return excess


@pytest.mark.parametrize("box", [Box(1, 16), Box(4, 8), Box(5, 3)])
def test_sums_are_those_of_a_plain_loop(box: Box) -> None:
    excess = np.random.default_rng(1).normal(size=(SPECTRA, 60))
    slope, bend = 1.3, -0.07
    found = sums_along(excess, slope, bend, 5, 50, box)
    times = np.arange(SPECTRA) - 7.5
    for k, first in enumerate(range(5, 50)):
        best = -np.inf
        for begin in range(0, SPECTRA, box.spectra):
            total = 0.0
            for i in range(begin, min(begin + box.spectra, SPECTRA)):
                low = first + int(np.rint(slope * times[i] + bend * times[i] ** 2 / 2)) - box.width // 2
                total += sum(excess[i, c] for c in range(low, low + box.width) if 0 <= c < 60)
            best = max(best, total / np.sqrt(box.width * box.spectra))
        assert found[k] == pytest.approx(best)


@pytest.mark.parametrize(("slope", "bend"), [(0.0, 0.0), (-0.6, 0.0), (3.0, 0.0), (0.4, 0.05), (-1.2, -0.06)])
@pytest.mark.parametrize("strength", [2.0, 5.0])
def test_a_line_is_expected_where_it_will_be(slope: float, bend: float, strength: float) -> None:
    rng = np.random.default_rng(2)
    for _ in range(3):
        found = find_tracks(line(rng, 384, slope, bend, strength), 256, 512, Box(1, 16))
        assert found.snr == pytest.approx(4 * strength, abs=3.5)
        later = found.later(18)
        true = 384 + slope * 18 + bend * 18**2 / 2
        margin = 2 + 0.5 + 18 / 15  # as with_power searches
        assert later.middle.min() - margin <= true <= later.middle.max() + margin
        assert np.ptp(later.middle) < 60


def test_noise_reaches_the_threshold_as_rarely_as_it_should() -> None:
    rng = np.random.default_rng(3)
    tracks = Tracks(Box(1, 16), 20.0, np.array([380.0, 388.0]), np.array([-0.4, 0.4]), np.array([0.0, 0.02]))
    found = [strongest_near(rng.normal(size=(SPECTRA, CHANNELS)), tracks, 3, 256) for _ in range(200)]
    threshold = _threshold(tracks.box, 1e6, found[0].sums)
    assert threshold == pytest.approx(norm.isf(FALSE_PROBABILITY / found[0].sums), abs=0.05)
    assert sum(one.snr >= threshold for one in found) <= 3
    lower = _threshold(tracks.box, 1e6, found[0].sums / 100)  # noise does reach this one
    assert sum(one.snr >= lower for one in found) >= 2


def test_what_is_not_searched_is_said() -> None:
    excess = np.random.default_rng(4).normal(size=(SPECTRA, CHANNELS))

    def searched(middle: list[float], reach: float = 256, **masked: slice) -> bool:
        seen = excess.copy()
        if masked:
            seen[:, masked["channels"]] = np.nan
        return strongest_near(seen, Tracks(Box(1, 16), 9.0, np.array(middle), np.zeros(len(middle)),
                                           np.zeros(len(middle))), 2, reach).is_whole

    assert searched([384.0])
    assert not searched([1.0]), "it may lie below the first channel"
    assert not searched([100.0, 700.0]), "it may lie farther away than is searched"
    assert not searched([384.0], channels=slice(380, 386)), "its place is masked"
    assert not searched([-500.0])
