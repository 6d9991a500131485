"""Flatten one coarse channel: dead pixels, row gains, band shape, and how noisy its noise is.

Power over baseline is 1 on average, with the spread of its noise (:mod:`pipeline.noise`). Everything here is robust
against signals, and nothing here looks at one window alone: a wide signal must not normalise itself away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

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
RUN = 64
"""Of so many side by side: memory is read in lines, not in numbers."""
STRETCH = 2048
"""Channels whose sums over time stay in a core's nearest cache."""
NOMINAL_TOLERANCE = 0.01
"""The header's N stands while the measured spread agrees within this (5 % more spread than thought is six times the
false alarms) or within its error; else the measured one is used."""
MEASURABLE = 4096
"""Fewer valid pixels than this cannot gainsay the header."""


@dataclass(frozen=True, slots=True)
class Flat:
    """A flattened coarse channel: the power as it was read, and by what each row and channel is to be multiplied.

    Most pixels are looked at once, by the gate: it multiplies as it goes, and nobody writes them back.
    """

    stored: NDArray[np.float32]
    """(spectra, channels), C-contiguous: power in the file's unit and order."""
    is_mirrored: bool
    """True where ``stored`` runs from high frequency to low; everything else here ascends."""
    row_scale: NDArray[np.float32]
    """(spectra,): 1 / gain; 0 for a dead row."""
    channel_scale: NDArray[np.float32]
    """(channels,): 1 / baseline; 0 for a dead channel."""
    row_gain: NDArray[np.float32]
    """(spectra,): gain of each row relative to the median row; 0 for a dead row."""
    baseline: NDArray[np.float32]
    """(channels,): the band, in the file's unit; never below :data:`FAINTEST`."""
    noise_spectra: float
    """N in use: exponentials averaged in one bin."""
    noise_is_measured: bool
    """True where the data contradicted the header's N."""

    @classmethod
    def of_level(cls, power: NDArray[np.float32], noise_spectra: float) -> Self:
        """Take power (spectra, channels) whose noise is at 1 already, masked pixels 0."""
        stored, is_mirrored = _in_order_of_memory(power)
        rows, band = np.ones(len(power), np.float32), np.ones(power.shape[1], np.float32)
        return cls(stored, is_mirrored, rows, band, rows, band, noise_spectra, False)

    @property
    def power(self) -> NDArray[np.float32]:
        """Power over baseline (spectra, channels), noise at 1; masked pixels are 0. A new array."""
        ascending = self.stored[:, ::-1] if self.is_mirrored else self.stored
        return _flattened(ascending, self.row_scale[:, None], self.channel_scale)

    def windows(self, starts: NDArray[np.int64], channels: int) -> NDArray[np.float32]:
        """Cut windows (n, spectra, channels) out of :attr:`power`."""
        at = starts[:, None] + np.arange(channels)
        where = self.stored.shape[1] - 1 - at if self.is_mirrored else at
        pixels = np.moveaxis(self.stored[:, where], 1, 0)
        return _flattened(pixels, self.row_scale[:, None], self.channel_scale[at][:, None])


