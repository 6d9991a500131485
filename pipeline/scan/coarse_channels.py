"""Scans filterbank data for windows to keep, one coarse channel and one time block at a time."""

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
from pipeline.gate import Statistics, may_pass, measure
from pipeline.grid.places import offsets_in
from pipeline.grid.tiling import Tiling
from pipeline.model import Timing
from pipeline.overview import Cells, OverviewLayout
from pipeline.scan.averaged_views import AveragedViews, IsExplained, Watch
from pipeline.scan.columns import Columns, ScanResult, join_sides
from pipeline.scan.cutting import STRETCH_CHANNELS, flattened_stretches, make_cutouts
from pipeline.scan.levels import ChannelLevels, levels_of_channels
from pipeline.scan.overview_sums import add_power
from pipeline.scan.reading import Readable, TimedReader, block_runs, fetch_ahead, read_groups

See = Callable[[FlattenedChannel, int, int], None]
"""Called with each flattened stretch, its number of channels, and its first channel in the coarse channel."""


def scan(
    filterbank: Filterbank, tiling: Tiling, coarse: range, config: ScanConfig, overview: Cells | None = None
) -> Iterator[ScanResult]:
    """Scan whole coarse channels in all time blocks.

    Memory is bounded by two reads and the windows that are kept of them: while one read is scanned, the next one is
    fetched in a thread.

    Parameters
    ----------
    filterbank : Filterbank
        The open file.
    tiling : Tiling
        Where its windows are.
    coarse : range
        Coarse channels to scan.
    config : ScanConfig
        Settings of the gate, and the averaged views that are scanned in the same pass.
    overview : Cells, optional
        Cells of these coarse channels, to which all flattened power is added.

    Yields
    ------
    ScanResult
        One for each coarse channel and time block, in that order. The order does not depend on how the coarse channels
        of a source are divided among tasks. This holds for the results of each view, too, which ``view`` names.
    """
    wanted = [(group, run) for group in read_groups(tiling, coarse) for run in block_runs(filterbank, tiling, group)]
    blocks: list[list[ScanResult]] = []
    spare: list[NDArray[np.float32]] = []
    levels = levels_of_channels(filterbank, tiling, coarse, config)
    views = AveragedViews(filterbank, tiling, config, lambda samples, of_view, i, block, its_config, is_explained:
                          scan_channel(samples, of_view, i, block, its_config, spare, is_explained=is_explained,
                                       levels=levels))
    for (group, run), (fetched, read_s) in zip(wanted, fetch_ahead(filterbank, tiling, wanted), strict=True):
        each_s = read_s / (len(group) * len(run))
        for block in run:
            blocks.append([])
            for i in group:
                see = None if overview is None else partial(_add_to, overview, tiling, i, block)
                result = scan_channel(fetched, tiling, i, block, config, spare, each_s, views.watch(i, block), see=see,
                                      levels=levels)
                views.add(i, block, result)
                blocks[-1].append(result)
        if run.stop == tiling.n_blocks:
            for results_of_channel in zip(*blocks, strict=True):
                yield from results_of_channel
            blocks = []
            yield from views.take()


def scan_channel(
    samples: Readable,
    tiling: Tiling,
    i: int,
    block: int,
    config: ScanConfig,
    spare: list[NDArray[np.float32]],
    read_s: float = 0.0,
    watch: Watch | None = None,
    is_explained: IsExplained | None = None,
    see: See | None = None,
    levels: ChannelLevels | None = None,
) -> ScanResult:
    """Scan coarse channel ``i`` in one time block.

    Parameters
    ----------
    samples : Readable
        Reads the power. Some channels are read twice.
    spare : list of arrays
        Memory to decode into, reused from call to call.
    read_s : float
        Seconds already spent on fetching the samples.
    watch : callable, optional
        Sees all samples that are read.
    is_explained : callable, optional
        Tells which windows are left out though they pass the gate.
    see : callable, optional
        Sees the flattened power. If the values are not power, it sees only the signals above the noise.
    levels : ChannelLevels, optional
        Relative levels of the channels of the file.
    """
    result, is_signed = _scan_side(TimedReader(samples, tiling.coarse_span(i)[0], watch), tiling, i, block, config,
                                   spare, 1, is_explained, see, levels)
    if is_signed:
        below, _ = _scan_side(TimedReader(samples), tiling, i, block, config, spare, -1, is_explained)
        result = join_sides(result, below)
    return replace(result, timing=result.timing + Timing(read_s=read_s))


def _add_to(
    overview: Cells, tiling: Tiling, i: int, block: int, flat: FlattenedChannel, channels: int, start: int
) -> None:
    """Add a stretch of coarse channel ``i`` in one time block to an overview. No spectrum is added twice."""
    shared = tiling.shared_spectra(block)
    add_power(overview, OverviewLayout.of(tiling.header), flat.from_spectrum(shared) if shared else flat, channels,
              tiling.coarse_span(i)[0] + start, tiling.spectrum_of(block) + shared)


