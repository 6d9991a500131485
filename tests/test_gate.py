"""The gate: box sums equal to naive ones, noise let through at the promised rate, signals let through always."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.stats import gamma, poisson

from pipeline.baseline import flatten
from pipeline.flat import Flat
from pipeline.gate import EXCESS_PROBABILITY, MOST_MASKED, Statistics, measure, thresholds
from pipeline.model import WindowGrid
from tests.gate_signals import FALSE_ALARM, FAMILIES, Family, measured, noise, windows_with

Power = NDArray[np.float32]
CHANCE = 1e-4
"""Each statistical test would fail by chance this often, were its seed not fixed."""


@pytest.mark.parametrize("n", [4, 102, 255])
def test_excess_adds_up_how_improbable_pixels_are(n: float) -> None:
    power = noise(n, 16, 64 * 256)
    power[3, ::200] *= 3
    p = gamma.sf(power.astype(float), n, scale=1 / n)
    each = np.where(p < EXCESS_PROBABILITY, np.log(EXCESS_PROBABILITY) - np.log(np.maximum(p, 1e-150)), 0)
    expected = each.reshape(16, 64, 256).sum(axis=(0, 2))

    assert_allclose(measured(power, WindowGrid(), n).excess, expected, rtol=0.01, atol=0.05)


# -------------------------------------------------------------------------------------------------------- statistics

def empty(spectra: int = 16, channels: int = 256) -> Power:
    return np.ones((spectra, channels), np.float32)


@pytest.mark.parametrize(("region", "width", "duration"), [
    (np.s_[5:6, 9:10], 1, 1), (np.s_[0:16, 77:78], 1, 16), (np.s_[8:12, 255:256], 1, 4), (np.s_[0:8, 4:8], 4, 8),
    (np.s_[4:5, 0:256], 256, 1), (np.s_[0:16, 64:128], 64, 16), (np.s_[2:4, 16:32], 16, 2),
])
def test_best_box_is_the_signals_own(region: tuple[slice, slice], width: int, duration: int) -> None:
    power = empty()
    power[region] += 0.5
    stats = measured(power, WindowGrid())

    assert (stats.best_width[0], stats.best_duration[0]) == (width, duration)
    assert stats.snr[0] == pytest.approx(0.5 * np.sqrt(102 * width * duration), rel=1e-4)


def test_masked_pixels_are_counted_and_weigh_nothing() -> None:
    power = empty()
    power[2, 10:20] = 0
    stats = measured(power, WindowGrid())

    assert (stats.masked[0], stats.snr[0], stats.excess[0], stats.keep[0]) == (10, 0, 0, False)


def test_a_window_masked_for_the_most_part_is_not_searched() -> None:
    most = int(MOST_MASKED * 16 * 256)
    power = np.concatenate([empty(), empty()], axis=1)
    power[:, [5, 261]] = 100
    for k, count in enumerate([most, most + 1]):
        window = power[:, 256 * k : 256 * (k + 1)]
        rows, columns = np.nonzero(window == 1)
        window[rows[:count], columns[:count]] = 0
    stats = measured(power, WindowGrid())

    assert_array_equal(stats.masked, [most, most + 1])
    assert_array_equal(stats.searchable, [True, False])
    assert_array_equal(stats.keep, [True, False])


@pytest.mark.parametrize("power", [np.zeros((16, 512), np.float32), empty(channels=512)])
def test_nothing_is_no_signal(power: Power) -> None:
    stats = measured(power, WindowGrid())
    assert not stats.keep.any()
    assert_array_equal(stats.snr, 0)


def test_an_enormous_pixel() -> None:
    power = empty()
    power[4, 4] = 1e30
    stats = measured(power, WindowGrid())

    assert stats.keep[0]
    assert np.isfinite(stats.snr[0])
    assert np.isfinite(stats.excess[0])


def test_no_windows() -> None:
    stats = measure(Flat.of_level(empty(), 102), np.zeros(0, np.int64), WindowGrid(), FALSE_ALARM)
    assert all(len(getattr(stats, name)) == 0 for name in Statistics.__dataclass_fields__)


# ------------------------------------------------------------------------------------------------------ false alarms

def expect_rate(alarms: int, windows: int, rate: float, factor: float = 1.0) -> None:
    """Assert a Poisson count that lies within ``factor`` of the rate, but for a chance of :data:`CHANCE`."""
    low = poisson.ppf(CHANCE / 2, windows * rate / factor)
    high = poisson.isf(CHANCE / 2, windows * rate * factor)
    assert low <= alarms <= high, f"{alarms} of {windows} windows of noise pass, {windows * rate:g} should"


@lru_cache(maxsize=1)
def noise_alarms() -> dict[tuple[float, float], int]:
    """Count false alarms by (N, rate promised): 12,288 windows a count."""
    counts: dict[tuple[float, float], int] = {}
    for n in (4.0, 102.0, 255.0):
        for seed in range(3):
            power = noise(n, 16, 4096 * 256, seed)
            for rate in (1e-3, 1e-2):
                counts[n, rate] = counts.get((n, rate), 0) + int(measured(power, WindowGrid(), n, rate).keep.sum())
    return counts


@pytest.mark.processor
@pytest.mark.parametrize("rate", [1e-3, 1e-2])
@pytest.mark.parametrize("n", [4, 102, 255])
def test_pure_noise_passes_at_the_promised_rate(n: float, rate: float) -> None:
    expect_rate(noise_alarms()[n, rate], 12_288, rate)


def test_pure_noise_passes_at_the_promised_rate_all_together() -> None:
    expect_rate(sum(noise_alarms()[n, 1e-3] for n in (4, 102, 255)), 36_864, 1e-3)


@pytest.mark.parametrize(("channels", "spectra"), [(128, 16), (512, 32), (256, 8), (100, 12), (1024, 16), (32, 16)])
def test_windows_of_other_shapes(channels: int, spectra: int) -> None:
    windows = 2**24 // (channels * spectra)
    power = noise(102, spectra, windows * channels)
    alarms = int(measured(power, WindowGrid(channels, channels, spectra), 102, 1e-2).keep.sum())

    expect_rate(alarms, windows, 1e-2, factor=1.5)


@pytest.mark.parametrize("false_alarm", [0.05, 0.3, 0.49])
@pytest.mark.parametrize(("channels", "spectra"), [(8, 3), (1, 1), (2, 2)])
def test_tiny_windows_do_not_all_pass(channels: int, spectra: int, false_alarm: float) -> None:
    power = noise(102, spectra, 4000 * channels)
    kept = measured(power, WindowGrid(channels, channels, spectra), 102, false_alarm).keep.mean()

    assert 0.3 * false_alarm < kept < 1.5 * false_alarm


def test_thresholds_rise_with_fewer_false_alarms() -> None:
    strict, loose = thresholds(102, 256, 16, 1e-5), thresholds(102, 256, 16, 1e-2)
    assert (strict.sigmas > loose.sigmas).all()
    assert strict.excess > loose.excess


# --------------------------------------------------------------------------------------------------- the whole path

COARSE = 2**20
BAND = (1 - 0.8 * np.clip((np.abs(np.linspace(-1, 1, COARSE)) - 5 / 6) * 6, 0, 1) ** 1.5).astype(np.float32)


def kept_of(power: Power, n: float) -> NDArray[np.bool_]:
    flat = flatten(power, nominal=n, has_dc_spike=True)
    return measured(flat.power, WindowGrid(), flat.noise_spectra).keep


@pytest.mark.parametrize("n", [4, 102, 255])
def test_band_edges_dc_spike_and_row_gains_raise_no_alarms(n: float) -> None:
    gains = 1 + np.array([0, 0, 0.3, 0.3, 0, 0, 1, 0, -0.2, 0, 0, 0.05, 0, 0, 0, 0], np.float32)
    power = noise(n, 16, COARSE, seed=8) * gains[:, None] * BAND * np.float32(1e9)
    power[:, COARSE // 2] *= 50
    kept = kept_of(power, n)

    expect_rate(int(kept.sum()), 4096, FALSE_ALARM, factor=1.5)
    edges = np.r_[kept[:350], kept[-350:]]
    assert edges.mean() <= 0.01
    assert not kept[2047:2049].any()


@pytest.mark.parametrize("strength", [1.1, 1.5, 3, 100, 1e6])
def test_dc_spikes_of_any_strength_raise_no_alarms(strength: float) -> None:
    kept = []
    for seed, mirror in enumerate([False, True] * 10):
        power = noise(102, 16, 2**14, seed)
        power[:, 2**13 - mirror] *= np.float32(strength)
        kept += list(kept_of(power, 102)[31:33])

    assert sum(kept) <= 1  # of 40: chance alone gives one in 25 runs


def test_one_strong_line_raises_no_storm() -> None:
    power = noise(102, 16, COARSE, seed=5) * BAND
    power[[3, 4, 5, 11]] *= np.array([2, 1.7, 0.8, 1.05], np.float32)[:, None]
    power[[3, 4, 5, 11], 400_000:403_000] *= 1e4
    kept = kept_of(power, 102)

    line = slice(400_000 // 256, 403_000 // 256 + 1)
    assert kept[line].all()
    kept[line] = False
    expect_rate(int(kept.sum()), 4084, FALSE_ALARM, factor=1.5)


def test_a_header_that_is_wrong_about_the_noise_raises_no_storm() -> None:
    power = noise(92, 16, COARSE, seed=6)  # 5 % more spread than 102 spectra have
    flat = flatten(power, nominal=102, has_dc_spike=False)

    expect_rate(int(measured(flat.power, WindowGrid(), flat.noise_spectra).keep.sum()), 4096, FALSE_ALARM, factor=1.5)


# ------------------------------------------------------------------------------------------------------- sensitivity

@pytest.mark.parametrize(("name", "family"), FAMILIES.items(), ids=list(FAMILIES))
def test_signals_of_eight_bins_at_six_sigma_pass(name: str, family: Family) -> None:
    assert min(family(np.random.default_rng(seed)).sum() for seed in range(50)) >= 8

    keep = measured(windows_with(family, 300, (6, 6), 102, seed=3), WindowGrid()).keep

    assert keep.mean() >= 0.99, f"{name}: {keep.mean():.3f} pass"


def test_a_wide_signal_passes_through_the_whole_path() -> None:
    power = noise(102, 16, 2**18)
    humps = np.arange(100, 2**18 - 500, 8192)
    for start in humps:
        power[:, start : start + 300] += 0.5  # five sigma
    kept = kept_of(power, 102)

    assert kept[humps // 256].all()
