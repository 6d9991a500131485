"""The shape of a band under its signals: a running median over blocks of channels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from pipeline.compiled import njit

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


def median_over_mean(shape: float) -> np.float64:
    """Return the median of noise that is Gamma of ``shape``, mean 1."""
    return np.float64(gammaincinv(shape, 0.5) / shape)


def middles(blocks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the median of each row."""
    width = blocks.shape[1]
    middle = np.sort(blocks, axis=1)[:, (width - 1) // 2 : width // 2 + 1]  # faster than a selection
    medians: NDArray[np.float64] = middle.mean(axis=1, dtype=np.float64)
    return medians


class BandShape:
    """The smooth band under a time-averaged spectrum, which is added piece by piece, from low frequency.

    Parameters
    ----------
    channels : int
        Of the whole spectrum.
    shape : float
        Noise is Gamma of this shape.
    coarse_width : int, optional
        Channels of a whole coarse channel; None for a piece of a band without any.
    """

    def __init__(self, channels: int, shape: float, coarse_width: int | None) -> None:
        block, smoothing = smoothing_of(coarse_width)
        blocks = channels // block
        self._channels, self._median_over_mean = channels, median_over_mean(shape)
        self._is_level = blocks < (FEWEST_BLOCKS if coarse_width is None else smoothing)
        self._width = channels // max(1, blocks)
        self._half = max(0, min(smoothing, blocks - (1 - blocks % 2)) // 2)
        self._blocks = blocks
        self._spectrum = np.empty(channels, np.float32)
        self._added, self._last_alive = 0, -1
        self._levels = self._smoothed = 0
        self._level = np.empty(blocks + 2 * self._half)
        """Of each block, as far as they are known; before and after them, lines that continue them."""
        self._smooth = np.empty(blocks + 2, np.float32)
        """Running medians of them, one more before and one after."""

    def add(self, spectrum: NDArray[np.float32]) -> None:
        """Add the next channels; 0 where they are dead."""
        first, self._added = self._added, self._added + len(spectrum)
        self._spectrum[first : self._added] = spectrum
        if self._is_level:
            return
        if self._last_alive == first - 1 and spectrum.min() > 0:  # nearly always
            self._last_alive = self._added - 1
        else:
            self._last_alive = _bridge(self._spectrum[: self._added], first, self._last_alive)
        if self._added == self._channels and self._last_alive >= 0:
            self._spectrum[self._last_alive + 1 :] = self._spectrum[self._last_alive]
            self._last_alive = self._channels - 1
        self._find_levels((self._last_alive + 1) // self._width)
        self._smooth_levels()

    @property
    def known(self) -> int:
        """Channels, from low frequency, whose band no further piece will change."""
        if self._added == self._channels:
            return self._channels
        return max(0, int(_middle_before(self._smoothed, self._width))) if self._smoothed else 0

    def between(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the band of channels that are :attr:`known`."""
        if self._is_level:
            alive = self._spectrum[self._spectrum > 0]
            level = np.median(alive) / self._median_over_mean if len(alive) else 1
            return np.full(stop - start, level, np.float32)
        if self._last_alive < 0:
            return np.ones(stop - start, np.float32)
        band: NDArray[np.float32] = _between_blocks(self._smooth, self._width, start, stop)
        return band

    def _find_levels(self, count: int) -> None:
        first, self._levels = self._levels, min(count, self._blocks)
        blocks = self._spectrum[first * self._width : self._levels * self._width].reshape(-1, self._width)
        self._level[self._half + first : self._half + self._levels] = middles(blocks)

    def _smooth_levels(self) -> None:
        """Take running medians, continued in a straight line beyond both ends so that slopes survive there."""
        half, level, is_whole = self._half, self._level, self._levels == self._blocks
        first, stop = self._smoothed, self._blocks if is_whole else self._levels - half
        if stop < max(first + 1, 2):
            return
        if first == 0:
            level[:half] = _line_before(level[half:], half)
        if is_whole:
            level[half + stop :] = _line_before(level[half : half + stop][::-1], half)[::-1]
        smooth = _running_medians(level[first : stop + 2 * half], half)
        self._smooth[first + 1 : stop + 1] = smooth / self._median_over_mean
        if first == 0:
            self._smooth[0] = (2 * smooth[0] - smooth[1]) / self._median_over_mean
        if is_whole:
            self._smooth[-1] = (2 * smooth[-1] - smooth[-2]) / self._median_over_mean
        self._smoothed = stop


def band_shape(spectrum: NDArray[np.float32], shape: float, coarse_width: int | None) -> NDArray[np.float32]:
    """Return the smooth band under a whole time-averaged spectrum (:class:`BandShape`)."""
    band = BandShape(len(spectrum), shape, coarse_width)
    band.add(spectrum)
    return band.between(0, len(spectrum))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _bridge(spectrum: NDArray[np.float32], start: int, last: int) -> int:
    """Draw straight lines over dead channels, level ones before the first that is alive; return the last alive.

    What lies before ``start`` is done, up to its ``last`` one alive.
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
def _middle_before(block: int, width: int) -> int:
    """Return the first channel beyond the middle of the block before ``block``; of the first one, below the band."""
    return math.ceil(block * width - (width - (width - 1) / 2))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _between_blocks(level: NDArray[np.float32], width: int, start: int, stop: int) -> NDArray[np.float32]:
    """Interpolate from the middles of blocks to channels. The first and the last level lie outside the band."""
    band = np.empty(stop - start, np.float32)
    offset = width - (width - 1) / 2  # of channel 0 from the middle of the block before it
    of_block = 1 / width
    i, at = max(0, start // width - 1), start
    while at < stop:
        end = stop if i == len(level) - 2 else min(stop, _middle_before(i + 1, width))
        rise = level[i + 1] - level[i]
        for c in range(at, end):
            band[c - start] = level[i] + np.float32(min((c + offset) * of_block - i, 1.0)) * rise
        i, at = i + 1, max(at, end)
    return band


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _running_medians(level: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Return the median of each number with so many neighbours on either side, of those that have as many."""
    out = np.empty(len(level) - 2 * half)
    ordered = np.sort(level[: 2 * half + 1])
    out[0] = ordered[half]
    for i in range(1, len(out)):
        gone, new = level[i - 1], level[i + 2 * half]
        at = np.searchsorted(ordered, gone)
        while at > 0 and ordered[at - 1] > new:
            ordered[at] = ordered[at - 1]
            at -= 1
        while at < 2 * half and ordered[at + 1] < new:
            ordered[at] = ordered[at + 1]
            at += 1
        ordered[at] = new
        out[i] = ordered[half]
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _line_before(level: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Continue a sequence ``count`` places before its start, by the median slope (Theil-Sen) of as many after it."""
    slopes = np.empty(count * (count + 1) // 2)
    k = 0
    for i in range(count + 1):
        for j in range(i + 1, count + 1):
            slopes[k] = (level[j] - level[i]) / (j - i)
            k += 1
    slope = np.median(slopes)
    start = np.median(level[: count + 1] - slope * np.arange(count + 1))
    return start + slope * (np.arange(count) - count)
