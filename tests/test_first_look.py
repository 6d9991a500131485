"""The first look must never refuse what the gate keeps, and should refuse nearly everything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flat import Flat
from pipeline.gate import may_pass, measure
from pipeline.model import WindowGrid


def scene(rng: np.random.Generator, spectra: int, channels: int, n: float, windows: int) -> np.ndarray:
    """Noise, and in every other window a signal of about the strength at which gates begin to see it."""
    power = rng.standard_gamma(n, (spectra, windows * channels)) / n
    for k in range(0, windows, 2):
        width, duration = int(rng.integers(1, channels + 1)), int(rng.integers(1, spectra + 1))
        first, row = int(rng.integers(0, channels)), int(rng.integers(0, spectra - duration + 1))
        drift = rng.integers(-3, 4)
        strength = rng.uniform(2, 9) / np.sqrt(n * width * duration)
        for t in range(duration):
            low = min(max(first + drift * t, 0), channels - 1)
            power[row + t, k * channels + low : k * channels + min(low + width, channels)] += strength
    return power.astype(np.float32)


@pytest.mark.processor
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(16, 256), (16, 64), (8, 256), (32, 100), (16, 7), (5, 32), (64, 16), (1, 16), (16, 1)]),
    n=st.sampled_from([2.0, 4.0, 25.0, 102.0, 1000.0]),
    false_alarm=st.sampled_from([1e-4, 1e-3, 0.05, 0.4]),
    is_mirrored=st.booleans(),
    is_scaled=st.booleans(),
)
def test_nothing_that_the_gate_keeps_is_refused(seed, shape, n, false_alarm, is_mirrored, is_scaled):
    rng = np.random.default_rng(seed)
    spectra, channels = shape
    power = scene(rng, spectra, channels, n, 150)
    grid = WindowGrid(channels, channels, spectra)
    if is_mirrored:
        power = power[:, ::-1]
    flat = Flat.of_level(power, n)
    if is_scaled:  # what lies on disk is neither level nor around 1
        rows = rng.uniform(0.5, 2, spectra).astype(np.float32)
        band = rng.uniform(1e-9, 3e-9, power.shape[1]).astype(np.float32)
        stored_band = band[::-1] if is_mirrored else band
        flat = Flat(flat.stored / rows[:, None] / stored_band, is_mirrored, rows, band, flat.is_whole, flat.row_gain,
                    flat.baseline, n, False)
    starts = np.concatenate([np.arange(0, 150 * channels, channels), rng.integers(0, 149 * channels + 1, 30)])
    kept = measure(flat, starts, grid, false_alarm).keep
    assert not (kept & ~may_pass(flat, starts, grid, false_alarm)).any()
    assert false_alarm < 0.1 or kept.any()


@pytest.mark.parametrize("n", [4.0, 102.0])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_nearly_all_noise_is_refused(n, is_mirrored):
    power = (np.random.default_rng(1).standard_gamma(n, (16, 3000 * 256)) / n).astype(np.float32)
    flat = Flat.of_level(power[:, ::-1] if is_mirrored else power, n)
    starts = np.arange(0, power.shape[1], 256)
    passed = may_pass(flat, starts, WindowGrid(), 1e-3).sum()
    assert measure(flat, starts, WindowGrid(), 1e-3).keep.sum() <= passed < 0.02 * len(starts)


@pytest.mark.parametrize("spectra", [8, 64, 100])
def test_noise_of_windows_of_other_durations_is_refused(spectra):
    power = (np.random.default_rng(1).standard_gamma(102, (spectra, 300 * 256)) / 102).astype(np.float32)
    starts = np.arange(0, power.shape[1], 256)
    passed = may_pass(Flat.of_level(power, 102), starts, WindowGrid(256, 256, spectra), 1e-3).sum()
    assert passed < 0.03 * len(starts)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0, -1])
def test_windows_with_masked_pixels_are_left_to_the_gate(value):
    power = (np.random.default_rng(2).standard_gamma(102, (16, 100 * 256)) / 102).astype(np.float32)
    starts = np.arange(0, power.shape[1], 256)
    before = may_pass(Flat.of_level(power, 102), starts, WindowGrid(), 1e-3)
    power[3, 40 * 256 + 17] = value
    after = may_pass(Flat.of_level(power, 102), starts, WindowGrid(), 1e-3)
    assert np.flatnonzero(before != after).tolist() == [40]
    assert after[40]


def test_enormous_power_passes_and_spares_its_neighbours():
    power = np.ones((16, 100 * 256), np.float32)
    power[:, 50 * 256 : 51 * 256] = 1e30
    passed = may_pass(Flat.of_level(power, 102), np.arange(0, power.shape[1], 256), WindowGrid(), 1e-3)
    assert np.flatnonzero(passed).tolist() == [50]


def test_no_windows():
    flat = Flat.of_level(np.ones((16, 256), np.float32), 102)
    assert len(may_pass(flat, np.zeros(0, np.int64), WindowGrid(), 1e-3)) == 0
