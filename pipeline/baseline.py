"""Flatten one coarse channel: dead pixels, row gains, band shape, and how noisy its noise is.

Power over baseline is 1 on average, with the spread of its noise (:mod:`pipeline.noise`). Everything here is robust
against signals, and nothing here looks at one window alone: a wide signal must not normalise itself away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.averages import time_mean
from pipeline.band import BLOCK, BandShape, band_shape, middles
from pipeline.compiled import njit
from pipeline.flat import Flat, in_order_of_memory, is_valid
from pipeline.noise import middles_and_squares, noise_spectra_of_square

FAINTEST = 0.05
"""Channels where the band is fainter than this, relative to its median, are masked: filters left nothing of the sky."""
SAMPLES = 32_768
"""Channels sampled for a row's gain: its error, 0.008 of a pixel's spread, is far below any statistic's."""
RUN = 2048
"""Of so many side by side: as many are stored together."""
NOMINAL_TOLERANCE = 0.01
"""The header's N stands while the measured spread agrees within this (5 % more spread than thought is six times the
false alarms) or within its error; else the measured one is used."""
MEASURABLE = 4096
"""Fewer valid pixels than this cannot gainsay the header."""


Memory = NDArray[np.float32]
Read = Callable[[int, int, Memory], NDArray[np.float32]]
"""Returns power (spectra, channels), ascending, of channels [start, stop) of a coarse channel: in a memory or not."""


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
    ((_, _, flat),) = flatten_stretches(
        lambda start, stop, _: power[:, start:stop], power.shape, stretch=power.shape[1], nominal=nominal,
        has_dc_spike=has_dc_spike, coarse_width=coarse_width,
    )
    return flat


