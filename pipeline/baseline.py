"""Flatten one coarse channel: dead pixels, row gains, band shape, and how noisy its noise is.

Power over baseline is 1 on average, with the spread of its noise (:mod:`pipeline.noise`). Everything here is robust
against signals, and nothing here looks at one window alone: a wide signal must not normalise itself away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.averages import time_mean
from pipeline.band import BLOCK, BandShape, band_shape, median_over_mean, middles
from pipeline.noise import middle_of, noise_spectra_of

FAINTEST = 0.05
"""Channels where the band is fainter than this, relative to its median, are masked: filters left nothing of the sky."""
SAMPLES = 32_768
"""Channels sampled for a row's gain: its error, 0.007 of a pixel's spread, is far below any statistic's."""
RUN = 2048
"""Of so many side by side: as many are stored together."""
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
    is_whole: NDArray[np.bool_]
    """(channels,): True where no pixel is masked."""
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
        is_whole = np.asarray(_is_valid(power).all(axis=0))
        return cls(stored, is_mirrored, rows, band, is_whole, rows, band, noise_spectra, False)

    @property
    def power(self) -> NDArray[np.float32]:
        """Power over baseline (spectra, channels), noise at 1; masked pixels are 0. A new array."""
        ascending = self.stored[:, ::-1] if self.is_mirrored else self.stored
        return _flattened(ascending, self.row_scale[:, None], self.channel_scale)

    def windows(self, starts: NDArray[np.int64], channels: int) -> NDArray[np.float32]:
        """Cut windows (n, spectra, channels) out of :attr:`power`."""
        first = self.stored.shape[1] - channels - starts if self.is_mirrored else starts
        pixels = np.moveaxis(_cut(self.stored, first, channels), 1, 0)
        ascending = pixels[..., ::-1] if self.is_mirrored else pixels
        return _flattened(ascending, self.row_scale[:, None], _cut(self.channel_scale, starts, channels)[:, None])

    def taken(self, starts: NDArray[np.int64], channels: int) -> Self:
        """Return windows alone, ascending and side by side, in memory of their own: mostly few."""
        at = (starts[:, None] + np.arange(channels)).ravel()
        where = self.stored.shape[1] - 1 - at if self.is_mirrored else at
        return replace(self, stored=np.take(self.stored, where, axis=1), is_mirrored=False,
                       channel_scale=self.channel_scale[at], is_whole=self.is_whole[at], baseline=self.baseline[at])

    @classmethod
    def joined(cls, pieces: Sequence[Self]) -> Self:
        """Put ascending pieces of one coarse channel side by side."""
        names = ("stored", "channel_scale", "is_whole", "baseline")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(piece, name) for piece in pieces], axis=-1) for name in names}
        return replace(pieces[0], **joined)


def _cut(values: NDArray[Any], starts: NDArray[np.int64], channels: int) -> NDArray[Any]:
    """Cut (…, n, channels) out of (…, channels): block by block, not number by number."""
    if channels > values.shape[-1]:
        return np.empty((*values.shape[:-1], 0, channels), values.dtype)  # there can be no window
    return sliding_window_view(values, channels, axis=-1)[..., starts, :]


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
    gain = _row_gains(sample)
    row_scale = _inverse(gain)
    faintest, n, is_measured = _known_from(sample, row_scale, nominal)
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
        stored, is_mirrored = _in_order_of_memory(power)
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


def _known_from(
    sample: NDArray[np.float32], row_scale: NDArray[np.float32], nominal: float
) -> tuple[np.float32, float, bool]:
    """Return below what a band is faint, N in use and whether that had to be measured, from runs of channels."""
    spectrum, _ = time_mean(sample, row_scale)
    alive = spectrum[spectrum > 0]
    faintest = np.float32(FAINTEST * middles(alive[None])[0]) if len(alive) else np.float32(0)
    level = _lines(middles(spectrum.reshape(-1, BLOCK))) / median_over_mean(len(row_scale) * nominal)
    scale = np.divide(spectrum > 0, level, out=np.zeros_like(spectrum), where=level > 0)
    runs = [slice(start, start + RUN) for start in range(0, len(spectrum), RUN)]
    pixels = (_alive(np.ascontiguousarray(sample[:, run]), row_scale, scale[run]) for run in runs)
    return faintest, *_noise_spectra(pixels, nominal)


