"""Values that are not power, turned into power: Stokes Q, U and V, data less their mean, decibels below zero.

The noise of such values has an arbitrary middle and spread. It need not be symmetric: power less its mean is skewed.
So the smooth middle and the smooth spread of the noise are measured along the coarse channel, and the skewness in all
of it. The values are then shifted and scaled such that their noise is that of power: it has a Gamma(N) distribution
with a mean of 1, whose N has the measured skewness. Power less its mean becomes that power again.

The noise of Stokes V is symmetric. Its large deviations are rarer than those of power with the N of the header, and
more frequent than those of a normal distribution. So the N of the header is the largest that is used.

Signals may lie on either side of the noise. With ``sign`` −1, the values are mirrored first, so that signals below the
noise become power above it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from pipeline.flatten.bandpass import BLOCK_CHANNELS, median_size

MAX_NEGATIVE_SHARE = 0.1
"""Maximum share of negative values in a spectrum of power: broken pixels, which are masked. With more of them in most
spectra, the values are not power."""
MIN_BLOCK_PIXELS = 4096
"""Minimum number of pixels in a block of channels. The error of the spread in one block is then about 1.5 %."""
QUANTILES = ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9))
"""Low, middle and high values of the noise are means between these quantiles. Means do not jump if values are quantised
to few levels, and signals that fill less than a tenth of a block do not affect them."""
MAX_DEVIATION = 4.0
"""The spread is the root mean square of the deviations up to this many spreads. Larger ones may be signals."""
MIN_NOMINAL = 25.0
"""Minimum of the largest N. With this N, power is positive down to five spreads below the mean. If it were smaller,
much of symmetric noise would be masked."""
MEAN_SQUARE = 0.99893
"""Mean square of the deviations of a normal distribution up to :data:`MAX_DEVIATION`, in units of the variance."""
ITERATIONS = 6
"""Number of iterations. Each one computes the spread with the limit of deviations that follows from the last one."""


def is_signed(values: NDArray[np.float32]) -> bool:
    """Tell whether values (spectra, channels) are not power, because too many of them are negative.

    Channels that never change are dead, and do not count.
    """
    if not (values < 0).any():  # nearly always
        return False
    if len(values) > 1:
        values = values[:, (values != values[0]).any(axis=0)]
    negative, positive = (values < 0).sum(axis=1), (values > 0).sum(axis=1)
    return bool(np.median(negative - MAX_NEGATIVE_SHARE * (negative + positive)) > 0)


@dataclass(frozen=True, slots=True)
class SignedScale:
    """How the values of one coarse channel become power: value × ``factor`` + ``offset``."""

    factor: NDArray[np.float32]
    """(channels,): negative if the values are mirrored."""
    offset: NDArray[np.float32]
    """(channels,)"""
    noise_spectra: float
    """N of the noise."""
    full_scale: float
    """Power that only a saturated value reaches; infinity if values have no limits."""

    @classmethod
    def measure(
        cls, pieces: Iterable[NDArray[np.float32]], shape: tuple[int, int], coarse_width: int | None, sign: int,
        limits: tuple[float, float], nominal: float,
    ) -> Self | None:
        """Measure the noise of a whole coarse channel; return None if there is none anywhere.

        Parameters
        ----------
        pieces : iterable of (spectra, channels) float32
            Its values, ascending, in pieces of whole blocks. Only the last piece may be of any width.
        shape : (int, int)
            Spectra and channels of the coarse channel.
        coarse_width : int, optional
            Channels in a whole coarse channel; None for a piece of a band that has no coarse channels.
        sign : {1, -1}
            −1 to find signals below the noise.
        limits : (float, float)
            Smallest and largest value that a sample of the file can have.
        nominal : float
            N from the header.
        """
        spectra, channels = shape
        width = min(block_width(spectra), channels)
        low, middle, high, spread = np.concatenate([_levels_of_blocks(piece, width) for piece in pieces]).T
        if sign < 0:
            low, middle, high = -high, -middle, -low
        below, above = middle - low, high - middle
        usable = (below > 0) & (above > 0) & (spread > 0)
        if not usable.any():
            return None
        n = min(_noise_spectra(float(np.median(above[usable] / below[usable]))), max(nominal, MIN_NOMINAL))
        half = _half_of_smoothing(coarse_width, width, len(middle))
        middles = _curve(np.where(usable, middle, np.nan), width, channels, half)
        factor = _gamma_spread(n) / _curve(np.where(usable, spread, np.nan), width, channels, half)
        offset = _gamma_levels(np.array([n]))[1, 0] - middles * factor
        limit = max(sign * limits[0], sign * limits[1])
        full_scale = float(np.min(limit * factor + offset)) if np.isfinite(limit) else np.inf
        return cls((sign * factor).astype(np.float32), offset.astype(np.float32), n, full_scale)

    def power(self, values: NDArray[np.float32], start: int) -> NDArray[np.float32]:
        """Return the power of values (spectra, channels), ascending, that begin at channel ``start``."""
        to = slice(start, start + values.shape[1])
        with np.errstate(all="ignore"):  # a file may hold any value; what is not finite is masked
            power = values * self.factor[to]
            power += self.offset[to]
        return power


def block_width(spectra: int) -> int:
    """Return the number of channels in a block: a multiple of :data:`BLOCK_CHANNELS` by a power of two."""
    width = BLOCK_CHANNELS
    while width * spectra < MIN_BLOCK_PIXELS:
        width *= 2
    return width


def _levels_of_blocks(values: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """Return low, middle and high level, and the spread, of the noise in each whole block of channels: (blocks, 4).

    Values that are not finite, and channels of one value, are left out. A block that consists of them mostly has NaN.
    """
    spectra, blocks = len(values), values.shape[1] // width
    values = values[:, : blocks * width]
    valid = np.isfinite(values)
    if spectra > 1:
        valid &= (values != values[0]).any(axis=0)
    pixels = np.where(valid, values, np.float32(np.nan)).reshape(spectra, blocks, width).swapaxes(0, 1)
    ordered = np.sort(pixels.reshape(blocks, spectra * width), axis=1)  # NaN last
    counts = np.isfinite(ordered).sum(axis=1)
    sums = np.zeros((blocks, spectra * width + 1))
    np.cumsum(np.nan_to_num(ordered), axis=1, dtype=np.float64, out=sums[:, 1:])
    rows, levels = np.arange(blocks), np.full((blocks, len(QUANTILES) + 1), np.nan)
    enough = 2 * counts > spectra * width
    for k, (first, last) in enumerate(QUANTILES):
        start = (first * counts).astype(np.int64)
        stop = np.maximum(start + 1, (last * counts).astype(np.int64))
        levels[enough, k] = ((sums[rows, stop] - sums[rows, start]) / (stop - start))[enough]
    levels[enough, -1] = _spreads(ordered[enough], levels[enough])
    return levels


def _spreads(values: NDArray[np.float32], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spread (blocks,) of values (blocks, pixels), which may be NaN, given their levels.

    Unlike the distance of levels, it is right for values that are quantised to few levels, too.
    """
    low, middle, high = levels[:, :3].T
    squares = (values - middle[:, None]) ** 2
    spread: NDArray[np.float64] = (high - low) / 1.722  # exact for normal noise
    for _ in range(ITERATIONS):
        near = squares <= (MAX_DEVIATION * spread[:, None]) ** 2
        mean = np.where(near, squares, 0).sum(axis=1) / np.maximum(near.sum(axis=1), 1)
        spread = np.sqrt(mean / MEAN_SQUARE)
    return spread