def _in_order_of_memory(power: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Return the array as it lies in memory, which is what compiled loops are fast on, and whether that is mirrored."""
    is_mirrored = power.strides[1] < 0
    return np.ascontiguousarray(power[:, ::-1] if is_mirrored else power), is_mirrored


def _is_valid(power: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (power > 0) & (power < np.inf)


def _flattened(
    power: NDArray[np.float32], row_scale: NDArray[np.float32], channel_scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    flat: NDArray[np.float32] = np.where(_is_valid(power), power, np.float32(0)) * (row_scale * channel_scale)
    return flat


def flatten(
    power: NDArray[np.float32], *, nominal: float, has_dc_spike: bool = False, coarse_width: int | None = None
) -> Flat:
    """Flatten one coarse channel.

    Parameters
    ----------
    power : (spectra, channels) float32
        Linear power, ascending. A view of a mirrored array, as the reader gives it, costs nothing.
    nominal : float
        N by the header (:func:`pipeline.noise.nominal_noise_spectra`).
    has_dc_spike : bool
        Mask the middle: an FFT of even length has its DC bin at the upper of the two central channels, or at the lower
        in a mirrored file, so both go.
    coarse_width : int, optional
        Channels of a whole coarse channel, of which this is one or a piece; None for a piece of a band without any.
    """
    stored, is_mirrored = _in_order_of_memory(power)
    channels = power.shape[1]
    gain = _row_gains(_sampled(stored, SAMPLES))
    row_scale = np.divide(np.float32(1), gain, out=np.zeros_like(gain), where=gain > 0)
    spectrum = _time_mean(stored, row_scale)
    if has_dc_spike:
        spectrum[channels // 2 - 1 : channels // 2 + 1] = 0
    if is_mirrored:
        spectrum = spectrum[::-1].copy()
    baseline = _band_shape(spectrum, len(power) * nominal, coarse_width)
    faintest = np.float32(FAINTEST) * np.median(baseline[::BLOCK])
    is_live = (spectrum > 0) & (baseline >= faintest)
    np.maximum(baseline, faintest, out=baseline)
    channel_scale = np.divide(np.float32(1), baseline, out=np.zeros_like(baseline), where=is_live)
    stored_scale = channel_scale[None, ::-1] if is_mirrored else channel_scale[None]
    sample = _flattened(_sampled(stored, SAMPLES // 2), row_scale[:, None], _sampled(stored_scale, SAMPLES // 2))
    n, is_measured = _noise_spectra(sample, nominal)
    return Flat(stored, is_mirrored, row_scale, channel_scale, gain, baseline, n, is_measured)


def _sampled(power: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Copy at least ``samples`` channels, if there are so many: runs of a cache line or more, all over the band."""
    channels = power.shape[1]
    stride = max(1, channels // samples)
    runs = channels // (RUN * stride)
    if stride == 1 or not runs:
        return power.copy()
    return power[:, : runs * RUN * stride].reshape(len(power), runs, RUN * stride)[:, :, :RUN].reshape(len(power), -1)


def _row_gains(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row's middle, relative to that of the median row; 0 where at least half of a row is dead."""
    gains = np.zeros(len(sample), np.float32)
    is_live = _is_valid(sample)
    if len(sample) > 1:
        is_live &= (sample != sample[0]).any(axis=0)
    for t, (row, live) in enumerate(zip(sample, is_live, strict=True)):
        valid = row if live.all() else row[live]
        if 2 * len(valid) > len(row):
            gains[t] = middle_of(valid)
    alive = gains > 0
    if alive.any():
        gains[alive] /= np.median(gains[alive])
    return gains


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _time_mean(power: NDArray[np.float32], row_scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over valid pixels of each channel, row gains divided out; 0 where none is, or all are equal."""
    spectra, channels = power.shape
    mean = np.zeros(channels, np.float32)
    count = np.empty(STRETCH, np.float32)
    differs = np.empty(STRETCH, np.float32)
    for start in range(0, channels, STRETCH):
        total = mean[start : start + STRETCH]
        count[:] = 0
        differs[:] = 1 if spectra == 1 else 0
        first = power[0, start : start + STRETCH]
        for t in range(spectra):
            row = power[t, start : start + STRETCH]
            scale = row_scale[t]
            counted = np.float32(1) if scale > 0 else np.float32(0)
            for c in range(len(total)):
                value = row[c]
                is_valid = (value > 0) & (value < np.inf)
                total[c] += value * scale if is_valid else np.float32(0)
                count[c] += counted if is_valid else np.float32(0)
                differs[c] = np.float32(1) if value != first[c] else differs[c]
        for c in range(len(total)):
            is_alive = (count[c] > 0) & (differs[c] > 0)
            total[c] = total[c] / count[c] if is_alive else np.float32(0)
    return mean


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
    for c in range(channels):
        place = (c + offset) / width
        i = min(int(place), len(level) - 2)
        band[c] = level[i] + np.float32(min(place - i, 1.0)) * (level[i + 1] - level[i])
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


def _noise_spectra(sample: NDArray[np.float32], nominal: float) -> tuple[float, bool]:
    """Return N in use and whether it had to be measured, given some flattened power."""
    sample = sample[sample > 0]
    if len(sample) < MEASURABLE:
        return nominal, False
    measured = noise_spectra_of(sample)
    # spreads go as 1/√N; the measured one has an error of 1.4/√pixels
    if abs((nominal / measured) ** 0.5 - 1) <= max(NOMINAL_TOLERANCE, 4 / len(sample) ** 0.5):
        return nominal, False
    return measured, True
