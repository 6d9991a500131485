"""A table of the codes of cutouts, because the inverse hyperbolic sine of each pixel would take ten times as long."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.support.compiled import njit

Formula = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Returns the codes of numbers, 1 to 255. The code of a larger number is the same or larger."""
OUTERMOST = np.array([-2.0**20, 2.0**20], np.float32)
"""Numbers that have the first and the last code."""
BITS = 14
"""Number of leading bits of a float32 that are the index of the table. No two limits have the same leading bits."""


def look_up(numbers: NDArray[np.float32], formula: Formula) -> NDArray[np.uint8]:
    """Return the codes of numbers. They equal those of the formula, which is asked for the limits of codes only.

    Parameters
    ----------
    numbers : (...) float32
        No NaN.
    formula : callable
    """
    codes = np.empty(numbers.shape, np.uint8)
    _look_up(np.ascontiguousarray(numbers).reshape(-1), *_tabulate(formula), codes.reshape(-1))
    return codes


@lru_cache(maxsize=1)
def _tabulate(formula: Formula) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Tabulate the formula.

    Returns
    -------
    (2^14,) uint8
        By the leading bits of a float32: the code of the smallest number that has them.
    (256,) float32
        By code: the smallest number of the next code. It is NaN for code 255, and not used for code 0.
    """
    codes, ends = np.arange(2, 256), OUTERMOST.view(np.int32) & np.int32(2**31 - 1)
    low, high = np.full(len(codes), -int(ends[0])), np.full(len(codes), int(ends[1]))
    while (high - low > 1).any():  # bisection over all float32
        middle = (low + high) // 2
        is_reached = formula(_of_rank(middle)) >= codes
        low, high = np.where(is_reached, low, middle), np.where(is_reached, middle, high)
    limits = np.full(256, np.nan, np.float32)
    limits[1:255] = _of_rank(high)
    leading = np.arange(2**BITS, dtype=np.uint32)
    last = (2 ** (32 - BITS) - 1) * (leading >> (BITS - 1))  # of negative numbers, the smallest has all other bits set
    smallest = ((leading << (32 - BITS)) | last).astype(np.uint32).view(np.float32)
    return (1 + np.searchsorted(limits[1:255], np.nan_to_num(smallest), "right")).astype(np.uint8), limits


def _of_rank(rank: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the float32 of a rank: 0 for 0, 1 for the next larger number, −1 for the next smaller one."""
    return np.where(rank < 0, 2**31 - rank, rank).astype(np.uint32).view(np.float32)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _look_up(
    numbers: NDArray[np.float32], first: NDArray[np.uint8], limits: NDArray[np.float32], codes: NDArray[np.uint8]
) -> None:
    bits = numbers.view(np.uint32)
    for i in range(len(numbers)):
        code = first[bits[i] >> np.uint32(32 - BITS)]
        codes[i] = code + np.uint8(numbers[i] >= limits[code])
