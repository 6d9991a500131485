"""Tells which windows of an averaged view are explained by one window that the plain view kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import MAX_MASKED_SHARE, flat_windows_pass
from pipeline.grid.places import offsets_in
from pipeline.grid.tiling import Tiling
from pipeline.scan.columns import ScanResult
from pipeline.support.compiled import njit
from pipeline.views import View


class KeptWindows:
    """The windows of the plain view that were kept during one time block of an averaged view."""

    def __init__(self, view: View, tiling: Tiling, start: NDArray[np.int64], row: NDArray[np.int64],
                 snr: NDArray[np.float32]) -> None:
        self._view, self._grid = view, tiling.grid
        self._start, self._row, self._snr = start, row, snr
        """For each window: its first channel, its first spectrum after that of the view's time block, and its SNR."""

    @classmethod
    def of(cls, tiling: Tiling, view: View, i: int, first: int, plain: Sequence[tuple[int, ScanResult]]) -> Self:
        """Collect the windows of coarse channel ``i`` that share spectra with a time block of the view.

        Parameters
        ----------
        first : int
            First averaged spectrum of the time block of the view.
        plain : sequence of (int, ScanResult)
            Time blocks of the plain view and their results.
        """
        starts, rows, snr, length = [], [], [], tiling.grid.integrations
        for block, result in plain:
            row = tiling.spectrum_of(block) - first * view.time
            if -length < row < length * view.time:
                position = np.asarray(result.windows["number"], np.int64) - tiling.number(block, i, 0)
                starts.append(offsets_in(tiling, i, position))
                rows.append(np.full(len(position), row))
                snr.append(np.asarray(result.windows["snr"], np.float32))
        return cls(view, tiling, np.concatenate(starts), np.concatenate(rows), np.concatenate(snr))

    def explain(
        self, flat: FlattenedChannel, at: NDArray[np.int64], starts: NDArray[np.int64], *, false_alarm: float
    ) -> NDArray[np.bool_]:
        """Tell which windows of the view one kept window of the plain view explains.

        A window of the view may cover several kept plain windows. The pixels of the one with the largest SNR are set to
        the level of the noise. If the window then fails the gate, the plain window explains it. So a line is kept once.
        A comb or a hump that lies in several plain windows is kept in each view that holds it.

        Parameters
        ----------
        flat : FlattenedChannel
            Windows of the view, side by side.
        at : (n,) int64
            First channel of each window in ``flat``.
        starts : (n,) int64
            First averaged channel of each window, counted in the coarse channel.
        false_alarm : float
            Rate of false alarms of the view.

        Returns
        -------
        (n,) bool
        """
        f, t, grid = self._view.frequency, self._view.time, self._grid
        explained = np.zeros(len(at), np.bool_)
        strongest = self._strongest(starts * f)
        has_one = np.flatnonzero(strongest >= 0)
        if not len(has_one):
            return explained
        row, first = self._row[strongest[has_one]], self._start[strongest[has_one]] - starts[has_one] * f
        covered = np.stack([row // t, -(-(row + grid.integrations) // t),
                            first // f, -(-(first + grid.channels) // f)], axis=1)
        flat, at = flat.in_ascending_order(at[has_one], grid.channels)
        rest = np.empty((grid.integrations, len(at) * grid.channels), np.float32)
        masked = np.zeros(len(at), np.int64)
        _flatten_rest(flat.stored, flat.row_scale, flat.channel_scale, at, grid.channels, covered, rest, masked)
        is_searchable = masked <= MAX_MASKED_SHARE * grid.channels * grid.integrations
        explained[has_one] = is_searchable & ~flat_windows_pass(rest, grid.channels, flat.noise_spectra, false_alarm)
        return explained

    def _strongest(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the index of the kept plain window with the largest SNR in each window of the view; −1 without one.

        ``starts`` are the first channels of windows of the view, in channels of the plain view.
        """
        width, wide = self._grid.channels, self._grid.channels * self._view.frequency
        inside = (self._start < starts[:, None] + wide) & (self._start + width > starts[:, None])
        if not self._snr.size:
            return np.full(len(starts), -1)
        return np.where(inside.any(axis=1), np.where(inside, self._snr, -np.inf).argmax(axis=1), -1)


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _flatten_rest(
    stored: NDArray[np.float32], row_scale: NDArray[np.float32], channel_scale: NDArray[np.float32],
    starts: NDArray[np.int64], channels: int, covered: NDArray[np.int64], rest: NDArray[np.float32],
    masked: NDArray[np.int64],
) -> None:
    """Write flat windows side by side into ``rest``, and count their masked pixels, which are 0.

    Then set the pixels of each that ``covered`` (windows, 4) names to the level of the noise: from one row to another,
    and from one channel to another. Both may lie outside the window.
    """
    spectra = len(stored)
    for k in range(len(starts)):
        scale, (low, high, first, last) = channel_scale[starts[k] : starts[k] + channels], covered[k]
        for t in range(spectra):
            row, into = stored[t, starts[k] : starts[k] + channels], rest[t, k * channels : (k + 1) * channels]
            for c in range(channels):
                is_alive = (row[c] > 0) & (row[c] < np.float32(np.inf))
                into[c] = row[c] * (row_scale[t] * scale[c]) if is_alive else np.float32(0)
            count = np.int32(0)
            for c in range(channels):  # a loop of its own, so that both are vectorised
                count += np.int32(not into[c] > 0)
            masked[k] += count
            if low <= t < high:
                for c in range(max(0, first), min(channels, last)):
                    into[c] = 1
