"""Scans the averaged views of a file, in the same pass over its samples as the scan of the file itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.filterbank import Filterbank
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.grid.tiling import Tiling
from pipeline.model import Timing
from pipeline.scan.averaging import AveragedSamples, Averages, Spare
from pipeline.scan.columns import ScanResult
from pipeline.scan.explained import KeptWindows
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
        kept = KeptWindows.of(self._tiling, view, i, first, self._plain[i])
        result = self._scan(samples, tiling, i, of_view, self._config,
                            partial(kept.explain, false_alarm=self._config.false_alarm))
        # nothing was read: the time that copying averages took is part of the scan
        return replace(result, view=view.name, bytes_decoded=0, timing=Timing(scan_s=time.perf_counter() - began))

    def take(self) -> Iterator[ScanResult]:
        """Yield the results so far, for each view by coarse channel and time block."""
        for (_, _), results in sorted(self._results.items(), key=lambda item: (item[0][0].name, item[0][1])):
            yield from results
        self._results.clear()