def _half_of_smoothing(coarse_width: int | None, width: int, blocks: int) -> int:
    """Return how many neighbours on either side belong to the running median over blocks.

    It is as wide as that of the band (:func:`pipeline.flatten.bandpass.median_size`), and at least three blocks.
    """
    channels, medians = median_size(coarse_width)
    smoothing = max(3, channels * medians // width)
    return max(0, min(smoothing, blocks - (1 - blocks % 2)) // 2)


def _curve(of_block: NDArray[np.float64], width: int, channels: int, half: int) -> NDArray[np.float64]:
    """Return a running median over blocks, interpolated to channels. Straight lines bridge blocks of NaN.

    At least one block must be a number.
    """
    known = np.flatnonzero(np.isfinite(of_block))
    at = np.arange(len(of_block))
    filled = np.pad(np.interp(at, known, of_block[known]), half, mode="edge")
    smooth = np.median(sliding_window_view(filled, 2 * half + 1), axis=1)
    return np.interp((np.arange(channels) + 0.5) / width - 0.5, at, smooth)


def _noise_spectra(ratio: float) -> float:
    """Return N of noise whose high level is ``ratio`` times as far above its middle as its low level is below it."""
    n, ratios = _tabulate_ratios()
    return float(np.exp(np.interp(-ratio, -ratios, np.log(n))))


def _gamma_spread(n: float) -> float:
    """Return the spread of Gamma(N) noise with a mean of 1, as :func:`_spreads` would measure it."""
    middle, spread = float(_gamma_levels(np.array([n]))[1, 0]), float(n**-0.5)
    for _ in range(10 * ITERATIONS):
        ends = n * np.array([max(0, middle - MAX_DEVIATION * spread), middle + MAX_DEVIATION * spread])
        # E[x^k; a < x < b] = (N)_k / N^k · (P(N + k, N b) − P(N + k, N a))
        share, mean, square = (np.diff(gammainc(n + k, ends))[0] for k in range(3))
        deviation = (n + 1) / n * square - 2 * middle * mean + middle**2 * share
        spread = float(np.sqrt(deviation / share / MEAN_SQUARE))
    return spread


@lru_cache(maxsize=1)
def _tabulate_ratios() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tabulate, against N from 1 to 10⁶, the ratio that :func:`_noise_spectra` inverts."""
    n = np.geomspace(1, 1e6, 121)
    low, middle, high = _gamma_levels(n)
    return n, (high - middle) / (middle - low)


def _gamma_levels(n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the low, middle and high levels (3, len(n)) of Gamma(N) noise with a mean of 1."""
    levels = []
    for first, last in QUANTILES:
        # E[x; x < q] = P(N + 1, N q)
        below = gammainc(n + 1, gammaincinv(n, [[first], [last]]))
        levels.append((below[1] - below[0]) / (last - first))
    return np.array(levels)
