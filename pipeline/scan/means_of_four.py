"""Compiled loops of averaging: means of four neighbouring channels, and which samples are dead."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.time_mean import MAX_FLOAT32
from pipeline.support.compiled import njit
from pipeline.support.simd import LANES, add, broadcast, is_any_outside, load, minimum, multiply, store
from pipeline.support.simd_pairs import add_pairs
from pipeline.support.simd_stores import store_sums_of_four

MIN_EXACT = np.float32(2**-120)
"""Samples above this can be divided by four without a loss of bits."""
AT_ONCE = 4 * LANES
"""Channels that are averaged at once."""
_INFINITY_BITS = 0x7F800000
"""The bits of infinity as float32. Positive finite numbers have smaller ones, as integers; negative numbers are below
0."""

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled  # type: ignore[untyped-decorator]
def mean_of_four(
    values: NDArray[np.float32], row: int, column: int, rows: int, columns: int, into: NDArray[np.float32],
    to_row: int, to_column: int,
) -> None:
    """Average every four neighbours of an area, (rows, 4 × columns), into an area of another array."""
    for t in range(rows):
        fours, means = values[row + t, column : column + 4 * columns], into[to_row + t, to_column : to_column + columns]
        for c in range(columns):
            at = 4 * c
            means[c] = ((fours[at] + fours[at + 1]) + (fours[at + 2] + fours[at + 3])) * np.float32(0.25)


@_compiled  # type: ignore[untyped-decorator]
def are_all_alive(stored: NDArray[np.float32]) -> bool:
    """Tell whether all samples are positive and finite, and the first and last spectrum differ everywhere."""
    low, high = np.int32(1), np.int32(0)
    for t in range(len(stored)):
        bits = stored[t].view(np.int32)  # integers are compared faster than numbers that may be NaN
        for c in range(len(bits)):
            low, high = min(low, bits[c]), max(high, bits[c])
    return bool(low > 0 and high < _INFINITY_BITS and _do_ends_differ(stored))


@_compiled  # type: ignore[untyped-decorator]
def _do_ends_differ(stored: NDArray[np.float32]) -> bool:
    """Tell whether the first and last spectrum differ everywhere, or are the same one."""
    first, last, is_any_equal = stored[0].view(np.int32), stored[-1].view(np.int32), False
    for c in range(len(first)):
        is_any_equal |= first[c] == last[c]
    return len(stored) == 1 or not is_any_equal


@_compiled  # type: ignore[untyped-decorator]
def average_living(
    stored: NDArray[np.float32], fours: NDArray[np.float32], row: int, column: int, sixteens: NDArray[np.float32],
    wide_row: int, wide_column: int,
) -> bool:
    """Average every four channels and every sixteen as :func:`mean_of_four` does. Tell whether no sample is dead.

    It also returns False for numbers of channels, and for samples so weak or so strong, that would need more care.

    Parameters
    ----------
    stored : (spectra, channels) float32
    fours, row, column
        Receives the means of four from this row and column on.
    sixteens, wide_row, wide_column
        The same for the means of sixteen. An array without numbers leaves them out.
    """
    (spectra, channels), quarter, total = stored.shape, np.float32(0.25), broadcast(np.float32(0))
    flat, means, wide_means, has_wide = stored.reshape(-1), fours.reshape(-1), sixteens.reshape(-1), sixteens.size > 0
    if channels % AT_ONCE or not _do_ends_differ(stored):
        return False
    for t in range(spectra):
        start, to, low = t * channels, (row + t) * fours.shape[1] + column, broadcast(MAX_FLOAT32)
        to_wide = (wide_row + t) * sixteens.shape[1] + wide_column
        for c in range(0, channels, AT_ONCE):
            at = start + c
            a, b, d, e = load(flat, at), load(flat, at + LANES), load(flat, at + 2 * LANES), load(flat, at + 3 * LANES)
            # in this order, NaN changes the sum only
            low = minimum(a, minimum(b, minimum(d, minimum(e, low))))
            total = add(total, add(add(a, b), add(d, e)))
            four = multiply(add_pairs(add_pairs(a, b), add_pairs(d, e)), broadcast(quarter))
            store(means, to + c // 4, four)
            if has_wide:
                store_sums_of_four(wide_means, to_wide + c // 16, multiply(four, broadcast(quarter)))
        if is_any_outside(low, MIN_EXACT, MAX_FLOAT32) or is_any_outside(total, np.float32(0), MAX_FLOAT32):
            return False
    return True


@_compiled  # type: ignore[untyped-decorator]
def which_are_alive(stored: NDArray[np.float32], is_signed: bool, full_scale: np.float32) -> NDArray[np.bool_]:
    """Tell which samples are not dead."""
    alive = np.empty(stored.shape, np.bool_)
    differs = np.full(stored.shape[1], len(stored) == 1)
    for t in range(len(stored)):
        for c in range(stored.shape[1]):
            value = stored[t, c]
            alive[t, c] = np.isfinite(value) if is_signed else (value > 0) & (value < np.float32(np.inf))
            differs[c] |= value != stored[0, c]
    for t in range(len(stored)):
        for c in range(stored.shape[1]):
            alive[t, c] &= differs[c] | (stored[0, c] >= full_scale)
    return alive
