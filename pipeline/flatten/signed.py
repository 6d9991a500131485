"""Values that are not power, turned into power: Stokes Q, U and V, data less their mean, decibels below zero.

The noise of such values has an arbitrary middle and spread. It need not be symmetric: power less its mean is skewed.
So the smooth middle and the smooth spread of the noise are measured along the coarse channel, and the skewness in all
of it. The values are then shifted and scaled such that their noise is that of power: it has a Gamma(N) distribution
with a mean of 1, whose N has the measured skewness. Power less its mean becomes that power again.

Spectra may have different gains. So the spread of the noise in each spectrum is measured relative to the median one,
and the spectrum is shifted such that its middle is proportional to its spread, as in power. The spread is then a gain,
which is removed like any gain of power (:mod:`pipeline.flatten.gains`).

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
from pipeline.flatten.gains import MIN_GAIN
from pipeline.flatten.levels import (
    ITERATIONS,
    MAX_DEVIATION,
    MEAN_SQUARE,
    QUANTILES,
    levels_of,
    medians,
    quantile_means,
)

MAX_NEGATIVE_SHARE = 0.1
"""Maximum share of negative values in a spectrum of power: broken pixels, which are masked. With more of them in most
spectra, the values are not power."""
MIN_BLOCK_PIXELS = 4096
"""Minimum number of pixels in a block of channels. The error of the spread in one block is then about 1.5 %."""
RUN_CHANNELS = 2048
"""Number of channels in a run, in which the spreads of spectra are compared. The error in one run is about 2 %."""
MIN_NOMINAL = 25.0
"""Minimum of the largest N. With this N, power is positive down to five spreads below the mean. If it were smaller,
much of symmetric noise would be masked."""


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
    """How the values of one coarse channel become power: value × ``factor`` + ``offset`` + ``shift``."""

    factor: NDArray[np.float32]
    """(channels,): negative if the values are mirrored."""
    offset: NDArray[np.float32]
    """(channels,)"""
    shift: NDArray[np.float32]
    """(spectra,): NaN for a spectrum without noise, which is masked."""
    noise_spectra: float
    """N: one pixel of noise is the mean of N exponentially distributed values."""
    full_scale: float
    """Value of a saturated sample; infinite if values have no limits."""

    @classmethod
    def measure(
        cls, pieces: Iterable[NDArray[np.float32]], shape: tuple[int, int], coarse_width: int | None, sign: int,
        limits: tuple[float, float], nominal: float, spreads: NDArray[np.float64],
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
        spreads : (spectra,) float64
            Spread of each spectrum relative to the median one (:func:`relative_spreads`).
        """
        spectra, channels = shape
        width = min(block_width(spectra), channels)
        measured = [_measure_blocks(_blocks_of(piece, width), spreads) for piece in pieces]
        levels, middles_of_spectra = (np.concatenate(parts) for parts in zip(*measured, strict=True))
        low, middle, high, spread = levels.T
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
        centre = _gamma_levels(np.array([n]))[1, 0]
        offset = centre - middles * factor
        of_block = sign * factor[width // 2 :: width][: len(middle), None]
        shift = centre * (spreads - 1) - medians((middles_of_spectra * of_block).T)
        return cls((sign * factor).astype(np.float32), offset.astype(np.float32), shift.astype(np.float32), n,
                   limits[1] if sign > 0 else limits[0])

    def power(self, values: NDArray[np.float32], start: int) -> NDArray[np.float32]:
        """Return the power of values (spectra, channels), ascending, that begin at channel ``start``.

        Dead channels become NaN, because they would change with the shift. A channel that is always saturated does not.
        """
        to = slice(start, start + values.shape[1])
        with np.errstate(all="ignore"):  # a file may hold any value; what is not finite is masked
            power = values * self.factor[to]
            power += self.offset[to]
            power += self.shift[:, None]
        if len(values) > 1:
            power[:, ~_changes(values) & (values[0] != self.full_scale)] = np.nan
        return power


def block_width(spectra: int) -> int:
    """Return the number of channels in a block: a multiple of :data:`BLOCK_CHANNELS` by a power of two."""
    width = BLOCK_CHANNELS
    while width * spectra < MIN_BLOCK_PIXELS:
        width *= 2
    return width


def relative_spreads(sample: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the spread of the noise in each spectrum, relative to the median one.

    The spread of a spectrum is that of the differences between neighbouring channels, in which neither a band nor a
    burst over many channels appears. As for the gains of power, it is a median over runs of channels.

    Parameters
    ----------
    sample : (spectra, channels) float32
        Values of either sign, ascending.

    Returns
    -------
    (spectra,) float64
        0 for a spectrum that has no noise, or no values, in most runs. All are 1 if nothing can be measured.
    """
    if len(sample) > 1:
        sample = sample[:, _changes(sample)]
    spectra, channels = sample.shape
    if channels < 2:
        return np.ones(spectra)
    runs = _blocks_of(sample, min(RUN_CHANNELS, channels))
    with np.errstate(all="ignore"):  # a file may hold any value
        spread = levels_of(np.diff(runs).reshape(-1, runs.shape[-1] - 1))[:, -1].reshape(runs.shape[:2])
    spread[~(spread > 0)] = np.nan
    relative = medians((spread / medians(spread)[:, None]).T)
    relative[2 * np.isfinite(spread).sum(axis=0) <= len(runs)] = 0
    relative[~(relative > MIN_GAIN)] = 0
    return relative if relative.any() else np.ones(spectra)


def _changes(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which channels of values (spectra, channels) change with time. The others are dead or saturated."""
    changes: NDArray[np.bool_] = (values != values[0]).any(axis=0)
    return changes


def _blocks_of(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the whole blocks of channels (blocks, spectra, width). What is not finite, or never changes, is NaN."""
    spectra, blocks = len(values), values.shape[1] // width
    values = values[:, : blocks * width]
    valid = np.isfinite(values)
    if spectra > 1:
        valid &= _changes(values)
    pixels = np.where(valid, values, np.float32(np.nan)).reshape(spectra, blocks, width)
    return pixels.swapaxes(0, 1)


def _measure_blocks(
    blocks: NDArray[np.float32], spreads: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure the noise in each block (blocks, spectra, width), after its spectra got one middle and one spread.

    Returns
    -------
    (blocks, 4) float64
        Levels and spread (:func:`pipeline.flatten.levels.levels_of`).
    (blocks, spectra) float64
        Middle of each spectrum less the median one. NaN for a spectrum whose relative spread is 0.
    """
    middles = quantile_means(np.sort(blocks, axis=-1), QUANTILES[1:2])[..., 0]
    middles[:, spreads == 0] = np.nan
    common = medians(middles)[:, None]
    scale = np.divide(1, spreads, out=np.zeros_like(spreads), where=spreads > 0)
    with np.errstate(all="ignore"):  # a file may hold any value
        aligned = (blocks - middles[..., None].astype(np.float32)) * scale[:, None].astype(np.float32)
        aligned += common[..., None].astype(np.float32)
    return levels_of(aligned.reshape(len(blocks), -1)), middles - common


def _half_of_smoothing(coarse_width: int | None, width: int, blocks: int) -> int:
    """Return how many neighbours on either side belong to the running median over blocks.

    It is as wide as that of the band (:func:`pipeline.flatten.bandpass.median_size`), and at least three blocks.
    """
    block, count = median_size(coarse_width)
    smoothing = max(3, block * count // width)
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
    """Return the spread of Gamma(N) noise with a mean of 1, as ``levels_of`` would measure it."""
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
