"""The shape of a band under its signals: a running median over blocks of channels."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import gammaincinv

BLOCK = 256
"""Channels a block of the band-shape estimate."""
SMOOTHING = 33
"""Blocks in the running median: a signal up to 16 blocks (4,096 channels, 11 kHz at 2.79 Hz) wide stays in the data
where the band is level; on its slopes it stays in part. The band itself has to be smooth over this width."""
BAND_FEATURE = 64
"""The shape of a coarse channel is smooth over one part in so many of its width: in narrow ones the running median is
no wider, and what stays in the data is as much narrower."""
FEWEST_BLOCKS = 8
"""A piece of a band without coarse channels that is shorter than this many blocks is taken to be flat."""


def smoothing_of(coarse_width: int | None) -> tuple[int, int]:
    """Return channels a block, and blocks in the running median (an odd number), for coarse channels of a width."""
    reach = BLOCK * SMOOTHING if coarse_width is None else min(BLOCK * SMOOTHING, coarse_width // BAND_FEATURE)
    block = max(1, reach // SMOOTHING)
    return block, max(3, min(SMOOTHING, reach) | 1)


def band_shape(spectrum: NDArray[np.float32], shape: float, coarse_width: int | None) -> NDArray[np.float32]:
    """Return the smooth band under a time-averaged spectrum whose noise is Gamma of ``shape``."""
    channels = len(spectrum)
    block, smoothing = smoothing_of(coarse_width)
    valid = spectrum > 0
    if not valid.any():
        return np.ones(channels, np.float32)
    median_over_mean = gammaincinv(shape, 0.5) / shape
    n_blocks = channels // block
    if n_blocks < (FEWEST_BLOCKS if coarse_width is None else smoothing):
        return np.full(channels, np.median(spectrum[valid]) / median_over_mean, np.float32)
    spectrum = _bridged(spectrum)
    width = channels // n_blocks
    blocks = np.sort(spectrum[: n_blocks * width].reshape(n_blocks, width), axis=1)  # faster than a selection
    level = blocks[:, (width - 1) // 2 : width // 2 + 1].mean(axis=1, dtype=np.float64)
    smooth = _running_median(level, smoothing)
    smooth = np.concatenate([2 * smooth[:1] - smooth[1:2], smooth, 2 * smooth[-1:] - smooth[-2:-1]])
    band: NDArray[np.float32] = _between_blocks((smooth / median_over_mean).astype(np.float32), width, channels)
    return band


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _bridged(spectrum: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the spectrum with straight lines over its dead channels, level ones at its ends."""
    bridged = spectrum.copy()
    last = -1
    for c in range(len(spectrum)):
        if spectrum[c] > 0:
            if last < c - 1:
                left = spectrum[last] if last >= 0 else spectrum[c]
                for gap in range(last + 1, c):
                    bridged[gap] = left + (spectrum[c] - left) * np.float32((gap - last) / (c - last))
            last = c
    bridged[last + 1 :] = spectrum[last]
    return bridged


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _between_blocks(level: NDArray[np.float32], width: int, channels: int) -> NDArray[np.float32]:
    """Interpolate from the middles of blocks to channels. The first and the last level lie outside the band."""
    band = np.empty(channels, np.float32)
    offset = width - (width - 1) / 2  # of channel 0 from the middle of the block before it
    start = 0
    for i in range(len(level) - 1):
        is_last = i == len(level) - 2
        stop = channels if is_last else min(channels, math.ceil((i + 1) * width - offset))
        rise = level[i + 1] - level[i]
        for c in range(start, stop):
            band[c] = level[i] + np.float32(min((c + offset) / width - i, 1.0)) * rise
        start = stop
    return band


def _running_median(level: NDArray[np.float64], smoothing: int) -> NDArray[np.float64]:
    """Return the running median, continued in a straight line beyond both ends so that slopes survive there."""
    half = min(smoothing, len(level) - (1 - len(level) % 2)) // 2
    padded = np.concatenate([_line_before(level, half), level, _line_before(level[::-1], half)[::-1]])
    smooth: NDArray[np.float64] = median_filter(padded, 2 * half + 1, mode="nearest")[half:-half]
    return smooth


def _line_before(level: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Continue a sequence ``count`` places before its start, by the median slope (Theil-Sen) of as many after it."""
    at = np.arange(count + 1)
    first, second = np.triu_indices(count + 1, 1)
    slope = np.median((level[second] - level[first]) / (second - first))
    start = np.median(level[: count + 1] - slope * at)
    line: NDArray[np.float64] = start + slope * (at[:-1] - count)
    return line
