"""A flattened coarse channel, and windows cut out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import njit


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
    """(channels,): the band, in the file's unit; never below :data:`pipeline.baseline.FAINTEST`."""
    noise_spectra: float
    """N in use: exponentials averaged in one bin."""
    noise_is_measured: bool
    """True where the data contradicted the header's N."""

    @classmethod
    def of_level(cls, power: NDArray[np.float32], noise_spectra: float) -> Self:
        """Take power (spectra, channels) whose noise is at 1 already, masked pixels 0."""
        stored, is_mirrored = in_order_of_memory(power)
        rows, band = np.ones(len(power), np.float32), np.ones(power.shape[1], np.float32)
        is_whole = np.asarray(is_valid(power).all(axis=0))
        return cls(stored, is_mirrored, rows, band, is_whole, rows, band, noise_spectra, False)

    @property
    def power(self) -> NDArray[np.float32]:
        """Power over baseline (spectra, channels), noise at 1; masked pixels are 0. A new array."""
        whole: NDArray[np.float32] = self.windows(np.zeros(1, np.int64), self.stored.shape[1])[0]
        return whole

    def windows(self, starts: NDArray[np.int64], channels: int) -> NDArray[np.float32]:
        """Cut windows (n, spectra, channels) out of :attr:`power`. Raises ``IndexError`` for one that is not in it."""
        flat, at = self.ascending(starts, channels)
        windows: NDArray[np.float32] = _flattened(flat.stored, flat.row_scale, flat.channel_scale, at, channels)
        return windows

    def ascending(self, starts: NDArray[np.int64], channels: int) -> tuple[Self, NDArray[np.int64]]:
        """Return what holds windows in ascending order, and where they start in it: this one, if it ascends."""
        if self.is_mirrored:
            return self.taken(starts, channels), np.arange(0, len(starts) * channels, channels)
        return self, self._within(starts, channels)

    def taken(self, starts: NDArray[np.int64], channels: int) -> Self:
        """Return windows alone, ascending and side by side, in memory of their own: mostly few."""
        stored, channel_scale, is_whole, baseline = _side_by_side(
            self.stored, self.is_mirrored, self.channel_scale, self.is_whole, self.baseline,
            self._within(starts, channels), channels)
        return type(self)(stored, False, self.row_scale, channel_scale, is_whole, self.row_gain, baseline,
                          self.noise_spectra, self.noise_is_measured)  # by "replace" it takes as long as the copy

    def _within(self, starts: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
        """Return what windows start with, if all of them are in here: compiled code does not look."""
        last = self.stored.shape[1] - channels
        if len(starts) and not 0 <= starts.min() <= starts.max() <= last:
            raise IndexError(f"windows from {starts.min()} to {starts.max()}, where the last begins at {last}")
        return starts

    @classmethod
    def joined(cls, pieces: Sequence[Self]) -> Self:
        """Put ascending pieces of one coarse channel side by side."""
        names = ("stored", "channel_scale", "is_whole", "baseline")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(piece, name) for piece in pieces], axis=-1) for name in names}
        return replace(pieces[0], **joined)


def in_order_of_memory(power: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Return the array as it lies in memory, which is what compiled loops are fast on, and whether that is mirrored."""
    is_mirrored = power.strides[1] < 0
    return np.ascontiguousarray(power[:, ::-1] if is_mirrored else power), is_mirrored


def is_valid(power: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which pixels hold a power: positive and finite."""
    return (power > 0) & (power < np.inf)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _flattened(
    stored: NDArray[np.float32], row_scale: NDArray[np.float32], channel_scale: NDArray[np.float32],
    starts: NDArray[np.int64], channels: int,
) -> NDArray[np.float32]:
    """Cut power over baseline, 0 where masked, of some channels from each start on."""
    spectra = len(stored)
    out = np.empty((len(starts), spectra, channels), np.float32)
    for k in range(len(starts)):
        scale = channel_scale[starts[k] : starts[k] + channels]
        for t in range(spectra):
            row, into = stored[t, starts[k] : starts[k] + channels], out[k, t]
            for c in range(channels):
                is_alive = (row[c] > 0) & (row[c] < np.float32(np.inf))
                into[c] = row[c] * (row_scale[t] * scale[c]) if is_alive else np.float32(0)
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _side_by_side(
    stored: NDArray[np.float32], is_mirrored: bool, channel_scale: NDArray[np.float32], is_whole: NDArray[np.bool_],
    baseline: NDArray[np.float32], starts: NDArray[np.int64], channels: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Copy some channels from each start on, ascending."""
    (spectra, stride), count = stored.shape, len(starts) * channels
    power, band = np.empty((spectra, count), np.float32), np.empty(count, np.float32)
    scale, whole = np.empty(count, np.float32), np.empty(count, np.bool_)
    for k in range(len(starts)):
        first, to = starts[k], slice(k * channels, (k + 1) * channels)
        scale[to], whole[to] = channel_scale[first : first + channels], is_whole[first : first + channels]
        band[to] = baseline[first : first + channels]
        if is_mirrored:
            first = stride - channels - first
        for t in range(spectra):
            if is_mirrored:
                power[t, to] = stored[t, first : first + channels][::-1]
            else:
                power[t, to] = stored[t, first : first + channels]
    return power, scale, whole, band
