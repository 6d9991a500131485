"""The noise of filterbank data: the shape N of its Gamma distribution, from the header or measured.

The noise in one pixel is the mean of N independent exponential variables, one for each spectrum and polarisation that
was added up. So power divided by its mean has a Gamma(N, 1/N) distribution, whose standard deviation is 1/√N (the
radiometer equation).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from pipeline.model import Header

MIDDLE_QUANTILES = (0.4, 0.6)
"""Two quantiles. The *middle* of values is the mean of those between them."""


def nominal_noise_spectra(header: Header) -> float:
    """Return N from the header: 2 · tsamp · \\|foff\\|, at least 1.

    tsamp · \\|foff\\| is the number of spectra added up in one bin. The factor 2 stands for two polarisations.
    """
    return max(1.0, 2 * header.tsamp_s * header.channel_width_mhz * 1e6)


def middle_of(values: NDArray[np.floating[Any]]) -> float:
    """Return the middle of values: the mean of those between the quantiles 0.4 and 0.6.

    Like a median, it represents the noise while signals fill less than two fifths of the values. Unlike a median, it
    does not jump if data are quantised to few levels.

    Parameters
    ----------
    values : (n,) floating-point array
    """
    first, last = middle_ranks(len(values))
    return float(np.mean(np.sort(values)[first : last + 1]))


def middle_ranks(count: int) -> tuple[int, int]:
    """Return the first and last index of the middle of ``count`` sorted values."""
    return int(MIDDLE_QUANTILES[0] * count), int(MIDDLE_QUANTILES[1] * count)


def measure_noise_spectra(power: NDArray[np.floating[Any]]) -> float:
    """Measure N from values of power. Most of them must be noise, so that their middle is that of the noise.

    Only pixels below the middle are used, because signals only add power.

    Parameters
    ----------
    power : (n,) floating-point array
        Positive values.
    """
    # the same as middles_and_squares, but without compiled code, so that encoders need not load numba
    below = np.minimum(power / middle_of(power) - 1, 0)
    return noise_spectra_from_square(np.mean(below**2))


def noise_spectra_from_square(square: float | np.float64 | NDArray[np.float64]) -> float:
    """Return N, given the mean square of relative distances below the middle."""
    table_n, table_deviation = _tabulate_semideviations()
    return float(np.exp(np.interp(-np.sqrt(square), -table_deviation, np.log(table_n))))


_N_TABLE = tuple(float(n) for n in np.geomspace(1, 1e6, 121))
"""Values of N at which the relation is tabulated."""


@lru_cache(maxsize=1)
def _tabulate_semideviations() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tabulate √E[min(x/m − 1, 0)²] against N, for x from Gamma(N) and its middle m.

    The expectation follows from incomplete gamma functions.

    Returns
    -------
    (121,) float64, (121,) float64
        N and the semideviation.
    """
    n = np.array(_N_TABLE)
    # E[x^k; x < q] = (N)_k / N^k · P(N + k, N q)
    low, high = gammaincinv(n, MIDDLE_QUANTILES[0]), gammaincinv(n, MIDDLE_QUANTILES[1])
    nm = n * (gammainc(n + 1, high) - gammainc(n + 1, low)) / (MIDDLE_QUANTILES[1] - MIDDLE_QUANTILES[0])
    square = gammainc(n, nm) - 2 * gammainc(n + 1, nm) * n / nm + gammainc(n + 2, nm) * n * (n + 1) / nm**2
    return n, np.sqrt(square)
