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

from pipeline.flatten.ranks import between_ranks
from pipeline.model import Header
from pipeline.support.compiled import njit
from pipeline.support.simd import LANES, add, broadcast, divide, load, minimum, multiply, store, subtract

MIDDLE_QUANTILES = (0.4, 0.6)
"""Two quantiles. The *middle* of values is the mean of those between them."""

SUMMED = 4096
"""Maximum number of squares that are added up in single precision."""


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
    return float(_sorted_middles(np.sort(values)))


def middles_and_squares(values: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle of values, and how far values are below it.

    Parameters
    ----------
    values : (…, n) floating-point array

    Returns
    -------
    (…) float64
        Middle of the n values (:func:`middle_of`).
    (…) float64
        Mean of min(value / middle − 1, 0)² over the n values.
    """
    values = np.asarray(values, np.float32)
    rows, (first, last) = values.reshape(-1, values.shape[-1]), _middle_indices(values.shape[-1])
    middle = np.asarray(np.mean(between_ranks(rows, first, last), axis=-1), np.float64)
    divisor = middle.astype(np.float32)
    divisor[divisor == 0] = 1  # values that are next to nothing; the caller drops such rows
    square = _squares_below(rows, divisor)
    return middle.reshape(values.shape[:-1]), square.reshape(values.shape[:-1])


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _squares_below(values: NDArray[np.float32], divisors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of min(value / divisor − 1, 0)² of each row."""
    squares, sums = np.zeros(len(values)), np.empty(LANES, np.float32)
    rows, count = values.shape
    flat, one, nothing = values.reshape(-1), np.float32(1), np.float32(0)
    for row in range(rows):
        start, stop = row * count, (row + 1) * count
        for at in range(start, stop, SUMMED):
            whole = (min(SUMMED, stop - at)) // LANES * LANES
            total = broadcast(nothing)
            for c in range(at, at + whole, LANES):
                below = subtract(divide(load(flat, c), broadcast(divisors[row])), broadcast(one))
                below = minimum(below, broadcast(nothing))
                total = add(total, multiply(below, below))
            store(sums, 0, total)
            for lane in range(LANES):
                squares[row] += sums[lane]
            for c in range(at + whole, min(at + SUMMED, stop)):
                below_one = min(flat[c] / divisors[row] - one, nothing)
                squares[row] += below_one * below_one
        squares[row] /= count
    return squares


def _sorted_middles(ordered: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the middle of values that are sorted along the last axis."""
    first, last = _middle_indices(ordered.shape[-1])
    return np.asarray(np.mean(ordered[..., first : last + 1], axis=-1), np.float64)


def _middle_indices(count: int) -> tuple[int, int]:
    """Return the first and last index of the middle of ``count`` sorted values."""
    return int(MIDDLE_QUANTILES[0] * count), int(MIDDLE_QUANTILES[1] * count)


def measure_noise_spectra(power: NDArray[np.floating[Any]]) -> float:
    """Measure N from power whose noise is near its middle.

    Only pixels below the middle are used, because signals only add power.

    Parameters
    ----------
    power : (n,) floating-point array
        Positive values.
    """
    return noise_spectra_from_square(middles_and_squares(power)[1])


def noise_spectra_from_square(square: float | np.float64 | NDArray[np.float64]) -> float:
    """Return N, given the mean square of relative distances below the middle (:func:`middles_and_squares`)."""
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
