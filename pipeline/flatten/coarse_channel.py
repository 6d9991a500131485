"""Flattens a coarse channel: finds dead pixels, row gains, the shape of the band and the spread of the noise.

Flattened power is power divided by its baseline. Its noise has a mean of 1 and the relative spread that
:mod:`pipeline.flatten.noise` describes. All estimates are robust against signals. They use the whole coarse channel and
never one window alone, because a wide signal must not be divided out as if it were part of the band.

Values that are not power are turned into power first (:mod:`pipeline.flatten.signed`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.bandpass import BLOCK_CHANNELS, BandShape, band_shape, row_medians
from pipeline.flatten.flattened import FlattenedChannel, in_memory_order
from pipeline.flatten.gains import Rows, estimate_rows, saturated_rows
from pipeline.flatten.ranks import between_ranks
from pipeline.flatten.signed import SignedScale, block_width, is_signed, relative_spreads
from pipeline.flatten.time_mean import time_mean
from pipeline.support.compiled import njit
from pipeline.support.memory import take_floats

MIN_BAND_LEVEL = 0.05
"""Minimum level of the band relative to its median. Fainter channels are masked: filters have removed nearly all power
from the sky there."""
MIN_SAMPLED_CHANNELS = 32_768
"""Minimum number of channels sampled for the gains of rows. The error of a gain is then 0.008 of a pixel's spread,
which is far too small to affect any statistic."""
RUN_CHANNELS = 2048
"""Neighbouring channels in one run of the sample. HDF5 files usually store about this many together."""


Memory = NDArray[np.float32]
Read = Callable[[int, int, Memory], NDArray[np.float32]]
"""Returns power (spectra, channels) of the ascending channels [start, stop) of a coarse channel. It may use the given
memory for the result."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known about a coarse channel before its noise is measured."""

    read: Read
    shape: tuple[int, int]
    nominal: float
    has_dc_spike: bool
    coarse_width: int | None
    full_scale: np.float32
    """Largest value that a sample can have; infinity if there is none."""
    is_signed: bool = False
    """True if ``read`` returns power that was made from values of either sign."""
    levels: NDArray[np.float32] | None = None
    """(channels,) relative level of each channel; None if it is not known."""


def flatten_stretches(
    read: Read, shape: tuple[int, int], *, stretch: int, beyond: int = 0, spare: list[Memory] | None = None,
    nominal: float, has_dc_spike: bool = False, coarse_width: int | None = None,
    limits: tuple[float, float] = (-np.inf, np.inf), sign: int = 1, min_sampled: int = MIN_SAMPLED_CHANNELS,
    levels: NDArray[np.float32] | None = None,
) -> Iterator[tuple[int, int, FlattenedChannel]]:
    """Flatten one coarse channel in stretches that fit into the caches of a processor core.

    Row gains and noise are estimated first, from a sample of the channels. The band of a stretch is known once the next
    stretch has been read, or later if there are dead channels. The result does not depend on ``stretch``.

    Parameters
    ----------
    read : callable
        Reads power of the coarse channel (:data:`Read`). A mirrored view costs nothing extra.
    shape : (int, int)
        Spectra and channels of the coarse channel.
    stretch : int
        Channels in a stretch, a multiple of :data:`pipeline.flatten.time_mean.STRIP_CHANNELS`. A coarse channel that is
        too narrow for a sample is one stretch.
    beyond : int
        Channels of the next stretch that each stretch also contains, for windows that extend over both.
    spare : list of (spectra × channels,) float32, optional
        Memory to read into. New memory is added to the list for later calls.
    nominal : float
        N from the header (:func:`pipeline.flatten.noise.nominal_noise_spectra`).
    has_dc_spike : bool
        Mask the two central channels. An FFT of even length has its DC bin in the upper one, or in the lower one if the
        file is mirrored.
    coarse_width : int, optional
        Channels in a whole coarse channel; None for a piece of a band that has no coarse channels.
    limits : (float, float)
        Smallest and largest value that a sample of the file can have; infinite if there are none.
    sign : {1, -1}
        Side of the noise on which signals are, if the values turn out not to be power.
    min_sampled : int
        Minimum number of channels sampled for the gains of rows.
    levels : (channels,) float32, optional
        Relative level of each channel, which is a part of the band. It is used in coarse channels that are too narrow
        for a sample.

    Yields
    ------
    int, int, FlattenedChannel
        First channel of the stretch, first channel of the next one, and the flattened stretch. Its memory is reused
        once the next stretch is asked for.
    """
    spare = [] if spare is None else spare
    known = _Known(read, shape, nominal, has_dc_spike, coarse_width, np.float32(limits[1]), levels=levels)
    size = shape[0] * (stretch + beyond)
    memory = _take_memory(spare, size)
    runs = _sampled_runs(shape[1], min_sampled)
    sample = _read_sample(known, runs, memory)
    if is_signed(sample):
        known = _as_power(known, relative_spreads(sample), stretch if runs else shape[1], memory, limits, sign)
        sample = _read_sample(known, runs, memory)
    if runs:
        spare.append(memory)
        yield from _flatten_sampled(known, sample, len(runs), stretch, beyond, spare)
    else:
        yield 0, shape[1], _flatten_at_once(known, sample)
        spare.append(memory)


