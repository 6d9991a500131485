"""The N of the noise: read from the header, and measured correctly despite signals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flatten.noise import MIDDLE_QUANTILES, measure_noise_spectra, middles_and_squares, nominal_noise_spectra
from pipeline.model import Header


def noise(n: float, pixels: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_gamma(n, pixels, dtype=np.float32) / np.float32(n)


def test_nominal_noise_is_two_polarisations_times_the_spectra_of_a_bin() -> None:
    def header(foff_mhz: float, tsamp_s: float) -> Header:
        return Header(1500.0, foff_mhz, 1024, 1, 32, tsamp_s, 16, 57436.0)

    assert nominal_noise_spectra(header(-2.7939677238464355e-06, 18.253611008)) == pytest.approx(102, rel=1e-3)
    assert nominal_noise_spectra(header(2.7939677238464355e-06, 18.253611008)) == pytest.approx(102, rel=1e-3)
    assert nominal_noise_spectra(header(-1e-6, 0.1)) == 1


@pytest.mark.parametrize("n", [1, 2, 4, 30, 102, 255, 1e4])
def test_noise_spectra_are_measured(n: float) -> None:
    sample = noise(n, 200_000)

    # the relative error of a spread is 1.4/√pixels, and N is proportional to its inverse square; 0.5 % for the table
    assert measure_noise_spectra(sample) == pytest.approx(n, rel=5 * 2.8 / 200_000**0.5 + 0.005)
    assert measure_noise_spectra(sample * np.float32(1e6)) == pytest.approx(measure_noise_spectra(sample), rel=1e-3)


@pytest.mark.parametrize("n", [4, 102])
def test_the_measure_is_the_one_stated(n: float) -> None:
    """By numpy alone, simulated noise of the measured N has the same lower semideviation about its middle."""
    def semideviation(x: NDArray[np.float64]) -> float:
        low, high = np.quantile(x, MIDDLE_QUANTILES)
        middle = x[(x >= low) & (x <= high)].mean()
        return float(np.sqrt(np.mean(np.where(x < middle, x / middle - 1, 0) ** 2)))

    rng = np.random.default_rng(9)
    sample = rng.gamma(n * 1.2, 1 / n, 50_000)  # noise of 1.2 N at a level of 1.2
    grid = n * np.array([1.0, 1.1, 1.2, 1.3, 1.4])
    by_n = [semideviation(rng.gamma(g, 1 / g, 1_000_000)) for g in grid]
    oracle = np.interp(-semideviation(sample), -np.array(by_n), grid)

    assert measure_noise_spectra(sample.astype(np.float32)) == pytest.approx(oracle, rel=0.015)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 100), (2, 3, 2048), (2, 9001)])
def test_each_row_has_its_own_middle_and_square(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).gamma(20, 1 / 20, shape).astype(np.float32)
    middles, squares = middles_and_squares(values)
    assert middles.shape == squares.shape == shape[:-1]
    for row in np.ndindex(*shape[:-1]):
        low, high = (int(share * shape[-1]) for share in MIDDLE_QUANTILES)
        middle = np.sort(values[row].astype(float))[low : high + 1].mean()
        assert middles[row] == pytest.approx(middle, rel=1e-6)
        assert squares[row] == pytest.approx(np.mean(np.minimum(values[row] / middle - 1, 0) ** 2), rel=1e-5)


def test_signals_hardly_raise_the_measured_spread() -> None:
    sample = noise(102, 200_000)
    sample[:10_000] *= 100

    assert 0.85 * 102 < measure_noise_spectra(sample) < 102


@pytest.mark.parametrize("values", [[1.0], [3.0, 3.0, 3.0], [1e-30] * 5])
def test_a_constant_has_no_spread(values: list[float]) -> None:
    assert measure_noise_spectra(np.array(values, np.float32)) == pytest.approx(1e6)
