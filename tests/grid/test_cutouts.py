"""Cutouts give power back to the accuracy of one step, and have a defined code for every invalid value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from pipeline.flatten.noise import middle_of
from pipeline.grid.code_table import look_up
from pipeline.grid.cutouts import (
    ASINH_MAX,
    ASINH_MIN,
    _codes_of,
    cutouts_of_power,
    flatten_windows,
    image_of_cutouts,
    power_of_cutouts,
    quantise,
)

STEP = (ASINH_MAX - ASINH_MIN) / 254
SPREADS = [4**-0.5, 102**-0.5, 255**-0.5]
BASELINE_CODE = 77
NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32)


def noise(n: float, shape: tuple[int, ...] = (3, 16, 256), seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(n, 1 / n, shape)


def asinh_u(power: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Return asinh(u) by the module's formula, in double precision."""
    return np.arcsinh(np.log(power) / spread)


# --------------------------------------------------------------------------------------------------------- quantise

@pytest.mark.parametrize("spread", SPREADS)
def test_codes_follow_the_formula(spread: float) -> None:
    power = np.geomspace(1e-3, 1e20, 20_000)
    exact = 254 * (asinh_u(power, spread) - ASINH_MIN) / (ASINH_MAX - ASINH_MIN)
    codes = quantise(power.astype(np.float32), spread)

    near_half = np.abs(exact % 1 - 0.5) < 1e-3  # float32 may round these up or down
    assert_array_equal(codes[~near_half], (1 + np.clip(np.rint(exact), 0, 254))[~near_half])


def test_a_table_gives_the_codes_of_the_formula() -> None:
    exact = np.sinh((np.arange(2, 256) - 1.5) * STEP + ASINH_MIN)  # where the next code begins
    near = (exact.astype(np.float32)[:, None].view(np.int32) + np.arange(-500, 501, dtype=np.int32)).view(np.float32)
    everywhere = np.random.default_rng(0).integers(-2**31, 2**31, 10**6).astype(np.int32).view(np.float32)
    numbers = np.concatenate([near.ravel(), everywhere[np.isfinite(everywhere)], [0, -0.0, np.inf]]).astype(np.float32)

    codes = look_up(numbers, _codes_of)
    assert_array_equal(codes, _codes_of(numbers))
    assert set(codes) == set(range(1, 256))


@pytest.mark.parametrize("spread", SPREADS)
def test_image_is_within_half_a_step(spread: float) -> None:
    u = np.sinh(np.linspace(ASINH_MIN, ASINH_MAX, 5001))
    image = image_of_cutouts(quantise(np.exp(u * spread), spread))

    assert np.abs(image - np.linspace(ASINH_MIN, ASINH_MAX, 5001)).max() <= STEP / 2 * 1.001


def test_steps_are_as_stated() -> None:
    image = image_of_cutouts(np.arange(1, 256, dtype=np.uint8)).astype(float)
    u = np.sinh(image)

    assert u[0] == pytest.approx(-10, rel=0.01)
    assert u[-1] == pytest.approx(548, rel=0.01)
    assert np.diff(u)[np.abs(u[:-1]) < 0.1] == pytest.approx(0.04, rel=0.05)
    assert_allclose((np.diff(u) / u[:-1])[u[:-1] > 5], 0.04, rtol=0.05)
    assert np.exp(u[-1] * 102**-0.5) > 1e23


@given(st.lists(NUMBERS, min_size=1, max_size=50), st.sampled_from(SPREADS))
def test_codes_are_monotonic_and_zero_means_masked(values: list[float], spread: float) -> None:
    power = np.sort(np.array(values, np.float32))
    codes = quantise(power, spread)

    assert_array_equal(codes == 0, power <= 0)
    assert (np.diff(codes.astype(int)) >= 0).all()


@pytest.mark.parametrize("spread", SPREADS)
def test_extremes_are_clipped(spread: float) -> None:
    power = np.array([1e-30, 1e-45, np.exp(600 * spread), np.inf, 1, 0, -1, -0.0])

    assert quantise(power, spread).tolist() == [1, 1, 255, 255, BASELINE_CODE, 0, 0, 0]


def test_a_masked_pixel_looks_like_the_baseline() -> None:
    image = image_of_cutouts(np.array([0, BASELINE_CODE], np.uint8))

    assert image.dtype == np.float32
    assert image[0] == 0
    assert abs(image[1]) <= STEP / 2


def test_image_keeps_the_shape() -> None:
    assert image_of_cutouts(np.zeros((5, 16, 256), np.uint8)).shape == (5, 16, 256)


