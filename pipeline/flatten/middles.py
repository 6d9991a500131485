"""The middle of noise, and its spread below the middle, for many rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.noise import middle_ranks
from pipeline.flatten.ranks import between_ranks
from pipeline.support.compiled import njit
from pipeline.support.simd import LANES, add, broadcast, divide, load, minimum, multiply, store, subtract

SUMMED = 4096
"""Maximum number of squares that are added up in single precision."""


def middles_and_squares(values: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle of values, and how far values are below it.

    Parameters
    ----------
    values : (…, n) floating-point array

    Returns
    -------
    (…) float64
        Middle of the n values (:func:`pipeline.flatten.noise.middle_of`).
    (…) float64
        Mean of min(value / middle − 1, 0)² over the n values.
    """
    values = np.asarray(values, np.float32)
    rows, (first, last) = values.reshape(-1, values.shape[-1]), middle_ranks(values.shape[-1])
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
