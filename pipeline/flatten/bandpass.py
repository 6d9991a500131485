"""The shape of a band under its signals: a running median over blocks of channels."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from pipeline.support.compiled import njit

BLOCK_CHANNELS = 256
"""Channels in a block. The band is estimated from the medians of blocks."""
MEDIAN_BLOCKS = 33
"""Blocks in the running median. It determines which signals survive: where the band is level, a signal up to 16 blocks
wide (4,096 channels, 11 kHz at 2.79 Hz) stays in the data. Where the band slopes, part of it stays. The band itself
must be smooth over the width of the running median."""
MIN_MEDIANS = 64
"""Minimum width of a coarse channel, in widths of the running median. In a narrow coarse channel, the band changes over
fewer channels. So the running median must be narrower there, and signals must be narrower to stay in the data."""
MIN_LEVELLED_MEDIANS = 8
"""The same, if the relative level of each channel is known. What is left of the band then changes slowly."""
MIN_SHAPE_BLOCKS = 8
"""Minimum number of blocks in a piece of a band without coarse channels. A shorter piece is taken to be flat, unless
the level of each of its channels is known."""


def median_size(coarse_width: int | None, has_levels: bool = False) -> tuple[int, int]:
    """Return the size of the running median for coarse channels of ``coarse_width`` channels.

    ``has_levels`` is True if the relative level of each channel is known.

    Returns
    -------
    int, int
        Channels in a block, and blocks in the running median (an odd number).
    """
    widest = BLOCK_CHANNELS * MEDIAN_BLOCKS
    at_least = MIN_LEVELLED_MEDIANS if has_levels else MIN_MEDIANS
    reach = widest if coarse_width is None else min(widest, coarse_width // at_least)
    block = max(1, reach // MEDIAN_BLOCKS)
    return block, max(3, min(MEDIAN_BLOCKS, reach) | 1)


def median_over_mean(shape: float) -> np.float64:
    """Return the ratio of median to mean of noise that has a Gamma distribution with parameter ``shape``."""
    return np.float64(gammaincinv(shape, 0.5) / shape)


def row_medians(blocks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the median of each row.

    Parameters
    ----------
    blocks : (n, width) float32

    Returns
    -------
    (n,) float64
    """
    width = blocks.shape[1]
    ordered = np.sort(blocks, axis=1)  # a full sort is faster than a partial one
    low, high = ordered[:, (width - 1) // 2].astype(np.float64), ordered[:, width // 2]
    medians: NDArray[np.float64] = (low + high) / 2  # `mean` would take a third of the time of the sort
    return medians


class BandShape:
    """The smooth band under a time-averaged spectrum, which is added in pieces from low frequency.

    The band becomes known with a delay: half a running median later than its spectrum. What is known never changes. It
    does not depend on how the spectrum is divided into pieces.

    Parameters
    ----------
    channels : int
        Channels in the whole spectrum.
    shape : float
        Shape parameter of the Gamma distribution of the noise in the spectrum.
    coarse_width : int, optional
        Channels in a whole coarse channel; None for a piece of a band that has no coarse channels.
    levels : (channels,) float32, optional
        Relative level of each channel. The spectrum is divided by it first, and the band is multiplied by it.
    """

    def __init__(
        self, channels: int, shape: float, coarse_width: int | None, levels: NDArray[np.float32] | None = None
    ) -> None:
        block, smoothing = median_size(coarse_width, levels is not None)
        blocks = channels // block
        self._channels, self._median_over_mean = channels, median_over_mean(shape)
        self._is_flat = blocks < (MIN_SHAPE_BLOCKS if coarse_width is None else smoothing)
        self._relative = levels
        self._width = channels // max(1, blocks)
        self._half = max(0, min(smoothing, blocks - (1 - blocks % 2)) // 2)
        self._blocks = blocks
        self._spectrum = np.empty(channels, np.float32)
        self._n_added, self._last_alive = 0, -1
        self._n_levels = self._n_smoothed = 0
        self._levels = np.empty(blocks + 2 * self._half)
        """Median of each block, as far as known. Straight lines continue them before the first and after the last."""
        self._smoothed = np.empty(blocks + 2, np.float32)
        """Running median at each block, as far as known, with one more before the first and after the last."""

    def add(self, spectrum: NDArray[np.float32]) -> None:
        """Add the next channels of the spectrum; dead channels are 0."""
        first, self._n_added = self._n_added, self._n_added + len(spectrum)
        if self._relative is not None:
            spectrum = spectrum / self._relative[first : self._n_added]
        self._spectrum[first : self._n_added] = spectrum
        if self._is_flat:
            return
        if self._last_alive == first - 1 and spectrum.min() > 0:  # nearly always
            self._last_alive = self._n_added - 1
        else:
            self._last_alive = _fill_dead_channels(self._spectrum[: self._n_added], first, self._last_alive)
        if self._n_added == self._channels and self._last_alive >= 0:
            self._spectrum[self._last_alive + 1 :] = self._spectrum[self._last_alive]
            self._last_alive = self._channels - 1
        self._find_levels((self._last_alive + 1) // self._width)
        self._smooth_levels()

    @property
    def n_known(self) -> int:
        """Number of channels, from low frequency, whose band is known."""
        if self._n_added == self._channels:
            return self._channels
        return max(0, int(_channel_after_middle(self._n_smoothed, self._width))) if self._n_smoothed else 0

    def between(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the band of channels [start, stop), which must be among the :attr:`n_known` first channels."""
        band = self._without_levels(start, stop)
        return np.asarray(band if self._relative is None else band * self._relative[start:stop], np.float32)

    def _without_levels(self, start: int, stop: int) -> NDArray[np.floating[Any]]:
        """Return the band of channels [start, stop) after division by the levels of the channels."""
        if self._is_flat:
            alive = self._spectrum[self._spectrum > 0]
            return np.full(stop - start, np.median(alive) / self._median_over_mean if len(alive) else 1.0)
        if self._last_alive < 0:
            return np.ones(stop - start, np.float32)
        band: NDArray[np.float32] = _interpolate(self._smoothed, self._width, start, stop)
        return band

    def _find_levels(self, count: int) -> None:
        """Find the medians of the first ``count`` blocks, except for those that are known."""
        first, self._n_levels = self._n_levels, min(count, self._blocks)
        blocks = self._spectrum[first * self._width : self._n_levels * self._width].reshape(-1, self._width)
        self._levels[self._half + first : self._half + self._n_levels] = row_medians(blocks)

    def _smooth_levels(self) -> None:
        """Take running medians of the levels. Straight lines continue these at both ends, so that slopes survive."""
        half, levels, is_complete = self._half, self._levels, self._n_levels == self._blocks
        first, stop = self._n_smoothed, self._blocks if is_complete else self._n_levels - half
        if stop < max(first + 1, 2):
            return
        if first == 0:
            levels[:half] = _extrapolate_before(levels[half:], half)
        if is_complete:
            levels[half + stop :] = _extrapolate_before(levels[half : half + stop][::-1], half)[::-1]
        medians = _running_medians(levels[first : stop + 2 * half], half)
        self._smoothed[first + 1 : stop + 1] = medians / self._median_over_mean
        if first == 0:
            self._smoothed[0] = (2 * medians[0] - medians[1]) / self._median_over_mean
        if is_complete:
            self._smoothed[-1] = (2 * medians[-1] - medians[-2]) / self._median_over_mean
        self._n_smoothed = stop


def band_shape(
    spectrum: NDArray[np.float32], shape: float, coarse_width: int | None, levels: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the smooth band under a whole time-averaged spectrum.

    Parameters
    ----------
    spectrum : (channels,) float32
        Dead channels are 0.
    shape, coarse_width, levels
        As for :class:`BandShape`.

    Returns
    -------
    (channels,) float32
    """
    band = BandShape(len(spectrum), shape, coarse_width, levels)
    band.add(spectrum)
    return band.between(0, len(spectrum))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _fill_dead_channels(spectrum: NDArray[np.float32], start: int, last: int) -> int:
    """Replace dead channels by straight lines between the living channels beside them.

    Dead channels before the first living one get its value.

    Parameters
    ----------
    spectrum : (channels,) float32
        Changed in place. Dead channels are 0.
    start : int
        First channel that has not been filled by an earlier call.
    last : int
        Last living channel before ``start``, or −1.

    Returns
    -------
    int
        Last living channel, or −1.
    """
    for c in range(start, len(spectrum)):
        if spectrum[c] > 0:
            if last < c - 1:
                left = spectrum[last] if last >= 0 else spectrum[c]
                for gap in range(last + 1, c):
                    spectrum[gap] = left + (spectrum[c] - left) * np.float32((gap - last) / (c - last))
            last = c
    return last


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _channel_after_middle(block: int, width: int) -> int:
    """Return the first channel after the middle of block ``block`` − 1. For block 0, it is negative."""
    return math.ceil(block * width - (width - (width - 1) / 2))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _interpolate(level: NDArray[np.float32], width: int, start: int, stop: int) -> NDArray[np.float32]:
    """Interpolate the band of channels [start, stop) between the middles of blocks.

    ``level`` begins with a value before the first block and ends with a value after the last block. So the outermost
    half blocks can be interpolated, too.
    """
    band = np.empty(stop - start, np.float32)
    offset = width - (width - 1) / 2  # distance of channel 0 from the middle of the block before it
    of_block = 1 / width
    i, at = max(0, start // width - 1), start
    while at < stop:
        end = stop if i == len(level) - 2 else min(stop, _channel_after_middle(i + 1, width))
        low, rise, part = level[i], level[i + 1] - level[i], band[at - start : end - start]
        for c in range(len(part)):
            distance = (np.float64(np.int32(at + c)) + offset) * of_block - i  # 32 bits, which AVX2 can convert
            part[c] = low + np.float32(min(distance, 1.0)) * rise
        i, at = i + 1, max(at, end)
    return band


def _running_medians(level: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Return the median of each number and its ``half`` neighbours on either side.

    The first and last ``half`` numbers have too few neighbours and are left out.
    """
    out = np.empty(len(level) - 2 * half)
    _slide_median(level, np.sort(level[: 2 * half + 1]), out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _slide_median(level: NDArray[np.float64], ordered: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Fill ``out`` with running medians. ``ordered`` has the first numbers, in order; each step replaces one of them.
    """
    width = len(ordered)
    out[0] = ordered[width // 2]
    for i in range(1, len(out)):
        gone, new = level[i - 1], level[i + width - 1]
        at = 0
        while ordered[at] < gone or (gone != gone and ordered[at] == ordered[at]):  # NaN is last
            at += 1
        while at > 0 and ordered[at - 1] > new:
            ordered[at] = ordered[at - 1]
            at -= 1
        while at < width - 1 and ordered[at + 1] < new:
            ordered[at] = ordered[at + 1]
            at += 1
        ordered[at] = new
        out[i] = ordered[width // 2]


@lru_cache(maxsize=8)
def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the smaller and the larger index of all pairs of ``count`` numbers, and how far they are apart."""
    first, second = np.triu_indices(count, 1)
    return first, second, second - first


def _extrapolate_before(level: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Continue a sequence by ``count`` numbers before its start, on a straight line.

    The slope is the median of the slopes between all pairs of the first ``count`` + 1 numbers (Theil-Sen estimator).
    """
    first, second, apart = _pairs(count + 1)
    with np.errstate(all="ignore"):  # a file may have any value
        slope = np.median((level[second] - level[first]) / apart)
        start = np.median(level[: count + 1] - slope * np.arange(count + 1))
        continued: NDArray[np.float64] = start + slope * (np.arange(count) - count)
    return continued
