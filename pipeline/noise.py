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
    return _middle_of_sorted(np.sort(values))


def _middle_of_sorted(values: NDArray[np.floating[Any]]) -> float:
    """Return what :func:`middle_of` does.

    A whole sort, as numpy has one for each processor's vectors, is faster than two selections.
    """
    first, last = int(MIDDLE[0] * len(values)), int(MIDDLE[1] * len(values))
    return float(np.mean(values[first : last + 1], dtype=np.float64))


def noise_spectra_of(power: NDArray[np.floating[Any]]) -> float:
    """Measure N from power whose noise lies around its middle, from the pixels below it: signals only add.

    Parameters
    ----------
    power : 1-D, positive

    Returns
    -------
    float
        N for which Gamma noise has the measured mean square distance below its middle.
    """
    ordered = np.sort(power)
    middle = _middle_of_sorted(ordered)
    below = ordered[: np.searchsorted(ordered, middle)] / middle - 1
    deviation = float(np.sqrt(np.sum(below**2, dtype=np.float64) / len(power)))
    table_n, table_deviation = _semideviations()
    return float(np.exp(np.interp(-deviation, -table_deviation, np.log(table_n))))


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
