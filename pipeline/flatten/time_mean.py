"""The mean of power over time, leaving out invalid pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.support.compiled import njit
from pipeline.support.simd import (
    LANES,
    add,
    broadcast,
    divide,
    is_any_outside,
    load,
    maximum,
    minimum,
    multiply,
    reverse,
    store,
    subtract,
    where_positive,
)

STRIP_CHANNELS = 2048
"""Channels averaged together. Their sums fit into a core's first-level cache."""
MAX_FLOAT32 = np.finfo(np.float32).max
"""Largest finite float32. Any larger value is infinite."""


def time_mean(
    power: NDArray[np.float32], row_scale: NDArray[np.float32], full_scale: np.float32, is_mirrored: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Average power over time, with row gains divided out.

    Parameters
    ----------
    power : (spectra, channels) float32
        C-contiguous. Pixels that are not finite or not positive are left out.
    row_scale : (spectra,) float32
        1 / gain of each row; 0 for a row that is left out.
    full_scale : float32
        Largest value that a sample of the file can have; infinity if there is none. A channel that always has this
        value is saturated by a signal. A channel that always has another value is dead.
    is_mirrored : bool
        True to return the channels in the opposite order.

    Returns
    -------
    (channels,) float32
        Mean of the valid pixels of each channel. It is 0 if a channel has none, or if all of its pixels are equal and
        below ``full_scale``.
    (channels,) bool
        True if every pixel of the channel is valid.
    """
    channels = power.shape[1]
    mean, is_unmasked = np.empty(channels, np.float32), np.empty(channels, np.bool_)
    _average(power, row_scale, bool((row_scale > 0).all()), full_scale, is_mirrored, mean, is_unmasked)
    return mean, is_unmasked


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _average(
    power: NDArray[np.float32], row_scale: NDArray[np.float32], has_all_rows: bool, full_scale: np.float32,
    is_mirrored: bool, mean: NDArray[np.float32], is_unmasked: NDArray[np.bool_],
) -> None:
    """Average power strip by strip. ``has_all_rows`` is True if no row is left out."""
    for start in range(0, len(mean), STRIP_CHANNELS):
        stop = min(start + STRIP_CHANNELS, len(mean))
        first, last = (len(mean) - stop, len(mean) - start) if is_mirrored else (start, stop)
        total, are_valid = mean[first:last], is_unmasked[first:last]
        is_whole = has_all_rows and len(total) % LANES == 0
        if is_whole and _add_up_valid(power, start, row_scale, full_scale, is_mirrored, total):
            for c in range(len(total)):
                are_valid[c] = True
            continue
        _average_valid(power, start, row_scale, full_scale, total, are_valid)
        if is_mirrored:
            for c in range(len(total) // 2):
                other = len(total) - 1 - c
                total[c], total[other] = total[other], total[c]
                are_valid[c], are_valid[other] = are_valid[other], are_valid[c]


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_up_valid(
    power: NDArray[np.float32], start: int, row_scale: NDArray[np.float32], full_scale: np.float32,
    is_mirrored: bool, mean: NDArray[np.float32],
) -> bool:
    """Average a strip as if every pixel were valid, and return whether that was true. It nearly always is.

    An invalid pixel shows up afterwards: the minimum is not positive, or the sum is not finite. ``mean`` is then
    incomplete.
    """
    (spectra, stride), flat, nothing = power.shape, power.reshape(-1), np.float32(0)
    for c in range(0, len(mean), LANES):
        low = high = load(flat, start + c)
        total = broadcast(nothing)
        for t in range(spectra):
            value = load(flat, t * stride + start + c)
            total = add(total, multiply(value, broadcast(row_scale[t])))
            low, high = minimum(low, value), maximum(high, value)
        if is_any_outside(low, nothing, MAX_FLOAT32) or is_any_outside(total, nothing, MAX_FLOAT32):
            return False
        average = divide(total, broadcast(np.float32(spectra)))
        if spectra > 1:
            saturated = subtract(average, where_positive(subtract(broadcast(full_scale), low), average))
            average = maximum(where_positive(subtract(high, low), average), saturated)
        if is_mirrored:
            store(mean, len(mean) - LANES - c, reverse(average))
        else:
            store(mean, c, average)
    return True


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _average_valid(
    power: NDArray[np.float32], start: int, row_scale: NDArray[np.float32], full_scale: np.float32,
    mean: NDArray[np.float32], is_unmasked: NDArray[np.bool_],
) -> None:
    """Average the valid pixels of a strip. Slower than :func:`_add_up_valid`, but correct for any data."""
    spectra, stop = len(power), start + len(mean)
    count, differs = np.zeros(len(mean), np.float32), np.zeros(len(mean), np.float32)
    for c in range(len(mean)):
        mean[c], differs[c] = np.float32(0), np.float32(spectra == 1)
    for t in range(spectra):
        row, first, scale = power[t, start:stop], power[0, start:stop], row_scale[t]
        row_count = np.float32(scale > 0)
        for c in range(len(mean)):
            is_valid = (row[c] > 0) & (row[c] < np.inf)
            mean[c] += row[c] * scale if is_valid else np.float32(0)
            count[c] += row_count if is_valid else np.float32(0)
            differs[c] = np.float32(1) if row[c] != first[c] else differs[c]
    for c in range(len(mean)):
        is_alive = (count[c] > 0) & ((differs[c] > 0) | (power[0, start + c] >= full_scale))
        mean[c] = mean[c] / count[c] if is_alive else np.float32(0)
        is_unmasked[c] = count[c] == spectra
