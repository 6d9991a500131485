"""Box sums: equal to naive ones, whatever lies beside a window."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pipeline.flat import Flat
from pipeline.gate import Statistics, measure
from pipeline.model import WindowGrid
from tests.gate_signals import FALSE_ALARM, Power, measured, noise


def tree_path(level: int, drift: int) -> list[int]:
    """Taylor's integer path of 2^level spectra from column 0 to ``drift``: both halves drift by half of it."""
    if level == 0:
        return [0]
    half = tree_path(level - 1, drift // 2)
    return half + [(drift + 1) // 2 + step for step in half]


def naive_best(window: Power, n: float) -> tuple[float, int, int]:
    """Largest box sum in sigmas and the box: every width, duration, drift, group of spectra and column."""
    spectra, channels = window.shape
    values = np.where(window > 0, window - 1.0, 0.0).astype(float)
    best = (0.0, 1, 1)
    for width in [w for w in (1, 4, 16, 64, 256) if w <= channels]:
        columns = channels // width
        boxes = values[:, : columns * width].reshape(spectra, columns, width).sum(axis=2)
        level = 0
        while 2 ** max(level - 1, 0) < spectra or level == 0:
            size = 2**level
            sigma = np.sqrt(width * min(size, spectra) / n)
            for drift in range(size):
                for sign in (-1, 1):
                    path = [sign * step for step in tree_path(level, drift)]
                    for group in range(0, spectra, size):
                        for column in range(columns):
                            total = sum(
                                boxes[group + t, column + step] for t, step in enumerate(path)
                                if group + t < spectra and 0 <= column + step < columns
                            )
                            best = max(best, (total / sigma, width, min(size, spectra)))
            level += 1
    return best


SHAPES = [(256, 16), (100, 12), (8, 3), (1, 1), (1, 16), (5, 1), (16, 2), (37, 9), (64, 17), (300, 5)]


@pytest.mark.processor
@pytest.mark.parametrize(("channels", "spectra"), SHAPES)
def test_box_sums_are_those_of_a_naive_loop(channels: int, spectra: int) -> None:
    grid = WindowGrid(channels, channels, spectra)
    power = noise(4, spectra, 3 * channels, seed=channels)
    power[spectra // 2, channels // 3 : channels // 2] = 0  # masked
    power[:, channels : channels + 3] += 0.7  # a line at the edge of the second window
    stats = measured(power, grid, 4)

    for k in range(3):
        sigmas, width, duration = naive_best(power[:, k * channels : (k + 1) * channels], 4)
        assert stats.snr[k] == pytest.approx(sigmas, rel=2e-5)
        assert (stats.best_width[k], stats.best_duration[k]) == (width, duration)


def test_windows_do_not_see_their_neighbours() -> None:
    grid = WindowGrid(64, 40, 16)
    power = noise(102, 16, 4000)
    power[:, ::97] *= 5
    together = measured(power, grid)

    for k, start in enumerate(range(0, 4000 - 64 + 1, 40)):
        alone = measured(power[:, start : start + 64].copy(), grid)
        for name in Statistics.__dataclass_fields__:
            assert_array_equal(getattr(alone, name)[0], getattr(together, name)[k], err_msg=name)


def test_order_and_overlap_of_windows_do_not_matter() -> None:
    power, grid = noise(102, 16, 8192), WindowGrid()
    starts = np.random.default_rng(2).permutation(np.arange(0, 8192 - 256, 100))
    there, back = (measure(Flat.of_level(power, 102), s, grid, FALSE_ALARM) for s in (starts, starts[::-1].copy()))

    assert_array_equal(there.snr, back.snr[::-1])
    assert_array_equal(there.excess, back.excess[::-1])