# --------------------------------------------------------------------------------------------------- power recovered

@pytest.mark.parametrize("n", [4, 102, 255])
def test_power_is_recovered_within_half_a_step(n: float) -> None:
    spread, level = n**-0.5, np.array([3e9, 1e-3, 7.0])
    power = noise(n) * np.array([1, 1.5, 100])[:, None, None]
    cutouts = quantise(power, spread)
    back = power_of_cutouts(cutouts, level, np.full(3, spread)) / level[:, None, None]

    inside = (cutouts > 1) & (cutouts < 255)
    assert inside.mean() > 0.99
    error = np.abs(asinh_u(back, spread) - asinh_u(power, spread))
    assert error[inside].max() <= STEP / 2 * 1.001
    # so near the baseline, the error is below a thirtieth of the noise
    assert np.abs(back - power)[np.abs(power - 1) < spread / 2].max() < spread / 30


def test_level_and_spread_may_be_scalars() -> None:
    cutouts = quantise(noise(102), 0.1)

    assert_array_equal(power_of_cutouts(cutouts, 5.0, 0.1), power_of_cutouts(cutouts, np.full(3, 5.0), np.full(3, 0.1)))


def test_masked_pixels_are_recovered_as_the_baseline() -> None:
    assert (power_of_cutouts(np.zeros((1, 2, 3), np.uint8), 5.0, 0.1) == 5).all()


@pytest.mark.parametrize("spread", SPREADS)
def test_recovered_power_is_finite(spread: float) -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.isfinite(power_of_cutouts(codes, 1e30, spread)).all()


# ------------------------------------------------------------------------------------- windows without their band

LOSSES = np.array([1, 1, 0.9, 0.5, 1, 1, 1, 1, 1, 1, 1e-3, 1, 1, 0.97, 1, 1])


def test_arrays_give_the_cutouts_a_file_would() -> None:
    power = noise(102)
    power[1, :, 100:104] *= 3
    by_array = image_of_cutouts(cutouts_of_power(power * 4e7)).astype(float)
    by_file = image_of_cutouts(quantise(power, 102**-0.5)).astype(float)

    # a window alone gives its spread to 2 %, and the level of each row to 0.1 σ
    quiet = np.abs(by_file) < 2
    assert np.abs(by_array - by_file)[quiet].mean() < 0.1
    assert by_array.std() == pytest.approx(by_file.std(), rel=0.05)
    assert by_array[1, :, 100:104] == pytest.approx(by_file[1, :, 100:104], rel=0.05)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_the_unit_does_not_matter(unit: float) -> None:
    power = noise(102)
    plain, other = cutouts_of_power(power), cutouts_of_power(power * unit)

    assert np.abs(plain.astype(int) - other).max() <= 1
    assert (plain == other).mean() > 0.999


def test_rows_of_lower_gain_are_raised() -> None:
    power = noise(102)
    plain, other = (image_of_cutouts(cutouts_of_power(one)) for one in (power, power * LOSSES[:, None]))

    assert np.abs(other - plain).max() < 0.4  # 0.1 σ of each row's level, and 3 % of the spread at 10 σ
    assert np.abs(other - plain).mean() < 0.06


@pytest.mark.parametrize("rows", [slice(3, 4), slice(0, 9), slice(8, 16, 2)])
def test_bursts_stay_as_they_would_in_a_file(rows: slice) -> None:
    flat, modulated, with_comb = noise(102)
    flat[rows] *= 1.7
    modulated[rows] *= 1 + 3 * (np.arange(256) % 40 < 25)  # in most of a row
    with_comb[:, ::9] *= 4
    with_comb[rows] *= 1.3
    power = np.array([flat, modulated, with_comb])
    by_file = image_of_cutouts(quantise(power, 102**-0.5))
    difference = image_of_cutouts(cutouts_of_power(power * 4e7)) - by_file

    assert np.abs(difference.mean(axis=2)).max() < 0.25  # of each row, so a burst is as bright as it is
    assert np.abs(difference).mean() < 0.12


def test_bursts_in_nearly_all_rows_are_taken_for_the_noise() -> None:
    power = noise(102)
    power[:, 2:] *= 1.7  # the other two rows have a lower gain, as far as one can tell
    plain = image_of_cutouts(cutouts_of_power(noise(102)))
    assert np.abs(image_of_cutouts(cutouts_of_power(power)) - plain).mean() < 0.06


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64])
def test_every_number_type_works(dtype: type) -> None:
    power = np.rint(noise(102) * 80)

    assert_array_equal(cutouts_of_power(power.astype(dtype)), cutouts_of_power(power))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, -5.0])
