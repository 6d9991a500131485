"""Flattened coarse channels, and the windows cut out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.support.compiled import njit


@dataclass(frozen=True, slots=True)
class FlattenedChannel:
    """A flattened coarse channel, or a stretch of one: unchanged power, and the factors that flatten it.

    The gate reads most pixels a single time. It multiplies them by the factors as it reads, so flattened power is never
    stored.
    """

    stored: NDArray[np.float32]
    """(spectra, channels), C-contiguous: power in the unit and order of the file."""
    is_mirrored: bool
    """True if ``stored`` goes from high frequency to low. All other arrays ascend."""
    row_scale: NDArray[np.float32]
    """(spectra,): 1 / gain; 0 for a dead row."""
    channel_scale: NDArray[np.float32]
    """(channels,): 1 / baseline; 0 for a dead channel."""
    is_unmasked: NDArray[np.bool_]
    """(channels,): True if no pixel of the channel is masked."""
    row_gain: NDArray[np.float32]
    """(spectra,): gain of each row relative to the median row; 0 for a dead row."""
    baseline: NDArray[np.float32]
    """(channels,): the band, in the file's unit. If the true band is below
    :data:`pipeline.flatten.coarse_channel.MIN_BAND_LEVEL` times its median, this value is used instead."""
    noise_spectra: float
    """N in use: the number of exponential variables averaged in one pixel (:mod:`pipeline.flatten.noise`)."""
    noise_is_measured: bool
    """True if the data contradicted the header's N."""
    is_signed: bool = False
    """True if the values of the file are not power: ``stored`` was made from them (:mod:`pipeline.flatten.signed`)."""

    @classmethod
    def from_flat(cls, power: NDArray[np.float32], noise_spectra: float) -> Self:
        """Wrap power (spectra, channels) that is already flat: noise is at 1, and masked pixels are 0."""
        stored, is_mirrored = in_memory_order(power)
        rows, band = np.ones(len(power), np.float32), np.ones(power.shape[1], np.float32)
        is_unmasked = np.asarray(is_valid(power).all(axis=0))
        return cls(stored, is_mirrored, rows, band, is_unmasked, rows, band, noise_spectra, False)

    def from_spectrum(self, first: int) -> Self:
        """Return the same channels without the spectra before ``first``."""
        return replace(self, stored=self.stored[first:], row_scale=self.row_scale[first:],
                       row_gain=self.row_gain[first:])

    def windows(self, starts: NDArray[np.int64], channels: int) -> NDArray[np.float32]:
        """Cut windows of power over baseline: noise is at 1, masked pixels are 0.

        Parameters
        ----------
        starts : (n,) int64
            First channel of each window.
        channels : int
            Channels in a window.

        Returns
        -------
        (n, spectra, channels) float32
            A new array, ascending.

        Raises
        ------
        IndexError
            A window is not completely inside.
        """
        flat, at = self.in_ascending_order(starts, channels)
        windows: NDArray[np.float32] = _flatten_windows(flat.stored, flat.row_scale, flat.channel_scale, at, channels)
        return windows

    def in_ascending_order(self, starts: NDArray[np.int64], channels: int) -> tuple[Self, NDArray[np.int64]]:
        """Return power in which the windows ascend, and the first channel of each window in it.

        If this power ascends, it is returned itself. Otherwise the windows are copied (:meth:`take_windows`).
        Parameters and errors are those of :meth:`windows`.
        """
        if self.is_mirrored:
            return self.take_windows(starts, channels), np.arange(0, len(starts) * channels, channels)
        return self, self._check_starts(starts, channels)

    def take_windows(self, starts: NDArray[np.int64], channels: int) -> Self:
        """Copy windows side by side into new memory, in ascending order.

        Parameters and errors are those of :meth:`windows`. Window k begins at channel k × ``channels`` of the result.
        """
        stored, channel_scale, is_unmasked, baseline = _copy_side_by_side(
            self.stored, self.is_mirrored, self.channel_scale, self.is_unmasked, self.baseline,
            self._check_starts(starts, channels), channels)
        # dataclasses.replace would take as long as the copy
        return type(self)(stored, False, self.row_scale, channel_scale, is_unmasked, self.row_gain, baseline,
                          self.noise_spectra, self.noise_is_measured, self.is_signed)

    def _check_starts(self, starts: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
        """Return ``starts`` if all windows are completely inside. Compiled code does not check it."""
        last = self.stored.shape[1] - channels
        if len(starts) and not 0 <= starts.min() <= starts.max() <= last:
            raise IndexError(f"windows begin at channels {starts.min()} to {starts.max()}, but the last one that fits "
                             f"begins at {last}")
        return starts

    @classmethod
    def concatenate(cls, pieces: Sequence[Self]) -> Self:
        """Put ascending pieces of one coarse channel side by side."""
        names = ("stored", "channel_scale", "is_unmasked", "baseline")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(piece, name) for piece in pieces], axis=-1) for name in names}
        return replace(pieces[0], **joined)


def in_memory_order(power: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Return ``power`` in the order in which it is in memory, and True if that order is mirrored.

    Compiled loops are fast only in memory order.
    """
    is_mirrored = power.strides[1] < 0
    return np.ascontiguousarray(power[:, ::-1] if is_mirrored else power), is_mirrored


def is_valid(power: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which pixels hold a valid power: positive and finite."""
    return (power > 0) & (power < np.inf)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _flatten_windows(
    stored: NDArray[np.float32], row_scale: NDArray[np.float32], channel_scale: NDArray[np.float32],
    starts: NDArray[np.int64], channels: int,
) -> NDArray[np.float32]:
    """Return windows (n, spectra, channels) of power over baseline. Masked pixels are 0."""
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
def _copy_side_by_side(
    stored: NDArray[np.float32], is_mirrored: bool, channel_scale: NDArray[np.float32], is_unmasked: NDArray[np.bool_],
    baseline: NDArray[np.float32], starts: NDArray[np.int64], channels: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Copy windows side by side, ascending. Return their power, channel scales, mask and baseline."""
    (spectra, stride), count = stored.shape, len(starts) * channels
    power, band = np.empty((spectra, count), np.float32), np.empty(count, np.float32)
    scale, whole = np.empty(count, np.float32), np.empty(count, np.bool_)
    for k in range(len(starts)):
        first, to = starts[k], k * channels
        for c in range(channels):  # loops, because copies of slices compile four times as long
            scale[to + c], band[to + c] = channel_scale[first + c], baseline[first + c]
            whole[to + c] = is_unmasked[first + c]
        for t in range(spectra):
            row, into = stored[t], power[t, to : to + channels]
            if is_mirrored:
                for c in range(channels):
                    into[c] = row[stride - 1 - first - c]
            else:
                for c in range(channels):
                    into[c] = row[first + c]
    return power, scale, whole, band