def _read_sample(known: _Known, runs: list[tuple[int, int]], memory: Memory) -> NDArray[np.float32]:
    """Read the ``runs`` of channels side by side. Without runs, read all channels, into ``memory`` if possible.

    Saturated rows are NaN, so they are dead.
    """
    spectra, channels = known.shape
    width = RUN_CHANNELS * len(runs)
    sample = take_floats(spectra * width).reshape(spectra, width) if runs else known.read(0, channels, memory)
    for k, (start, stop) in enumerate(runs):
        sample[:, k * RUN_CHANNELS : (k + 1) * RUN_CHANNELS] = known.read(start, stop, memory)
    saturated = saturated_rows(sample, known.full_scale)
    return np.where(saturated[:, None], np.float32(np.nan), sample) if saturated.any() else sample


def _as_power(
    known: _Known, spreads: NDArray[np.float64], stretch: int, memory: Memory, limits: tuple[float, float], sign: int
) -> _Known:
    """Measure the noise of values that are not power, and return how to read them as power. All values are read.

    ``spreads`` are those of its spectra (:func:`pipeline.flatten.signed.relative_spreads`). Nothing changes if there is
    no noise.
    """
    (spectra, channels), read, coarse_width = known.shape, known.read, known.coarse_width
    width = block_width(spectra)
    step = -(-stretch // width) * width
    pieces = (read(start, min(start + step, channels), memory) for start in range(0, channels, step))
    scale = SignedScale.measure(pieces, known.shape, coarse_width, sign, limits, known.nominal, spreads)
    if scale is None:
        return known
    return replace(known, read=lambda start, stop, into: scale.power(read(start, stop, into), start),
                   nominal=scale.noise_spectra, full_scale=np.float32(0), is_signed=True, levels=None)


def _flatten_sampled(
    known: _Known, sample: NDArray[np.float32], n_runs: int, stretch: int, beyond: int, spare: list[Memory]
) -> Iterator[tuple[int, int, FlattenedChannel]]:
    """Flatten a coarse channel in stretches, after estimating gains and noise from a sample of runs."""
    (spectra, channels), size = known.shape, known.shape[0] * (stretch + beyond)
    rows, min_level = _estimate_from_sample(known, sample, n_runs)
    band = BandShape(channels, spectra * known.nominal, known.coarse_width)
    waiting = deque[tuple[int, Memory, _AveragedPower]]()
    for start in range(0, channels, stretch):
        stop, memory = min(start + stretch, channels), _take_memory(spare, size)
        power = known.read(start, min(stop + beyond, channels), memory)
        averaged = _AveragedPower.of(power, start, rows.scale, known.full_scale)
        if known.has_dc_spike:
            averaged.mask(channels // 2 - 1, channels // 2 + 1)
        band.add(averaged.spectrum[: stop - start])
        waiting.append((stop, memory, averaged))
        while waiting and waiting[0][2].stop <= band.n_known:
            stop, memory, averaged = waiting.popleft()
            baseline = band.between(averaged.start, averaged.stop)
            yield averaged.start, stop, _combine(known, averaged, rows, baseline, min_level)
            spare.append(memory)


def _take_memory(spare: list[Memory], size: int) -> Memory:
    """Return spare memory, or new memory of ``size`` numbers if there is none."""
    return spare.pop() if spare else take_floats(size)


def _sampled_runs(channels: int, at_least: int) -> list[tuple[int, int]]:
    """Return the runs [start, stop) of channels to sample, the same from either end of the coarse channel.

    Together they have at least ``at_least`` channels. If that is most of the coarse channel, the list
    is empty.
    """
    apart = RUN_CHANNELS * (channels // at_least)
    count = channels // max(1, apart)
    first = (channels - count * apart + apart - RUN_CHANNELS) // 2
    starts = [first + k * apart for k in range(count)] if apart > RUN_CHANNELS else []
    return [(start, start + RUN_CHANNELS) for start in starts]


@dataclass(frozen=True, slots=True)
class _AveragedPower:
    """Power of some channels and its average over time. Their band is not known yet."""

    start: int
    """First channel, counted in the coarse channel."""
    stored: NDArray[np.float32]
    is_mirrored: bool
    spectrum: NDArray[np.float32]
    """(channels,): mean over time, ascending; 0 for dead channels."""
    is_unmasked: NDArray[np.bool_]
    """(channels,): True if every pixel of the channel is valid."""

    @classmethod
    def of(
        cls, power: NDArray[np.float32], start: int, row_scale: NDArray[np.float32], full_scale: np.float32
    ) -> Self:
        """Average power (spectra, channels) over time, each row multiplied by its scale."""
        stored, is_mirrored = in_memory_order(power)
        return cls(start, stored, is_mirrored, *time_mean(stored, row_scale, full_scale, is_mirrored))

    @property
    def stop(self) -> int:
        """Last channel + 1."""
        return self.start + len(self.spectrum)

    def mask(self, start: int, stop: int) -> None:
        """Mark those of the channels [start, stop) that are in this stretch as dead."""
        self.spectrum[max(0, start - self.start) : max(0, stop - self.start)] = 0


def _estimate_from_sample(
    known: _Known, sample: NDArray[np.float32], n_runs: int
) -> tuple[Rows, np.float32]:
    """Return the row gains and the noise of a sample of runs, and the minimum level of its band."""
    averaged = _AveragedPower.of(sample, 0, np.ones(len(sample), np.float32), known.full_scale)
    band = _lines_through_blocks(averaged.spectrum)
    rows = estimate_rows(sample, averaged.spectrum, averaged.is_unmasked, band, n_runs, known.nominal)
    return rows, _min_level(time_mean(sample, rows.scale, known.full_scale)[0])


def _lines_through_blocks(spectrum: NDArray[np.float32]) -> NDArray[np.float32]:
    """Estimate the band in the sample: straight lines through the medians of blocks, in each run separately.

    It is 0 near blocks in which at least half of the channels are dead.
    """
    medians = row_medians(spectrum.reshape(-1, BLOCK_CHANNELS)).reshape(-1, RUN_CHANNELS // BLOCK_CHANNELS)
    at, middle = np.arange(RUN_CHANNELS), np.arange(BLOCK_CHANNELS // 2, RUN_CHANNELS, BLOCK_CHANNELS)
    i = np.clip((at - BLOCK_CHANNELS // 2) // BLOCK_CHANNELS, 0, RUN_CHANNELS // BLOCK_CHANNELS - 2)
    rise = np.diff(medians, axis=1)[:, i] * ((at - middle[i]) / BLOCK_CHANNELS)
    lines: NDArray[np.float32] = (medians[:, i] + rise).ravel().astype(np.float32)
    return lines


def _min_level(band: NDArray[np.float32]) -> np.float32:
    """Return the power below which channels of a band are masked (:data:`MIN_BAND_LEVEL`)."""
    alive = band[band > 0]
    if not len(alive):
        return np.float32(0)
    middle = between_ranks(alive[None], (len(alive) - 1) // 2, len(alive) // 2)
    return np.float32(MIN_BAND_LEVEL * middle.mean(dtype=np.float64))


def _flatten_at_once(known: _Known, power: NDArray[np.float32]) -> FlattenedChannel:
    """Flatten a coarse channel of few channels: all of them are in the sample."""
    channels, shape = power.shape[1], len(power) * known.nominal
    first = _AveragedPower.of(power, 0, np.ones(len(power), np.float32), known.full_scale)
    band = band_shape(first.spectrum, shape, known.coarse_width, known.levels)
    rows = estimate_rows(power, first.spectrum, first.is_unmasked, band, 1, known.nominal)
    averaged = _AveragedPower.of(power, 0, rows.scale, known.full_scale)
    if known.has_dc_spike:
        averaged.mask(channels // 2 - 1, channels // 2 + 1)
    baseline = band_shape(averaged.spectrum, shape, known.coarse_width, known.levels)
    return _combine(known, averaged, rows, baseline, _min_level(baseline))


def _combine(
    known: _Known, averaged: _AveragedPower, rows: Rows, baseline: NDArray[np.float32], min_level: np.float32
) -> FlattenedChannel:
    """Return the flattened stretch, given its band as ``baseline``. Channels below ``min_level`` are masked."""
    channel_scale = _channel_scale(averaged.spectrum, baseline, min_level, averaged.is_unmasked)
    # N of signed values is measured already. The measurement of the rows assumes no signals below the noise.
    noise = (known.nominal, True) if known.is_signed else (rows.noise_spectra, rows.noise_is_measured)
    return FlattenedChannel(averaged.stored, averaged.is_mirrored, rows.scale, channel_scale, averaged.is_unmasked,
                            rows.gain, baseline, *noise, known.is_signed)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _channel_scale(
    spectrum: NDArray[np.float32], baseline: NDArray[np.float32], min_level: np.float32,
    is_unmasked: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return (channels,) 1 / baseline; 0 for channels that are dead or whose baseline is below ``min_level``.

    ``baseline`` is changed in place: it is raised to ``min_level``. So is ``is_unmasked``: it becomes False for
    channels with a scale of 0.
    """
    scale = np.empty_like(baseline)
    for c in range(len(baseline)):
        is_live = (spectrum[c] > 0) & (baseline[c] >= min_level)
        level = max(baseline[c], min_level)
        baseline[c] = level
        scale[c] = np.float32(is_live) / level
    for c in range(len(baseline)):
        is_unmasked[c] &= scale[c] > 0
    return scale