def test_dead_pixels_rows_and_windows_are_masked(bad: float) -> None:
    power = noise(102)
    power[0, 3, 7] = power[0, 5] = power[0, :, 200] = power[1] = bad
    cutouts = cutouts_of_power(power)

    masked = np.zeros(power.shape, bool)
    masked[0, 3, 7] = masked[0, 5] = masked[0, :, 200] = masked[1] = True
    assert_array_equal(cutouts == 0, masked)
    untouched = cutouts_of_power(noise(102))
    assert np.abs(cutouts[2].astype(int) - untouched[2]).max() == 0
    assert np.abs(image_of_cutouts(cutouts[0]) - image_of_cutouts(untouched[0]))[~masked[0]].max() < 0.1


def test_a_row_is_masked_if_half_of_it_is_dead() -> None:
    power = noise(102)
    power[0, 5, :128] = power[1, 5, :127] = np.nan
    cutouts = cutouts_of_power(power)
    assert (cutouts[0, 5] == 0).all()
    assert_array_equal(cutouts[1, 5] == 0, np.arange(256) < 127)


def test_around_a_small_array_nothing_counts_as_dead() -> None:
    power = noise(102)
    power[:, :, 100:] = power[:, :4] = np.nan
    power[0, 5, :50] = power[1, 5, :49] = np.nan
    cutouts = cutouts_of_power(power)
    assert (cutouts[0, 5] == 0).all()
    assert (cutouts[1, 5, 49:100] > 0).all()
    assert (cutouts[:, 6:, :100] > 0).all()


def test_in_mere_noise_no_row_is_a_burst() -> None:
    power = np.random.default_rng(5).gamma(102, 1 / 102, (300, 16, 256))
    by_rows = power / np.array([[[middle_of(row)] for row in window] for window in power])
    equal = np.isclose(flatten_windows(power)[0], by_rows).all(axis=(1, 2))
    assert equal.mean() > 0.98


def test_a_channel_of_one_value_is_dead_unless_it_is_the_largest() -> None:
    power = noise(102)
    power[0, :, 30], power[0, :, 40] = 0.7, 500.0
    power[0, 3, 30] = np.nan
    cutouts = cutouts_of_power(power)
    assert (cutouts[0, :, 30] == 0).all()
    assert (cutouts[0, :, 40] >= 200).all()
    assert (np.delete(cutouts, 30, axis=2) > 0).all()


def test_in_a_window_without_noise_no_channel_is_dead() -> None:
    drawn = np.ones((1, 16, 256))
    drawn[0, :, 30], drawn[0, :, 40], drawn[0, 2:8, 60] = 2, 3, 4
    codes = cutouts_of_power(drawn)[0]
    assert (codes[:, 0] == BASELINE_CODE).all()
    assert (codes[:, [30, 40]] > BASELINE_CODE).all()
    assert_array_equal(codes[:, 60] > BASELINE_CODE, (np.arange(16) >= 2) & (np.arange(16) < 8))


@pytest.mark.parametrize("value", [1e-30, 7.0, 1e30])
def test_a_constant_window_has_one_code(value: float) -> None:
    assert (cutouts_of_power(np.full((2, 16, 256), value)) == BASELINE_CODE).all()
    assert (cutouts_of_power(np.full((2, 16, 256), value) * LOSSES[:, None]) == BASELINE_CODE).all()


def test_extremes_within_one_window() -> None:
    power = noise(102, (1, 16, 256))
    power[0, 2, :9], power[0, 3, :9], power[0, 4] = 1e30, 1e-30, power[0, 4] * 1e-30
    power[0, 4, 0] = 1e30
    codes = cutouts_of_power(power)[0]

    assert (codes[2, :9] == 255).all()
    assert (codes[3, :9] == 1).all()
    assert codes[4, 0] == 255
    assert 50 < np.median(codes[4, 1:]) < 110


@pytest.mark.parametrize("shape", [(0, 16, 256), (1, 1, 1), (2, 1, 3), (1, 16, 100)])
def test_every_shape_works(shape: tuple[int, ...]) -> None:
    cutouts = cutouts_of_power(noise(102, shape))
    assert (cutouts.shape, cutouts.dtype) == (shape, np.uint8)
    assert (cutouts > 0).all()


@pytest.mark.parametrize("shape", [(16, 256), (256,), (1, 1, 16, 256)])
def test_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected windows of shape \(n, spectra, channels\), got shape"):
        cutouts_of_power(np.ones(shape))
