"""A flattened coarse channel has noise at 1, unchanged signals and dead pixels at 0. No warning is raised."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from pipeline.flatten.bandpass import BLOCK_CHANNELS, MIN_SHAPE_BLOCKS, median_size
from pipeline.flatten.coarse_channel import MIN_SAMPLED_CHANNELS
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.flatten.gains import MIN_PIXELS_FOR_NOISE, SPREAD_TOLERANCE
from tests.flatten.at_once import flatten, power_of

Power = NDArray[np.float32]
CHANNELS = 2**18
LEVEL = 3e9


@lru_cache(maxsize=8)
def drawn(n: float, channels: int, spectra: int) -> Power:
    rng = np.random.default_rng(1)
    return rng.standard_gamma(n, (spectra, channels), dtype=np.float32) / np.float32(n)


def noise(n: float, channels: int = CHANNELS, spectra: int = 16) -> Power:
    return drawn(n, channels, spectra).copy()


def band_shape(channels: int = CHANNELS) -> NDArray[np.float64]:
    """Return a band that falls to a fifth over the outermost twelfth at either end, with ripples in between."""
    edge = np.linspace(-1, 1, channels)
    return 1 - 0.8 * np.clip((np.abs(edge) - 5 / 6) * 6, 0, 1) ** 2 + 0.02 * np.cos(12 * edge)


def flattened(power: Power, n: float, *, dc: bool = False) -> FlattenedChannel:
    return flatten(power.copy(), nominal=n, has_dc_spike=dc)


# ------------------------------------------------------------------------------------------------------------- noise

@pytest.mark.parametrize("n", [4, 102, 255])
def test_noise_has_mean_one_and_the_radiometer_spread(n: float) -> None:
    power = noise(n) * np.float32(LEVEL)

    flat = flattened(power, n)

    pixels = power_of(flat).size
    assert power_of(flat).mean(dtype=float) == pytest.approx(1, abs=0.05 * n**-0.5)
    # relative error of the measured spread of m Gamma pixels: √((κ − 1) / 4 m) with kurtosis κ = 3 + 6/N
    assert power_of(flat).std(dtype=float) == pytest.approx(n**-0.5, rel=5 * ((2 + 6 / n) / 4 / pixels) ** 0.5 + 1e-3)
    assert_allclose(flat.row_gain, 1, atol=6 * 1.25 * (n * MIN_SAMPLED_CHANNELS) ** -0.5)
    assert_allclose(flat.baseline, LEVEL, rtol=0.12 * n**-0.5)
    assert (flat.noise_spectra, flat.noise_is_measured) == (n, False)


def test_power_is_left_as_it_was_read() -> None:
    power = noise(102, 4096)
    power[3, 7] = np.nan
    before = power.copy()
    flat = flatten(power, nominal=102, has_dc_spike=True)

    assert flat.stored is power or flat.stored.base is power
    np.testing.assert_array_equal(power, before)


@pytest.mark.parametrize("dc", [False, True])
def test_a_mirrored_view_is_flattened_like_an_ascending_copy(dc: bool) -> None:
    power = noise(102, 2**15) * band_shape(2**15).astype(np.float32)
    power[:, 9000:9010] = np.nan
    starts = np.array([0, 300, 8900, 2**15 - 256])
    mirrored = flatten(power[:, ::-1].copy()[:, ::-1], nominal=102, has_dc_spike=dc)
    ascending = flatten(power, nominal=102, has_dc_spike=dc)

    assert (mirrored.is_mirrored, ascending.is_mirrored) == (True, False)
    assert_allclose(power_of(mirrored), power_of(ascending), rtol=0.002)
    np.testing.assert_array_equal(power_of(mirrored) == 0, power_of(ascending) == 0)
    assert_allclose(mirrored.baseline, ascending.baseline, rtol=0.002)
    for flat in (mirrored, ascending):
        cut = np.stack([power_of(flat)[:, start : start + 256] for start in starts])
        np.testing.assert_array_equal(flat.windows(starts, 256), cut)


# --------------------------------------------------------------------------------------------------------- row gains

GAINS = np.array([1, 1.3, 1, 0.7, 1, 1, 2, 1, 1, 1.01, 0.99, 1, 1, 1, 5, 1], np.float32)


@pytest.mark.parametrize("n", [4, 102, 255])
def test_row_gains_are_recovered(n: float) -> None:
    flat = flattened(noise(n) * GAINS[:, None] * band_shape().astype(np.float32), n)

    error = 6 * 1.25 * (n * MIN_SAMPLED_CHANNELS) ** -0.5
    assert_allclose(flat.row_gain, GAINS, rtol=error)
    assert_allclose(power_of(flat).mean(axis=1, dtype=float), 1, rtol=error)


def test_strong_line_that_doubles_the_gain_of_some_rows() -> None:
    power = noise(102)
    power[3:6] *= 2
    power[3:6, 50_000:53_000] *= 300
    flat = flattened(power, 102)

    assert_allclose(flat.row_gain[3:6], 2, rtol=0.01)
    quiet = np.delete(power_of(flat), slice(50_000, 53_000), axis=1)
    assert_allclose(quiet.mean(axis=1, dtype=float), 1, atol=0.003)
    line = power_of(flat)[:, 50_000:53_000].mean(axis=1)
    assert_allclose(line[3:6], 300, rtol=0.02)
    assert_allclose(np.delete(line, slice(3, 6)), 1, rtol=0.02)


def test_interference_in_a_third_of_the_band_leaves_the_gain_alone() -> None:
    power = noise(102)
    power[5, : CHANNELS // 3] *= 50

    gain = flattened(power, 102).row_gain

    assert gain[5] == pytest.approx(1, abs=0.1)  # one spread: the middle is now the 75th percentile of the noise
    assert_allclose(np.delete(gain, 5), 1, atol=0.005)


# -------------------------------------------------------------------------------------------------------- band shape

def test_band_shape_is_flattened() -> None:
    flat = flattened(noise(102) * band_shape().astype(np.float32), 102)

    # means of 1,024 channels × 16 spectra have 0.08 % noise; 1 % is allowed for the shape
    means = power_of(flat).reshape(16, -1, 1024).mean(axis=(0, 2), dtype=float)
    assert_allclose(means, 1, atol=0.01)
    assert_allclose(flat.baseline, band_shape(), rtol=0.03)


def test_a_band_that_dives_to_nothing_is_masked() -> None:
    shape = np.ones(CHANNELS)
    shape[: 100 * BLOCK_CHANNELS] = np.geomspace(1e-9, 1, 100 * BLOCK_CHANNELS)
    flat = flattened(noise(102) * shape.astype(np.float32), 102)

    masked = (power_of(flat) == 0).all(axis=0)
    assert masked[shape < 0.045].all()
    assert not masked[shape > 0.055].any()
    assert power_of(flat).max() < 2
    assert power_of(flat)[:, ~masked].mean(dtype=float) == pytest.approx(1, abs=0.002)
    assert not flat.noise_is_measured


MIDDLE_OF_BAND, SLOPE, BOTTOM, TOP = CHANNELS // 2, 20 * BLOCK_CHANNELS + 50, 0, CHANNELS


@pytest.mark.parametrize(("width", "start", "tolerance"), [
    (64, MIDDLE_OF_BAND, 0.01), (256, MIDDLE_OF_BAND, 0.01), (2048, MIDDLE_OF_BAND, 0.01), (4096, MIDDLE_OF_BAND, 0.02),
    (64, SLOPE, 0.02), (256, SLOPE, 0.05),
    (64, BOTTOM, 0.05), (256, BOTTOM, 0.1), (64, TOP - 64, 0.05), (256, TOP - 256, 0.1),
])
def test_wide_humps_stay_in_the_data(width: int, start: int, tolerance: float) -> None:
    hump = np.ones(CHANNELS)
    hump[start : start + width] = 2
    flat = flattened(noise(102) * (band_shape() * hump).astype(np.float32), 102)

    assert power_of(flat)[:, start : start + width].mean(dtype=float) == pytest.approx(2, rel=tolerance)
    beside = power_of(flat)[:, max(0, start - 2048) : start + width + 2048].copy()
    beside[:, min(start, 2048) :][:, :width] = 0
    assert beside[beside > 0].mean(dtype=float) == pytest.approx(1, rel=tolerance)


def test_a_hump_wider_than_that_is_part_of_the_band() -> None:
    hump = np.ones(CHANNELS)
    hump[CHANNELS // 2 :][: 40 * BLOCK_CHANNELS] = 2

    power = power_of(flattened(noise(102) * hump.astype(np.float32), 102))

    inside = power[:, CHANNELS // 2 + 10 * BLOCK_CHANNELS :][:, : 20 * BLOCK_CHANNELS]
    assert inside.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("end", [slice(0, 256), slice(CHANNELS - 256, CHANNELS)])
def test_narrow_lines_in_the_outermost_window_stay_in_the_data(end: slice) -> None:
    power = noise(102)
    power[:, end][:, 100:132] *= 2

    assert power_of(flattened(power, 102))[:, end][:, 100:132].mean() == pytest.approx(2, rel=0.05)


NARROW = [(1024, 6123), (2**14, 102), (2**16, 102), (2**16, 4)]


@pytest.mark.parametrize(("width", "n"), NARROW)
def test_the_shape_of_narrow_coarse_channels_is_flattened(width: int, n: float) -> None:
    """Mid-resolution products have 1,024 channels per coarse channel and 1 % noise: any shape left gives false alarms.
    """
    flat = flatten(noise(n, width) * band_shape(width).astype(np.float32), nominal=n, coarse_width=width)
    block, smoothing = median_size(width)
    inside = slice(block * smoothing, -block * smoothing)
    left = power_of(flat)[:, inside].mean(axis=0, dtype=float)
    pieces = left[: len(left) // 64 * 64].reshape(-1, 64).mean(axis=1)
    assert_allclose(pieces, 1, atol=5 * (n * 16 * 64) ** -0.5)
    assert flat.noise_spectra == pytest.approx(n, rel=0.1)


@pytest.mark.parametrize(("width", "n"), NARROW)
def test_lines_in_narrow_coarse_channels_stay(width: int, n: float) -> None:
    power = noise(n, width)
    power[:, width // 3] += 1
    line = power_of(flatten(power, nominal=n, coarse_width=width))[:, width // 3]
    assert line.mean() == pytest.approx(2, abs=6 / n**0.5)


def test_a_piece_of_few_blocks_is_taken_to_be_flat() -> None:
    channels = MIN_SHAPE_BLOCKS * BLOCK_CHANNELS - 1
    flat = flattened(noise(102, channels) * np.float32(LEVEL), 102)

    assert len(np.unique(flat.baseline)) == 1
    assert flat.baseline[0] == pytest.approx(LEVEL, rel=0.003)


SHORTEST_SHAPED = MIN_SHAPE_BLOCKS * BLOCK_CHANNELS


@pytest.mark.parametrize("channels", [1, 2, 3, 255, 257, SHORTEST_SHAPED, SHORTEST_SHAPED + 1, 9 * BLOCK_CHANNELS,
                                      33 * BLOCK_CHANNELS, 34 * BLOCK_CHANNELS + 77])
@pytest.mark.parametrize("spectra", [1, 2, 16])
def test_any_shape_works(channels: int, spectra: int) -> None:
    flat = flattened(noise(102, channels, spectra), 102, dc=True)

    assert power_of(flat).shape == (spectra, channels)
    assert np.isfinite(power_of(flat)).all()
    assert np.isfinite(flat.baseline).all()
    if channels > 1000:
        assert power_of(flat)[power_of(flat) > 0].mean() == pytest.approx(1, abs=0.02)


# ------------------------------------------------------------------------------------------------------- dead pixels

BAD = [np.nan, np.inf, -np.inf, 0.0, -1.0, -1e30]


def test_dead_pixels_are_masked_and_change_nothing_else() -> None:
    power = noise(102, 2**15)
    rng = np.random.default_rng(3)
    places = rng.choice(power.size, 600, replace=False)
    broken = power.copy()
    broken.ravel()[places] = np.resize(BAD, 600)

    flat, healthy = flattened(broken, 102), flattened(power, 102)

    assert (power_of(flat).ravel()[places] == 0).all()
    alive = np.delete(power_of(flat).ravel(), places)
    assert alive.min() > 0
    assert_allclose(alive, np.delete(power_of(healthy).ravel(), places), rtol=0.003)


@pytest.mark.parametrize("value", BAD)
def test_dead_rows_channels_and_stretches(value: float) -> None:
    power = noise(102, 2**15)
    power[4] = value
    power[:, 1000] = value
    power[:, 20_000:21_000] = value

    flat = flattened(power, 102)

    dead = np.zeros(power.shape, bool)
    dead[4], dead[:, 1000], dead[:, 20_000:21_000] = True, True, True
    np.testing.assert_array_equal(power_of(flat) == 0, dead)
    assert flat.row_gain[4] == 0
    assert power_of(flat)[~dead].mean(dtype=float) == pytest.approx(1, abs=0.005)
    assert_allclose(flat.baseline, 1, rtol=0.02)


def test_constant_channels_are_dead_but_not_in_a_single_spectrum() -> None:
    power = noise(102, 4096)
    power[:, 77] = 1.25
    assert (power_of(flattened(power, 102))[:, 77] == 0).all()

    assert (power_of(flattened(power[:1], 102)) > 0).all()


def test_a_row_more_than_half_dead_is_dropped() -> None:
    power = noise(102, 4096)
    power[2, :2100] = np.nan
    power[3, :2000] = np.nan
    flat = flattened(power, 102)

    assert (power_of(flat)[2] == 0).all()
    assert (flat.row_gain[2], (flat.row_gain[3] > 0)) == (0, True)
    assert (power_of(flat)[3, 2000:] > 0).all()


@pytest.mark.parametrize("value", [*BAD, 7.0])
@pytest.mark.parametrize("channels", [256, 2**14])
@pytest.mark.parametrize("spectra", [2, 16])
def test_an_all_dead_piece(value: float, channels: int, spectra: int) -> None:
    flat = flattened(np.full((spectra, channels), value, np.float32), 102, dc=True)

    assert (power_of(flat) == 0).all()
    assert (flat.row_gain == 0).all()
    assert np.isfinite(flat.baseline).all()
    assert (flat.noise_spectra, flat.noise_is_measured) == (102, False)


@pytest.mark.parametrize("level", [1e-30, 1e-9, 1e30])
def test_any_unit_of_power(level: float) -> None:
    reference = flattened(noise(102, 2**14), 102)
    flat = flattened(noise(102, 2**14) * np.float32(level), 102)

    assert_allclose(power_of(flat), power_of(reference), rtol=1e-4)
    assert_allclose(flat.baseline / np.float32(level), reference.baseline, rtol=1e-4)


# ---------------------------------------------------------------------------------------------------------- DC spike

@pytest.mark.parametrize("mirror", [False, True])
def test_dc_bins_are_masked_in_both_orders(mirror: bool) -> None:
    power = noise(102, 2**14)
    power[:, 2**13] *= 1000
    flat = flattened(power[:, ::-1] if mirror else power, 102, dc=True)

    assert (power_of(flat)[:, 2**13 - 1 : 2**13 + 1] == 0).all()
    assert (power_of(flat) == 0).sum() == 32
    assert power_of(flat).max() < 2


def test_without_coarse_channels_the_middle_stays() -> None:
    assert (power_of(flattened(noise(102, 2**14), 102)) > 0).all()


# ------------------------------------------------------------------------------------------------------ noise spectra

@pytest.mark.parametrize("n", [4, 102, 255])
def test_a_wrong_header_is_overruled(n: float) -> None:
    tolerance = SPREAD_TOLERANCE
    assert not flattened(noise(n), n * (1 + tolerance)).noise_is_measured
    for wrong in (0.5, 0.94, 1.06, 2):
        flat = flattened(noise(n), n * wrong)
        assert flat.noise_is_measured
        assert flat.noise_spectra == pytest.approx(n, rel=0.02)


def test_few_pixels_cannot_overrule_the_header() -> None:
    flat = flattened(noise(102, MIN_PIXELS_FOR_NOISE // 16 - 1), 300)
    assert (flat.noise_spectra, flat.noise_is_measured) == (300, False)


# ---------------------------------------------------------------------------------------------------- quantised data

@pytest.mark.parametrize("mean", [20.0, 20.3, 30.0, 100.0])
@pytest.mark.parametrize("shape", [lambda c: np.ones(c), band_shape])
def test_eight_bits(mean: float, shape: Callable[[int], NDArray[np.float64]]) -> None:
    gains = (1 + 0.013 * np.arange(16)).astype(np.float32)  # gains fall between the quantised levels
    power = noise(102) * gains[:, None] * (mean * shape(CHANNELS)).astype(np.float32)
    flat = flattened(np.rint(power), 102)

    spread = 102**-0.5
    assert_allclose(flat.row_gain / flat.row_gain[0], gains, rtol=0.1 * spread)
    assert power_of(flat)[:, CHANNELS // 4 : -CHANNELS // 4].mean(dtype=float) == pytest.approx(1, abs=0.1 * spread)
    assert flat.noise_spectra == pytest.approx(102, rel=0.07)


@pytest.mark.parametrize("scale", [1e-47, 1e-42, 1e-30])
@pytest.mark.parametrize("channels", [4096, 16384])
def test_a_spectrum_of_next_to_nothing_is_dead_and_harms_no_other(scale: float, channels: int) -> None:
    power = noise(102, 16384) * np.float32(LEVEL)
    power[5, :channels] = (power[5, :channels].astype(np.float64) * scale / LEVEL).astype(np.float32)
    flat = flattened(power, 102)
    others = np.delete(flat.windows(np.zeros(1, np.int64), 16384)[0], 5, axis=0)
    assert np.isfinite(others).all()
    # a channel that lacks one of 16 spectra has a baseline that is too low by that
    assert others.mean() == pytest.approx(1, abs=0.01 if channels == 16384 else 1 / 15 / 4)
    assert others.std() == pytest.approx(102**-0.5, rel=0.05 if channels == 16384 else 0.1)
