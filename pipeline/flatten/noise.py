"""How noisy noise is: the N of its Gamma distribution, by the header and as measured.

Noise of a filterbank bin is the mean of N independent exponentials (spectra × polarisations), so power over its mean is
Gamma(N, 1/N), of spread 1/√N: the radiometer equation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from pipeline.model import Header

MIDDLE = (0.4, 0.6)
"""Quantiles between which pixels count as the middle of a row."""


def nominal_noise_spectra(header: Header) -> float:
    """Return N = 2 · tsamp · \\|foff\\|: spectra summed in one bin, times two polarisations (at least 1)."""
    return max(1.0, 2 * header.tsamp_s * header.channel_width_mhz * 1e6)


def middle_of(values: NDArray[np.floating[Any]]) -> float:
    """Return the mean of the middle fifth: a median that does not jump where data are quantised to few levels.

    Like a median, it stands for the noise while signals fill less than two fifths.
    """
    return float(_middles_of_sorted(np.sort(values)))


def middles_and_squares(values: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle of values (…, n) and the mean square of what lies below it, relative to it: (…) each."""
    # a whole sort, as numpy has one for each processor's vectors: faster than two selections
    ordered, (_, last) = np.sort(values, axis=-1), _middle_places(values.shape[-1])
    middle = _middles_of_sorted(ordered)
    below = np.minimum(ordered[..., : last + 1] / middle[..., None].astype(ordered.dtype) - 1, 0)
    return middle, np.asarray(np.sum(below**2, axis=-1) / values.shape[-1], np.float64)


def _middles_of_sorted(ordered: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    first, last = _middle_places(ordered.shape[-1])
    return np.asarray(np.mean(ordered[..., first : last + 1], axis=-1), np.float64)


def _middle_places(count: int) -> tuple[int, int]:
    return int(MIDDLE[0] * count), int(MIDDLE[1] * count)


def noise_spectra_of(power: NDArray[np.floating[Any]]) -> float:
    """Measure N from power (n,), positive, whose noise lies around its middle, from pixels below: signals only add."""
    return noise_spectra_of_square(middles_and_squares(power)[1])


def noise_spectra_of_square(square: float | np.float64 | NDArray[np.float64]) -> float:
    """Return the N for which Gamma noise has the mean ``square`` of relative distances below its middle."""
    table_n, table_deviation = _semideviations()
    return float(np.exp(np.interp(-np.sqrt(square), -table_deviation, np.log(table_n))))


_N_TABLE = tuple(float(n) for n in np.geomspace(1, 1e6, 121))


@lru_cache(maxsize=1)
def _semideviations() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tabulate N against √E[min(x/m − 1, 0)²] for Gamma(N) and its middle m, from incomplete gamma functions."""
    n = np.array(_N_TABLE)
    # E[x^k; x < q] = (N)_k / N^k · P(N + k, N q)
    low, high = gammaincinv(n, MIDDLE[0]), gammaincinv(n, MIDDLE[1])
    nm = n * (gammainc(n + 1, high) - gammainc(n + 1, low)) / (MIDDLE[1] - MIDDLE[0])
    square = gammainc(n, nm) - 2 * gammainc(n + 1, nm) * n / nm + gammainc(n + 2, nm) * n * (n + 1) / nm**2
    return n, np.sqrt(square)
