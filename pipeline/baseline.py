"""Flatten one coarse channel: dead pixels, row gains, band shape, and how noisy its noise is.

Power over baseline is 1 on average, with the spread of its noise (:mod:`pipeline.noise`). Everything here is robust
against signals, and nothing here looks at one window alone: a wide signal must not normalise itself away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import gammaincinv

from pipeline.noise import middle_of, noise_spectra_of

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
FAINTEST = 0.05
"""Channels where the band is fainter than this, relative to its median, are masked: filters left nothing of the sky."""
SAMPLES = 32_768
"""Channels sampled for a row's gain: its error, 0.007 of a pixel's spread, is far below any statistic's."""
NOMINAL_TOLERANCE = 0.01
"""The header's N stands while the measured spread agrees within this (5 % more spread than thought is six times the
false alarms) or within its error; else the measured one is used."""
MEASURABLE = 4096
"""Fewer valid pixels than this cannot gainsay the header."""


@dataclass(frozen=True, slots=True)
class Flat:
    """A flattened coarse channel."""

    power: NDArray[np.float32]
    """(spectra, channels): power over baseline, noise at 1; masked pixels are 0."""
    row_gain: NDArray[np.float32]
    """(spectra,): gain of each row relative to the median row; 0 for a dead row."""
    baseline: NDArray[np.float32]
    """(channels,): the band, in the file's unit; never below :data:`FAINTEST`."""
    noise_spectra: float
    """N in use: exponentials averaged in one bin."""
    noise_is_measured: bool
    """True where the data contradicted the header's N."""


def flatten(
    power: NDArray[np.float32], *, nominal: float, has_dc_spike: bool = False, coarse_width: int | None = None
) -> Flat:
    """Flatten one coarse channel, **in place**.

    Parameters
    ----------
    power : (spectra, channels) float32
        Linear power, ascending; overwritten.
    nominal : float
        N by the header (:func:`pipeline.noise.nominal_noise_spectra`).
    has_dc_spike : bool
        Mask the middle: an FFT of even length has its DC bin at the upper of the two central channels, or at the lower
        in a mirrored file, so both go.
    coarse_width : int, optional
        Channels of a whole coarse channel, of which this is one or a piece; None for a piece of a band without any.

    Returns
    -------
    Flat
        Whose ``power`` is the array given.
    """
    channels = power.shape[1]
    _mask_dead(power)
    if has_dc_spike:
        power[:, channels // 2 - 1 : channels // 2 + 1] = 0
    gain = _row_gains(power)
    baseline = _band_shape(_time_mean(power, gain), len(power) * nominal, coarse_width)
    faintest = np.float32(FAINTEST) * np.median(baseline[::BLOCK])
    if baseline.min() < faintest:
        power[:, baseline < faintest] = 0
        np.maximum(baseline, faintest, out=baseline)
    _divide(power, gain, baseline)
    n, is_measured = _noise_spectra(power, nominal)
    return Flat(power, gain, baseline, n, is_measured)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mask_dead(power: NDArray[np.float32]) -> None:
    """Set pixels to 0 that are not finite or not positive, and channels whose value never changes."""
    spectra, channels = power.shape
    first = power[0].copy()
    constant = np.ones(channels, np.bool_)
    for t in range(spectra):
        row = power[t]
        for c in range(channels):
            value = row[c]
            constant[c] = constant[c] and value == first[c]
            row[c] = value if (value > 0) and (value < np.inf) else np.float32(0)
    if spectra > 1:
        for c in range(channels):
            if constant[c]:
                for t in range(spectra):
                    power[t, c] = 0


def _row_gains(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row's middle, relative to that of the median row; 0 where at least half of a row is dead."""
    stride = max(1, power.shape[1] // SAMPLES)
    gains = np.zeros(len(power), np.float32)
    for t, row in enumerate(power[:, ::stride]):
        valid = row[row > 0]
        if 2 * len(valid) > len(row):
            gains[t] = middle_of(valid)
    alive = gains > 0
    if alive.any():
        gains[alive] /= np.median(gains[alive])
    return gains


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _time_mean(power: NDArray[np.float32], gain: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over valid pixels of each channel, row gains divided out; 0 where none is valid."""
    spectra, channels = power.shape
    total = np.zeros(channels, np.float32)
    count = np.zeros(channels, np.float32)
    for t in range(spectra):
        if gain[t] > 0:
            scale = np.float32(1) / gain[t]
            row = power[t]
            for c in range(channels):
                total[c] += row[c] * scale
                count[c] += np.float32(1) if row[c] > 0 else np.float32(0)
    for c in range(channels):
        total[c] = total[c] / count[c] if count[c] > 0 else np.float32(0)
    return total


def smoothing_of(coarse_width: int | None) -> tuple[int, int]:
    """Return channels a block, and blocks in the running median (an odd number), for coarse channels of a width."""
    reach = BLOCK * SMOOTHING if coarse_width is None else min(BLOCK * SMOOTHING, coarse_width // BAND_FEATURE)
    block = max(1, reach // SMOOTHING)
    return block, max(3, min(SMOOTHING, reach) | 1)


def _band_shape(spectrum: NDArray[np.float32], shape: float, coarse_width: int | None) -> NDArray[np.float32]:
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
    at = np.arange(channels)
    dead = np.flatnonzero(~valid)
    if len(dead):
        spectrum = spectrum.copy()
        spectrum[dead] = np.interp(dead, at[valid], spectrum[valid])
    width = channels // n_blocks
    level = np.median(spectrum[: n_blocks * width].reshape(n_blocks, width), axis=1).astype(np.float64)
    centres = width * np.arange(-1, n_blocks + 1) + (width - 1) / 2
    smooth = _running_median(level, smoothing)
    smooth = np.concatenate([2 * smooth[:1] - smooth[1:2], smooth, 2 * smooth[-1:] - smooth[-2:-1]])
    band: NDArray[np.float64] = np.interp(at, centres, smooth) / median_over_mean
    return band.astype(np.float32)


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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _divide(power: NDArray[np.float32], gain: NDArray[np.float32], baseline: NDArray[np.float32]) -> None:
    spectra, channels = power.shape
    inverse = np.float32(1) / baseline
    for t in range(spectra):
        scale = np.float32(1) / gain[t] if gain[t] > 0 else np.float32(0)
        row = power[t]
        for c in range(channels):
            row[c] *= scale * inverse[c]


def _noise_spectra(power: NDArray[np.float32], nominal: float) -> tuple[float, bool]:
    """Return N in use and whether it had to be measured."""
    stride = max(1, power.shape[1] // (SAMPLES // 2))
    sample = power[:, ::stride]
    sample = sample[sample > 0]
    if len(sample) < MEASURABLE:
        return nominal, False
    measured = noise_spectra_of(sample)
    # spreads go as 1/√N; the measured one has an error of 1.4/√pixels
    if abs((nominal / measured) ** 0.5 - 1) <= max(NOMINAL_TOLERANCE, 4 / len(sample) ** 0.5):
        return nominal, False
    return measured, True
