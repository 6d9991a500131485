"""Values that are not power become power: noise of mean 1 with a Gamma distribution, signals above it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy import stats

from pipeline.flatten.coarse_channel import flatten_stretches
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.flatten.signed import is_signed, relative_spreads
from pipeline.gate import measure
from pipeline.model import WindowGrid
from tests.flatten.at_once import power_of

Values = NDArray[np.float32]
CHANNELS = 2**17


def gamma(n: float, seed: int = 1, channels: int = CHANNELS) -> Values:
    return (np.random.default_rng(seed).standard_gamma(n, (16, channels), np.float32) / np.float32(n))


def normal(seed: int = 1, channels: int = CHANNELS) -> Values:
    return np.random.default_rng(seed).standard_normal((16, channels), np.float32)


def flattened(values: Values, sign: int = 1, stretch: int | None = None, **options: object) -> list[FlattenedChannel]:
    return [flat for _, _, flat in flatten_stretches(
        lambda start, stop, _: values[:, start:stop], values.shape, stretch=stretch or values.shape[1],
        coarse_width=None, sign=sign, **{"nominal": 102, **options})]  # type: ignore[arg-type]


@pytest.mark.parametrize(("n", "unit"), [(51, 1.0), (51, 4e9), (400, 1e-9)])
def test_power_less_its_mean_becomes_that_power_again(n: float, unit: float) -> None:
    power = gamma(n)
    power[:, 5000] += 3

    (flat,) = flattened((power - 1) * np.float32(unit), nominal=2 * n)

    assert (flat.is_signed, flat.noise_is_measured) == (True, True)
    assert flat.noise_spectra == pytest.approx(n, rel=0.3)
    # in units of the noise: the error of N changes the spread, and not what is how far above the noise
    assert_allclose((power_of(flat) - 1) * flat.noise_spectra**0.5, (power - 1) * n**0.5, atol=0.25, rtol=0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_symmetric_noise_gets_the_noise_of_the_header_on_both_sides(sign: int) -> None:
    values = normal()

    (flat,) = flattened(values, sign)

    scaled = (power_of(flat) - 1) * flat.noise_spectra**0.5
    assert flat.noise_spectra == 102
    assert scaled.std(dtype=float) == pytest.approx(1, abs=0.01)
    assert_allclose(scaled, sign * values, atol=0.1, rtol=0.05)


GAINS = np.array([1, 1.3, 1, 0.7, 1, 1, 2, 1, 1, 1.01, 0.99, 1, 1, 1, 5, 1], np.float32)


@pytest.mark.parametrize(("values", "offsets"), [(gamma(51) * GAINS[:, None] - 1, GAINS - 1),
                                                 (normal() * GAINS[:, None], 0 * GAINS),
                                                 (normal() * GAINS[:, None] + 8 - 16 * GAINS[:, None], 16 - 16 * GAINS),
                                                 (np.rint(2 * normal() * GAINS[:, None]), 0 * GAINS)],
                         ids=["less its mean", "normal", "shifted", "8 bits"])
def test_the_spread_of_each_spectrum_is_its_gain_whatever_its_middle(values: Values, offsets: Values) -> None:
    (flat,) = flattened(values, nominal=51)

    assert_allclose(flat.row_gain, GAINS, rtol=0.03)
    rows = (power_of(flat) - 1) * flat.noise_spectra**0.5
    assert_allclose(rows.mean(axis=1, dtype=float), 0, atol=0.02)
    assert_allclose(rows.std(axis=1, dtype=float), 1, rtol=0.03)


def test_a_burst_is_no_noise() -> None:
    """A burst in a third of the band stays. One that is everywhere goes, as in power, but hides no line beside it."""
    values = normal()
    values[5, : CHANNELS // 3] += 20
    values[9] += 20
    values[9, CHANNELS // 2 :: 1000] += 10

    (flat,) = flattened(values)

    beside = (power_of(flat)[:, CHANNELS // 2 :] - 1) * flat.noise_spectra**0.5
    assert_allclose(flat.row_gain, 1, atol=0.03)
    height = 20 / 102**0.5
    assert power_of(flat)[5, : CHANNELS // 3].mean(dtype=float) == pytest.approx(  # the band contains a part of it
        (1 + height) / (1 + height / 16), rel=0.01)
    assert beside[9, ::1000].mean(dtype=float) == pytest.approx(10, abs=0.5)
    assert_allclose(np.delete(beside, 9, axis=0).std(axis=1, dtype=float), 1, rtol=0.03)


def test_relative_spreads_ignore_bands_bursts_and_dead_channels() -> None:
    values = normal() * GAINS[:, None] + np.linspace(-50, 50, CHANNELS, dtype=np.float32) ** 2
    values[5] += 40 * np.sin(np.arange(CHANNELS, dtype=np.float32) / 300)
    values[9, : CHANNELS // 3] *= 100
    values[:, 3::4] = 7
    values[2, :500], values[3, ::5] = np.nan, np.inf

    assert_allclose(relative_spreads(values), GAINS, rtol=0.04)
    np.testing.assert_array_equal(relative_spreads(np.full((16, 5000), 3, np.float32)), 1)


def test_a_spectrum_without_noise_is_masked() -> None:
    values = normal()
    values[4], values[7] = 3, 1e-30 * values[7]

    (flat,), (healthy,) = flattened(values), flattened(normal())

    assert (flat.row_gain == 0).nonzero()[0].tolist() == [4, 7]
    others = [0, 1, 2, 3, 5, 6, *range(8, 16)]
    scaled, expected = ((power_of(one)[others] - 1) * one.noise_spectra**0.5 for one in (flat, healthy))
    assert_allclose(scaled, expected, atol=0.05, rtol=0.03)


def test_middle_and_spread_may_vary_along_the_coarse_channel() -> None:
    at = np.linspace(-1, 1, CHANNELS, dtype=np.float32)
    values = normal() * (2 + at) + 30 * at - 5

    (flat,) = flattened(values)

    scaled = (power_of(flat) - 1) * flat.noise_spectra**0.5
    for piece in np.array_split(scaled, 16, axis=1):
        assert piece.std(dtype=float) == pytest.approx(1, abs=0.02)
        assert piece.mean(dtype=float) == pytest.approx(0, abs=0.05)


def test_the_result_depends_neither_on_stretches_nor_on_the_order_in_memory() -> None:
    values = normal() - 0.3
    (whole,) = flattened(values)
    (mirrored,) = flattened(np.ascontiguousarray(values[:, ::-1])[:, ::-1])
    pieces = [power_of(flat) for flat in flattened(values, stretch=2**15)]

    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), power_of(whole))
    np.testing.assert_array_equal(power_of(mirrored), power_of(whole))


def test_broken_and_dead_pixels_are_masked_and_change_nothing_else() -> None:
    values = normal()
    broken = values.copy()
    broken[3, 1000:1400], broken[:, 7000], broken[:, 9000:9600] = np.nan, 0, -2
    broken[5, 20_000] = np.inf

    (flat,), (healthy,) = flattened(broken), flattened(values)

    dead = np.zeros(values.shape, bool)
    dead[3, 1000:1400], dead[:, 7000], dead[:, 9000:9600], dead[5, 20_000] = True, True, True, True
    np.testing.assert_array_equal(power_of(flat) == 0, dead)
    scaled, expected = ((power_of(one) - 1) * one.noise_spectra**0.5 for one in (flat, healthy))
    assert_allclose(scaled[~dead], expected[~dead], atol=0.05, rtol=0.02)


def test_values_at_either_limit_of_their_type_are_saturated_and_others_dead() -> None:
    values = np.clip(np.rint(2 * normal()), -128, 127)
    values[:, 100], values[:, 200], values[:, 300], values[:, 400] = 127, -128, 126, 0

    (above,), (below,) = (flattened(values, sign, limits=(-128.0, 127.0)) for sign in (1, -1))

    assert (power_of(above)[:, [100, 300, 400]] > 0).all(axis=0).tolist() == [True, False, False]
    assert (power_of(below)[:, [200, 300, 400]] > 0).all(axis=0).tolist() == [True, False, False]


@pytest.mark.parametrize("draw", [
    lambda g: g * normal(), lambda g: g * gamma(51) - 1, lambda g: np.rint(2 * g * normal()),
    lambda g: 10 * np.log10(g * gamma(51)) - 90, lambda g: g * (gamma(25, 1) - gamma(25, 2))],
    ids=["normal", "less its mean", "8 bits", "decibels", "difference"])
@pytest.mark.parametrize(("sign", "gain"), [(1, 1), (1, 3), (-1, 3)])
def test_the_gate_keeps_about_the_requested_share_of_noise(
    draw: Callable[[Values], Values], sign: int, gain: float
) -> None:
    """512 windows are enough to see that no kind of noise floods the corpus, nor a spectrum with more noise."""
    values = draw(np.where(np.arange(16) == 5, gain, 1).astype(np.float32)[:, None])
    (flat,) = flattened(values, sign)
    starts = np.arange(0, CHANNELS, 256)

    kept = measure(flat, starts, WindowGrid(), 0.02).keep.sum()

    assert kept <= stats.poisson.isf(1e-4, 2 * 0.02 * len(starts))


@pytest.mark.parametrize(("values", "expected"), [
    (normal(), True),
    (-gamma(51), True),
    (gamma(51), False),
    (gamma(51) - 0.7, False),  # only a hundredth of it is below zero
    (np.zeros((16, 1000), np.float32), False),
    (np.full((16, 1000), -3, np.float32), False),
    (np.full((16, 1000), np.nan, np.float32), False),
])
def test_values_are_not_power_if_many_are_negative(values: Values, expected: bool) -> None:
    assert is_signed(values) is expected


@pytest.mark.parametrize("dead", [np.s_[:, :3000], np.s_[2:5]])
def test_dead_channels_or_rows_below_zero_do_not_make_power_signed(dead: object) -> None:
    power = gamma(51, channels=4096)
    power[dead] = -1  # type: ignore[index]
    assert not is_signed(power)
