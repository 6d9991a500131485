"""Averages over time, of whatever a file holds: what is not valid is left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import njit
from pipeline.lanes import (
    COUNT,
    add,
    divide,
    is_any_outside,
    larger,
    load,
    multiply,
    smaller,
    spread,
    store,
    subtract,
    where_positive,
)

STRIP = 2048
"""Channels whose sums over time stay in a core's nearest cache."""
LARGEST = np.finfo(np.float32).max


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def time_mean(
    power: NDArray[np.float32], row_scale: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Average over time, row gains divided out.

    Returns
    -------
    (channels,) float32
        Mean of the valid pixels of each channel; 0 where none is, or all are equal.
    (channels,) bool
        True where every pixel is valid.
    """
    channels = power.shape[1]
    mean, is_whole = np.zeros(channels, np.float32), np.zeros(channels, np.bool_)
    for start in range(0, channels, STRIP):
        total = mean[start : start + STRIP]
        if len(total) % COUNT == 0 and _add_up_valid(power, start, row_scale, total):
            is_whole[start : start + STRIP] = True
        else:
            _average_valid(power, start, row_scale, total, is_whole[start : start + STRIP])
    return mean, is_whole


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_up_valid(
    power: NDArray[np.float32], start: int, row_scale: NDArray[np.float32], mean: NDArray[np.float32]
) -> bool:
    """Average a stretch as if every pixel were valid, and tell whether that is so: it nearly always is.

    What is not valid shows afterwards, by a minimum that is not positive or a sum that is not finite.
    """
    (spectra, stride), flat, nothing = power.shape, power.reshape(-1), np.float32(0)
    if not (row_scale > 0).all():
        return False
    for c in range(0, len(mean), COUNT):
        low = high = load(flat, start + c)
        total = spread(nothing)
        for t in range(spectra):
            value = load(flat, t * stride + start + c)
            total = add(total, multiply(value, spread(row_scale[t])))
            low, high = smaller(low, value), larger(high, value)
        if is_any_outside(low, nothing, LARGEST) or is_any_outside(total, nothing, LARGEST):
            return False
        average = divide(total, spread(np.float32(spectra)))
        store(mean, c, where_positive(subtract(high, low), average) if spectra > 1 else average)
    return True


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _average_valid(
    power: NDArray[np.float32], start: int, row_scale: NDArray[np.float32], mean: NDArray[np.float32],
    is_whole: NDArray[np.bool_],
) -> None:
    """Average a stretch over its valid pixels."""
    spectra, stop = len(power), start + len(mean)
    count, differs = np.zeros(len(mean), np.float32), np.full(len(mean), np.float32(spectra == 1))
    mean[:] = 0
    for t in range(spectra):
        row, first, scale = power[t, start:stop], power[0, start:stop], row_scale[t]
        counted = np.float32(scale > 0)
        for c in range(len(mean)):
            is_valid = (row[c] > 0) & (row[c] < np.inf)
            mean[c] += row[c] * scale if is_valid else np.float32(0)
            count[c] += counted if is_valid else np.float32(0)
            differs[c] = np.float32(1) if row[c] != first[c] else differs[c]
    for c in range(len(mean)):
        is_alive = (count[c] > 0) & (differs[c] > 0)
        mean[c] = mean[c] / count[c] if is_alive else np.float32(0)
        is_whole[c] = count[c] == spectra