def _scan_side(
    reader: TimedReader, tiling: Tiling, i: int, block: int, config: ScanConfig, spare: list[NDArray[np.float32]],
    sign: int, is_explained: IsExplained | None, see: See | None = None, levels: ChannelLevels | None = None,
) -> tuple[ScanResult, bool]:
    """Scan coarse channel ``i`` in one time block for signals on one side of the noise.

    Returns
    -------
    ScanResult, bool
        True if the values are not power, so that signals may be on the other side, too.
    """
    began = time.perf_counter()
    windows, chosen = _candidates(reader, tiling, i, block, config, spare, sign, see, levels)
    channels = tiling.grid.channels
    at = np.arange(len(chosen)) * channels
    if is_explained is not None and not config.keep_all:
        left = ~is_explained(windows, at, _window_starts(tiling, i)[chosen])
        at, chosen = at[left], chosen[left]
    stats = measure(windows, at, tiling.grid, _false_alarm(windows, config))
    kept = np.flatnonzero(stats.searchable if config.keep_all else stats.keep)
    n_masked = int((~stats.searchable).sum())  # windows that are no candidates have no masked pixel
    numbers = tiling.number(block, i, 0) + tiling.positions(i).start + chosen[kept]
    columns = _window_columns(windows, at[kept], channels, numbers, stats, kept)
    exposure = _exposure(tiling, i, block, len(kept), n_masked, windows)
    timing = Timing(read_s=reader.took_s, scan_s=time.perf_counter() - began - reader.took_s)
    low, high = tiling.coarse_span(i)
    result = ScanResult(columns, exposure, timing, bytes_decoded=4 * tiling.grid.integrations * (high - low))
    return result, windows.is_signed


def _false_alarm(flat: FlattenedChannel, config: ScanConfig) -> float:
    """Return the share of noise windows to keep. If both sides of the noise are searched, each gets a half of it."""
    return config.false_alarm / 2 if flat.is_signed else config.false_alarm


def _candidates(
    reader: TimedReader, tiling: Tiling, i: int, block: int, config: ScanConfig, spare: list[NDArray[np.float32]],
    sign: int, see: See | None, levels: ChannelLevels | None,
) -> tuple[FlattenedChannel, NDArray[np.int64]]:
    """Flatten a coarse channel and copy the windows that may pass the gate.

    Returns
    -------
    FlattenedChannel
        The candidates, ascending and side by side.
    (candidates,) int64
        Index of each candidate among the searched windows of the coarse channel.
    """
    grid = tiling.grid
    starts = _window_starts(tiling, i)
    extend_over_two = (starts % STRETCH_CHANNELS + grid.channels > STRETCH_CHANNELS).any()
    chosen, pieces = [], []
    beyond = grid.channels if extend_over_two else 0
    for first, stop, flat in flattened_stretches(reader, tiling, i, block, beyond, spare, sign, levels):
        here = np.arange(*np.searchsorted(starts, (first, stop)))
        if not config.keep_all:
            here = here[may_pass(flat, starts[here] - first, grid, _false_alarm(flat, config))]
        chosen.append(here)
        pieces.append(flat.take_windows(starts[here] - first, grid.channels))
        if see is not None:
            see(flat, stop - first, first)
    return FlattenedChannel.concatenate(pieces), np.concatenate(chosen)


def _window_starts(tiling: Tiling, i: int) -> NDArray[np.int64]:
    """Return the first channel of each searched window, counted in coarse channel ``i``."""
    positions = tiling.positions(i)
    return offsets_in(tiling, i, np.arange(positions.start, positions.stop, dtype=np.int64))


def _window_columns(
    windows: FlattenedChannel, at: NDArray[np.int64], channels: int, numbers: NDArray[np.int64], stats: Statistics,
    kept: NDArray[np.int64],
) -> Columns:
    """Return the columns of the kept windows (:data:`pipeline.scan.columns.WINDOW_TYPES`).

    Parameters
    ----------
    at : (n,) int64
        First channel of each kept window in ``windows``.
    numbers : (n,) int64
        Window numbers.
    stats : Statistics
        Statistics of all candidates; ``kept`` (n,) are the indices of the kept windows.
    """
    return {
        "number": numbers,
        "cutout": make_cutouts(windows, at, channels),
        "snr": stats.snr[kept],
        "best_width": stats.best_width[kept],
        "best_duration": stats.best_duration[kept],
        "excess": stats.excess[kept],
        "masked": stats.masked[kept],
        "level": windows.baseline[at + channels // 2],
        "spread": np.full(len(kept), windows.noise_spectra**-0.5, np.float32),
    }


def _exposure(tiling: Tiling, i: int, block: int, n_kept: int, n_masked: int, windows: FlattenedChannel) -> Columns:
    """Return one row about what was searched (:data:`pipeline.scan.columns.EXPOSURE_TYPES`)."""
    starts, low = _window_starts(tiling, i), tiling.coarse_span(i)[0]
    first, last = low + starts[0], low + starts[-1] + tiling.grid.channels
    return {
        "coarse_channel": np.array([i], np.int32),
        "time_block": np.array([block], np.int32),
        "f_start_mhz": np.array([tiling.header.channel_edge_mhz(float(first))]),
        "f_stop_mhz": np.array([tiling.header.channel_edge_mhz(float(last))]),
        "windows_searched": np.array([len(starts) - n_masked], np.int32),
        "windows_kept": np.array([n_kept], np.int32),
        "windows_masked": np.array([n_masked], np.int32),
        "noise_spectra": np.array([windows.noise_spectra], np.float32),
        "noise_is_measured": np.array([windows.noise_is_measured], np.bool_),
        "row_gain": windows.row_gain[None, :],
    }