def _lines(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw straight lines through the middles of blocks, run by run."""
    at, middle = np.arange(RUN), np.arange(BLOCK // 2, RUN, BLOCK)
    i = np.clip((at - BLOCK // 2) // BLOCK, 0, RUN // BLOCK - 2)
    of_run = levels.reshape(-1, RUN // BLOCK)
    rise = np.diff(of_run, axis=1)[:, i] * ((at - middle[i]) / BLOCK)
    lines: NDArray[np.float64] = (of_run[:, i] + rise).ravel()
    return lines


def _inverse(gain: NDArray[np.float32]) -> NDArray[np.float32]:
    inverse: NDArray[np.float32] = np.divide(np.float32(1), gain, out=np.zeros_like(gain), where=gain > 0)
    return inverse


def _flatten_whole(power: NDArray[np.float32], nominal: float, has_dc_spike: bool, coarse_width: int | None) -> Flat:
    """Flatten a coarse channel of few channels: all of them are sampled."""
    channels = power.shape[1]
    gain = _row_gains(power)
    row_scale = _inverse(gain)
    seen = _Seen.of(power, 0, row_scale)
    if has_dc_spike:
        seen.mask(channels // 2 - 1, channels // 2 + 1)
    baseline = band_shape(seen.spectrum, len(power) * nominal, coarse_width)
    faintest = np.float32(FAINTEST * middles(baseline[None, ::BLOCK])[0])
    channel_scale = _channel_scale(seen.spectrum, baseline, faintest, seen.is_whole)
    stored_scale = channel_scale[::-1] if seen.is_mirrored else channel_scale
    few = slice(0, None, max(1, 2 * channels // SAMPLES))
    pixels = _alive(np.ascontiguousarray(seen.stored[:, few]), row_scale, np.ascontiguousarray(stored_scale[few]))
    n, is_measured = _noise_spectra([pixels], nominal)
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


def _row_gains(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row's middle, relative to that of the median row; 0 where at least half of a row is dead."""
    gains = np.zeros(len(sample), np.float32)
    spectrum, is_whole = time_mean(sample, np.ones_like(gains))
    differs = spectrum > 0
    are_live = bool((is_whole & differs).all())  # nearly always
    for t, row in enumerate(sample):
        valid = row if are_live else row[_is_valid(row) & differs]
        if 2 * len(valid) > len(row):
            gains[t] = middle_of(valid)
    alive = gains > 0
    if alive.any():
        gains[alive] /= np.median(gains[alive])
    return gains


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _alive(
    power: NDArray[np.float32], row_scale: NDArray[np.float32], channel_scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the power over baseline of all pixels that are not masked, row after row."""
    spectra, channels = power.shape
    out = np.empty(spectra * channels, np.float32)
    count = 0
    for t in range(spectra):
        masked = np.uint32(0)
        for c in range(channels):
            scale = row_scale[t] * channel_scale[c]
            out[count + c] = power[t, c] * scale
            is_alive = (power[t, c] > 0) & (power[t, c] < np.float32(np.inf)) & (scale > 0)
            masked |= np.uint32(not is_alive)
        if not masked:  # nearly always
            count += channels
            continue
        for c in range(channels):
            scale = row_scale[t] * channel_scale[c]
            if (power[t, c] > 0) & (power[t, c] < np.inf) & (scale > 0):
                out[count] = power[t, c] * scale
                count += 1
    return out[:count]


def _noise_spectra(pieces: Iterable[NDArray[np.float32]], nominal: float) -> tuple[float, bool]:
    """Return N in use and whether it had to be measured, given pieces of power over baseline without masked pixels.

    The median piece is what counts: signals, or a band that dives, widen the noise of theirs.
    """
    found = [(len(piece), noise_spectra_of(piece)) for piece in pieces if len(piece) >= MEASURABLE]
    if not found:
        return nominal, False
    pixels, measured = sum(count for count, _ in found), float(np.median([n for _, n in found]))
    # spreads go as 1/√N; the measured one has an error of 1.4/√pixels, and a median of a quarter more
    error = 4 / pixels**0.5 * (1 if len(found) == 1 else 1.25)
    if abs((nominal / measured) ** 0.5 - 1) <= max(NOMINAL_TOLERANCE, error):
        return nominal, False
    return measured, True
