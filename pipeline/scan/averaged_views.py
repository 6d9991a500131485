"""Scans the averaged views of a file, in the same pass over its samples as the scan of the file itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.filterbank import Filterbank
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import MAX_MASKED_SHARE, images_pass
from pipeline.grid.places import offsets_in
from pipeline.grid.tiling import Tiling
from pipeline.model import Timing
from pipeline.scan.averaging import AveragedSamples, Averages, Spare
from pipeline.scan.columns import ScanResult
from pipeline.views import View, views_of

VIEW_FALSE_ALARM = 1 / 16
"""Share of noise windows that a view keeps, relative to that of the plain view. A view has fewer windows, too. So the
views f4 and f16 together keep 2 % of the noise that the plain view keeps. The share does not depend on the other views:
windows stay as they are when a corpus gets more views."""

Watch = Callable[[NDArray[np.float32], int], None]
"""Called with power (spectra, channels) and its first channel, for each piece of a coarse channel that is read."""
IsExplained = Callable[[FlattenedChannel, NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
"""Called with windows side by side, the position of some of them there, and their first channel in the coarse channel.
Tells which of these windows one finer window explains."""
ScanChannel = Callable[[AveragedSamples, Tiling, int, int, ScanConfig, IsExplained | None], ScanResult]
"""Scans one coarse channel in one time block."""


class AveragedViews:
    """The averaged views of the coarse channels that are being scanned.

    Parameters
    ----------
    filterbank : Filterbank
        The open file.
    tiling : Tiling
        Where the windows of the plain view are.
    config : ScanConfig
        Settings of the plain view. ``views`` says which views there are.
    scan : callable
        Scans a coarse channel of a view.
    """

    def __init__(self, filterbank: Filterbank, tiling: Tiling, config: ScanConfig, scan: ScanChannel) -> None:
        self._filterbank, self._tiling, self._scan = filterbank, tiling, scan
        self._config = replace(config, false_alarm=config.false_alarm * VIEW_FALSE_ALARM)
        views = views_of(config.views, tiling.header, tiling.coarse, tiling.grid)
        self._tilings = {view: tiling.seen_through(view) for view in views}
        self._averages: dict[int, Averages] = {}
        self._spare: Spare = {}
        self._plain: dict[int, list[tuple[int, ScanResult]]] = {}
        """Coarse channel → the last blocks of the plain view, which a block of the longest view may share, with their
        results."""
        self._results: dict[tuple[View, int], list[ScanResult]] = {}

    def watch(self, i: int, block: int) -> Watch | None:
        """Return the function to call with the samples of coarse channel ``i`` in a time block; None without views."""
        views = [view for view in self._tilings if self._has_windows(view, i)]
        if not views:
            return None
        if i not in self._averages:
            low, high = self._tiling.coarse_span(i)
            self._averages[i] = Averages(views, (self._tiling.grid.integrations, high - low),
                                         self._filterbank.limits, self._spare)
            self._plain[i] = []
        return partial(self._averages[i].watch, block=block, shared=self._tiling.shared_spectra(block))

    def _has_windows(self, view: View, i: int) -> bool:
        tiling = self._tilings[view]
        return i < tiling.n_coarse and len(tiling.positions(i)) > 0

    def add(self, i: int, block: int, plain: ScanResult) -> None:
        """Scan the views of coarse channel ``i`` that have a time block ending with ``block`` of the plain view."""
        if i not in self._averages:
            return
        self._averages[i].end_block()
        self._plain[i].append((block, plain))
        for view in self._tilings:
            of_view = self._block_ending_with(view, block)
            if of_view is not None and self._has_windows(view, i):
                self._results.setdefault((view, i), []).append(self._scan_view(view, i, of_view))
        longest = max(view.time for view in self._tilings)
        del self._plain[i][: -(longest + 1)]
        if block + 1 == self._tiling.n_blocks:
            self._averages.pop(i).give_back()
            del self._plain[i]

    def _block_ending_with(self, view: View, block: int) -> int | None:
        """Return the time block of a view that ends with ``block`` of the plain view, or None."""
        last = self._tilings[view].n_blocks - 1
        if block + 1 == self._tiling.n_blocks and self._tilings[view].shared_spectra(last):
            return last
        is_end = (block + 1) % view.time == 0 and not self._tiling.shared_spectra(block)
        return block // view.time if is_end else None

    def _scan_view(self, view: View, i: int, of_view: int) -> ScanResult:
        began, tiling = time.perf_counter(), self._tilings[view]
        first, (low, _) = tiling.spectrum_of(of_view), tiling.coarse_span(i)
        samples = replace(self._averages[i].samples(view, tiling.header, first), channel=low)
        kept = _Kept.of(self._tiling, view, i, first, self._plain[i])
        result = self._scan(samples, tiling, i, of_view, self._config,
                            partial(kept.explain, false_alarm=self._config.false_alarm))
        # nothing was read: the time that copying averages took is part of the scan
        return replace(result, view=view.name, bytes_decoded=0, timing=Timing(scan_s=time.perf_counter() - began))

    def take(self) -> Iterator[ScanResult]:
        """Yield the results so far, for each view by coarse channel and time block."""
        for (_, _), results in sorted(self._results.items(), key=lambda item: (item[0][0].name, item[0][1])):
            yield from results
        self._results.clear()


class _Kept:
    """The windows of the plain view that were kept during one time block of an averaged view."""

    def __init__(self, view: View, tiling: Tiling, start: NDArray[np.int64], row: NDArray[np.int64],
                 snr: NDArray[np.float32]) -> None:
        self._view, self._grid = view, tiling.grid
        self._start, self._row, self._snr = start, row, snr
        """For each window: its first channel, its first spectrum after that of the view's time block, and its SNR."""

    @classmethod
    def of(cls, tiling: Tiling, view: View, i: int, first: int, plain: Sequence[tuple[int, ScanResult]]) -> _Kept:
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
        images = flat.windows(at[has_one], grid.channels)
        is_searchable = (images <= 0).mean(axis=(1, 2)) <= MAX_MASKED_SHARE
        for image, k in zip(images, has_one.tolist(), strict=True):
            first, row = int(self._start[strongest[k]] - starts[k] * f), int(self._row[strongest[k]])
            image[max(0, row // t) : max(0, -(-(row + grid.integrations) // t)),
                  max(0, first // f) : max(0, -(-(first + grid.channels) // f))] = 1
        passes = images_pass(images, flat.noise_spectra, false_alarm)
        explained[has_one] = is_searchable & ~passes
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