def flatten_stretches(
    read: Read, shape: tuple[int, int], *, stretch: int, beyond: int = 0, spare: list[Memory] | None = None,
    nominal: float, has_dc_spike: bool = False, coarse_width: int | None = None,
) -> Iterator[tuple[int, int, Flat]]:
    """Flatten one coarse channel stretch by stretch, so that pixels are looked at while they are in a core's caches.

    Gains and noise are found from a sample beforehand. The band of a stretch is known when the next one has been read;
    over dead channels it takes longer. Whether a coarse channel is flattened at once or so changes nothing.

    Parameters
    ----------
    read : callable
    shape : (spectra, channels)
        Of the coarse channel.
    stretch : int
        Channels a stretch, a multiple of :data:`pipeline.averages.STRIP`. A coarse channel of few channels is one.
    beyond : int
        Channels of the next stretch that each shows, too, for windows that begin in one and end in the other.
    spare : list of (spectra × channels,) float32, optional
        Memories to read into. They are handed back, with those that were made.

    Other parameters as :func:`flatten` has them.

    Yields
    ------
    int, int, Flat
        First channel of each stretch and of the next, and the stretch, until the next is asked for.
    """
    spectra, channels = shape
    spare = [] if spare is None else spare

    def memory() -> Memory:
        return spare.pop() if spare else np.empty(spectra * (stretch + beyond), np.float32)

    runs = _runs(channels)
    if not runs:
        room = memory()
        yield 0, channels, _flatten_whole(read(0, channels, room), nominal, has_dc_spike, coarse_width)
        spare.append(room)
        return
    room = memory()
    sample = np.empty((spectra, RUN * len(runs)), np.float32)
    for k, (start, stop) in enumerate(runs):
        sample[:, k * RUN : (k + 1) * RUN] = read(start, stop, room)
    spare.append(room)
    first = _Seen.of(sample, 0, np.ones(spectra, np.float32))
    gain, n, is_measured = _gains_and_noise(sample, first, _lines(first.spectrum), len(runs), nominal)
    row_scale = _inverse(gain)
    faintest = _faintest(time_mean(sample, row_scale)[0])
    band, waiting = BandShape(channels, spectra * nominal, coarse_width), deque[tuple[int, Memory, _Seen]]()
    for start in range(0, channels, stretch):
        stop, room = min(start + stretch, channels), memory()
        seen = _Seen.of(read(start, min(stop + beyond, channels), room), start, row_scale)
        if has_dc_spike:
            seen.mask(channels // 2 - 1, channels // 2 + 1)
        band.add(seen.spectrum[: stop - start])
        waiting.append((stop, room, seen))
        while waiting and waiting[0][2].end <= band.known:
            stop, room, seen = waiting.popleft()
            baseline = band.between(seen.start, seen.end)
            channel_scale = _channel_scale(seen.spectrum, baseline, faintest, seen.is_whole)
            yield seen.start, stop, Flat(seen.stored, seen.is_mirrored, row_scale, channel_scale, seen.is_whole, gain,
                                         baseline, n, is_measured)
            spare.append(room)


def _runs(channels: int) -> list[tuple[int, int]]:
    """Return runs of channels, alike from either end, that hold :data:`SAMPLES` or more; none where most would."""
    apart = RUN * (channels // SAMPLES)
    count = channels // max(1, apart)
    first = (channels - count * apart + apart - RUN) // 2
    return [(first + k * apart, first + k * apart + RUN) for k in range(count)] if apart > RUN else []


@dataclass(frozen=True, slots=True)
class _Seen:
    """Some channels that have been read, whose band is not known yet."""

    start: int
    stored: NDArray[np.float32]
    is_mirrored: bool
    spectrum: NDArray[np.float32]
    """Averaged over time, ascending; 0 where dead."""
    is_whole: NDArray[np.bool_]

    @classmethod
    def of(cls, power: NDArray[np.float32], start: int, row_scale: NDArray[np.float32]) -> Self:
        stored, is_mirrored = in_order_of_memory(power)
        spectrum, is_whole = time_mean(stored, row_scale)
        if is_mirrored:
            spectrum, is_whole = spectrum[::-1].copy(), is_whole[::-1].copy()
        return cls(start, stored, is_mirrored, spectrum, is_whole)

    @property
    def end(self) -> int:
        return self.start + len(self.spectrum)

    def mask(self, start: int, stop: int) -> None:
        """Take channels for dead, those of them that are here."""
        self.spectrum[max(0, start - self.start) : max(0, stop - self.start)] = 0


def _lines(spectrum: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw straight lines through the medians of blocks, run by run; 0 where half a block is dead."""
    of_run = middles(spectrum.reshape(-1, BLOCK)).reshape(-1, RUN // BLOCK)
    at, middle = np.arange(RUN), np.arange(BLOCK // 2, RUN, BLOCK)
    i = np.clip((at - BLOCK // 2) // BLOCK, 0, RUN // BLOCK - 2)
    rise = np.diff(of_run, axis=1)[:, i] * ((at - middle[i]) / BLOCK)
    lines: NDArray[np.float32] = (of_run[:, i] + rise).ravel().astype(np.float32)
    return lines


def _faintest(band: NDArray[np.float32]) -> np.float32:
    """Return below what a band is faint."""
    alive = band[band > 0]
    return np.float32(FAINTEST * middles(alive[None])[0]) if len(alive) else np.float32(0)


def _gains_and_noise(
    sample: NDArray[np.float32], seen: _Seen, band: NDArray[np.float32], runs: int, nominal: float
) -> tuple[NDArray[np.float32], float, bool]:
    """Return the gain of each row, N in use and whether that had to be measured, from runs of channels.

    Both are medians of what each run gives: signals, or a band that dives, change that of theirs.

    Parameters
    ----------
    sample : (spectra, channels) float32
        Ascending.
    seen : _Seen
        The same, as it was averaged without knowing gains.
    band : (channels,) float32
        What power is divided by beforehand, so that its slope is not taken for noise.
    runs : int
        Of as many channels each.

    Returns
    -------
    (spectra,) float32
        Relative to the median row; 0 where at least half of a row is dead.
    float, bool
    """
    shape = (len(sample), runs, sample.shape[1] // runs)
    is_alive = (seen.spectrum > 0) & (band > 0)
    scale = np.divide(is_alive, band, out=np.zeros_like(band), where=is_alive)
    if (is_alive & seen.is_whole).all():  # nearly always
        counts = np.full(shape[:2], shape[-1])
        middle, square = middles_and_squares((sample * scale).reshape(shape))
    else:
        valid = is_valid(sample) & is_alive
        power, valid = (np.where(valid, sample, 0) * scale).reshape(shape), valid.reshape(shape)
        counts, middle, square = valid.sum(axis=-1), np.zeros(shape[:2]), np.zeros(shape[:2])
        for where in zip(*np.nonzero(2 * counts > shape[-1]), strict=True):
            middle[where], square[where] = middles_and_squares(power[where][valid[where]])
    counts[middle == 0] = 0
    gains = np.array([np.median(row[row > 0]) if 2 * alive > row.size * shape[-1] else 0
                      for row, alive in zip(middle, counts.sum(axis=-1), strict=True)], np.float32)
    if (gains > 0).any():
        gains /= np.median(gains[gains > 0])
    counts[gains == 0] = 0
    return gains, *_noise_spectra(counts.sum(axis=0), (square * counts).sum(axis=0), nominal)


def _noise_spectra(
    counts: NDArray[np.int64], squares: NDArray[np.float64], nominal: float
) -> tuple[float, bool]:
    """Return N in use and whether it had to be measured, given the pixels of each run and their squares' sums."""
    counts, squares = counts[counts >= MEASURABLE], squares[counts >= MEASURABLE]
    if not len(counts):
        return nominal, False
    measured = float(np.median([noise_spectra_of_square(square) for square in squares / counts]))
    # spreads go as 1/√N; the measured one has an error of 1.4/√pixels, and a median of a quarter more
    error = 4 / counts.sum() ** 0.5 * (1 if len(counts) == 1 else 1.25)
    if abs((nominal / measured) ** 0.5 - 1) <= max(NOMINAL_TOLERANCE, error):
        return nominal, False
    return measured, True


def _inverse(gain: NDArray[np.float32]) -> NDArray[np.float32]:
    inverse: NDArray[np.float32] = np.divide(np.float32(1), gain, out=np.zeros_like(gain), where=gain > 0)
    return inverse


def _flatten_whole(power: NDArray[np.float32], nominal: float, has_dc_spike: bool, coarse_width: int | None) -> Flat:
    """Flatten a coarse channel of few channels: all of them are sampled."""
    channels, shape = power.shape[1], len(power) * nominal
    first = _Seen.of(power, 0, np.ones(len(power), np.float32))
    band = band_shape(first.spectrum, shape, coarse_width)
    gain, n, is_measured = _gains_and_noise(power, first, band, 1, nominal)
    row_scale = _inverse(gain)
    seen = _Seen.of(power, 0, row_scale)
    if has_dc_spike:
        seen.mask(channels // 2 - 1, channels // 2 + 1)
    baseline = band_shape(seen.spectrum, shape, coarse_width)
    channel_scale = _channel_scale(seen.spectrum, baseline, _faintest(baseline), seen.is_whole)
    return Flat(seen.stored, seen.is_mirrored, row_scale, channel_scale, seen.is_whole, gain, baseline, n, is_measured)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _channel_scale(
    spectrum: NDArray[np.float32], baseline: NDArray[np.float32], faintest: np.float32, is_whole: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return 1 / baseline, 0 for dead and faint channels, which are not whole; raise the baseline to ``faintest``."""
    scale = np.empty_like(baseline)
    for c in range(len(baseline)):
        is_live = (spectrum[c] > 0) & (baseline[c] >= faintest)
        level = max(baseline[c], faintest)
        baseline[c] = level
        scale[c] = np.float32(is_live) / level
    for c in range(len(baseline)):
        is_whole[c] &= scale[c] > 0
    return scale
