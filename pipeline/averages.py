"""Averages over time, of whatever a file holds: what is not valid is left out."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

STRIP = 2048
"""Channels whose sums over time stay in a core's nearest cache."""


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
    spectra, channels = power.shape
    mean, is_whole = np.zeros(channels, np.float32), np.zeros(channels, np.bool_)
    low, high = np.empty(STRIP, np.float32), np.empty(STRIP, np.float32)
    for start in range(0, channels, STRIP):
        total = mean[start : start + STRIP]
        if spectra % 4 == 0 and _add_up_valid(power, start, row_scale, total, low[: len(total)], high[: len(total)]):
            is_whole[start : start + STRIP] = True
        else:
            _average_valid(power, start, row_scale, total, is_whole[start : start + STRIP])
    return mean, is_whole


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_up_valid(
    power: NDArray[np.float32], start: int, row_scale: NDArray[np.float32], mean: NDArray[np.float32],
    low: NDArray[np.float32], high: NDArray[np.float32],
) -> bool:
    """Average a stretch as if every pixel were valid, and tell whether that is so: it nearly always is.

    What is not valid shows afterwards, by a minimum that is not positive or a sum that is not finite.
    """
    stop = start + len(mean)
    low[:], high[:], mean[:] = power[0, start:stop], power[0, start:stop], 0
    for t in range(0, len(power), 4):  # four rows at once: most of the time goes into loads and stores
        row_a, row_b = power[t, start:stop], power[t + 1, start:stop]
        row_c, row_d = power[t + 2, start:stop], power[t + 3, start:stop]
        scale_a, scale_b, scale_c, scale_d = row_scale[t], row_scale[t + 1], row_scale[t + 2], row_scale[t + 3]
        for i in range(len(mean)):
            a, b, c, d = row_a[i], row_b[i], row_c[i], row_d[i]
            mean[i] = (((mean[i] + a * scale_a) + b * scale_b) + c * scale_c) + d * scale_d
            less, also_less = a if a < b else b, c if c < d else d
            less = less if less < also_less else also_less
            low[i] = less if less < low[i] else low[i]
            more, also_more = a if a > b else b, c if c > d else d
            more = more if more > also_more else also_more
            high[i] = more if more > high[i] else high[i]
    are_valid = (row_scale > 0).all()
    for i in range(len(mean)):
        are_valid &= (low[i] > 0) & (high[i] < np.inf) & (mean[i] < np.inf)
        mean[i] = mean[i] / np.float32(len(power)) if (high[i] > low[i]) | (len(power) == 1) else np.float32(0)
    return bool(are_valid)


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
