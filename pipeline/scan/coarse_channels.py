"""Scans filterbank data for windows to keep, one coarse channel and one time block at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.filterbank import Ascending, Buffer, Filterbank
from pipeline.flatten.coarse_channel import flatten_stretches
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.flatten.noise import nominal_noise_spectra
from pipeline.flatten.time_mean import STRIP_CHANNELS
from pipeline.gate import Statistics, may_pass, measure
from pipeline.grid.cutouts import quantise
from pipeline.grid.tiling import Tiling
from pipeline.model import Timing
from pipeline.scan.columns import Columns, ScanResult, join_sides
from pipeline.scan.reading import TimedReader, block_runs, fetch_ahead, read_groups

STRETCH_CHANNELS = 16 * STRIP_CHANNELS
"""Channels that are decoded and scanned together. They must fit into the caches of a processor core."""


def scan(filterbank: Filterbank, tiling: Tiling, coarse: range, config: ScanConfig) -> Iterator[ScanResult]:
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
        Settings of the gate.

    Yields
    ------
    ScanResult
        One for each coarse channel and time block, in that order. The order does not depend on how the coarse channels
        of a source are divided among tasks.
    """
    wanted = [(group, run) for group in read_groups(tiling, coarse) for run in block_runs(filterbank, tiling, group)]
    blocks: list[list[ScanResult]] = []
    spare: list[NDArray[np.float32]] = []
    for (group, run), (fetched, read_s) in zip(wanted, fetch_ahead(filterbank, tiling, wanted), strict=True):
        each_s = read_s / (len(group) * len(run))
        blocks += [[scan_channel(fetched, tiling, i, block, config, spare, each_s) for i in group] for block in run]
        if run.stop == tiling.n_blocks:
            for results_of_channel in zip(*blocks, strict=True):
                yield from results_of_channel
            blocks = []


def scan_channel(
    samples: Ascending,
    tiling: Tiling,
    i: int,
    block: int,
    config: ScanConfig,
    spare: list[NDArray[np.float32]],
    read_s: float = 0.0,
) -> ScanResult:
    """Scan coarse channel ``i`` in one time block.

    Parameters
    ----------
    samples : Ascending
        Reads the power. Some channels are read twice.
    spare : list of arrays
        Memory to decode into, reused from call to call.
    read_s : float
        Seconds already spent on fetching the samples.
    """
    result, is_signed = _scan_side(samples, tiling, i, block, config, spare, 1)
    if is_signed:
        result = join_sides(result, _scan_side(samples, tiling, i, block, config, spare, -1)[0])
    return replace(result, timing=result.timing + Timing(read_s=read_s))


def _scan_side(
    samples: Ascending, tiling: Tiling, i: int, block: int, config: ScanConfig, spare: list[NDArray[np.float32]],
    sign: int,
) -> tuple[ScanResult, bool]:
    """Scan coarse channel ``i`` in one time block for signals on one side of the noise.

    Returns
    -------
    ScanResult, bool
        True if the values are not power, so that signals may be on the other side, too.
    """
    began = time.perf_counter()
    reader = TimedReader(samples)
    windows, chosen = _candidates(reader, tiling, i, block, config, spare, sign)
    channels = tiling.grid.channels
    at = np.arange(windows.stored.shape[1] // channels) * channels
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
    sign: int,
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
    fit_into_stretches = grid.step == grid.channels and STRETCH_CHANNELS % grid.step == 0
    chosen, pieces = [], []
    beyond = 0 if fit_into_stretches else grid.channels
    for first, stop, flat in _flatten(reader, tiling, i, block, beyond, spare, sign):
        here = np.flatnonzero((starts >= first) & (starts < stop))
        if not config.keep_all:
            here = here[may_pass(flat, starts[here] - first, grid, _false_alarm(flat, config))]
        chosen.append(here)
        pieces.append(flat.take_windows(starts[here] - first, grid.channels))
    return FlattenedChannel.concatenate(pieces), np.concatenate(chosen)


def _window_starts(tiling: Tiling, i: int) -> NDArray[np.int64]:
    """Return the first channel of each searched window, counted in coarse channel ``i``."""
    positions = tiling.positions(i)
    return np.arange(positions.start, positions.stop, dtype=np.int64) * tiling.grid.step


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


def _flatten(
    samples: Ascending | TimedReader, tiling: Tiling, i: int, block: int, beyond: int,
    spare: list[NDArray[np.float32]], sign: int,
) -> Iterator[tuple[int, int, FlattenedChannel]]:
    """Yield flattened stretches of coarse channel ``i`` in time ``block``.

    Parameters and results are those of :func:`pipeline.flatten.coarse_channel.flatten_stretches`.
    """
    low, high = tiling.coarse_span(i)
    first, last = block * tiling.grid.integrations, (block + 1) * tiling.grid.integrations
    is_coarse = tiling.coarse.has_dc_spike
    return flatten_stretches(
        lambda start, stop, memory: samples.read(first, last, low + start, low + stop, memory),
        (last - first, high - low),
        stretch=STRETCH_CHANNELS,
        beyond=beyond,
        spare=spare,
        nominal=nominal_noise_spectra(tiling.header),
        has_dc_spike=is_coarse and tiling.is_whole(i),
        coarse_width=tiling.coarse.width if is_coarse else None,
        limits=samples.limits,
        sign=sign,
    )


def make_cutouts(flat: FlattenedChannel, starts: NDArray[np.int64], channels: int) -> NDArray[np.uint8]:
    """Turn windows of a flattened coarse channel into cutouts.

    Parameters
    ----------
    flat : FlattenedChannel
    starts : (n,) int64
        First channel of each window in ``flat``.
    channels : int
        Channels in a window.

    Returns
    -------
    (n, integrations, channels) uint8
        Codes (:mod:`pipeline.grid.cutouts`).

    Raises
    ------
    IndexError
        A window is not completely inside.
    """
    return quantise(flat.windows(starts, channels), flat.noise_spectra**-0.5)


def cut_windows(
    filterbank: Filterbank, tiling: Tiling, places: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Make cutouts of any windows of a file, on the grid or off it, kept or not. The noise is that of the data, as in
    a scan.

    Parameters
    ----------
    filterbank : Filterbank
        The open file.
    tiling : Tiling
        Its coarse channels and the shape of windows.
    places : sequence of (int, int)
        Time block and first ascending channel of each window. A window must be within one coarse channel.

    Returns
    -------
    (n, integrations, channels) uint8
        Codes (:mod:`pipeline.grid.cutouts`).
    (n,) float32
        Relative standard deviation of the noise of each window.

    Raises
    ------
    SourceError
        The file cannot be read.
    """
    grid = tiling.grid
    out = np.zeros((len(places), grid.integrations, grid.channels), np.uint8)
    spreads = np.zeros(len(places), np.float32)
    by_coarse_channel: dict[tuple[int, int], list[int]] = {}
    for k, (block, channel) in enumerate(places):
        by_coarse_channel.setdefault((block, tiling.coarse_at(channel)), []).append(k)
    room, spare = Buffer(), list[NDArray[np.float32]]()
    for (block, i), members in by_coarse_channel.items():
        low, high = tiling.coarse_span(i)
        fetched = filterbank.fetch(block * grid.integrations, (block + 1) * grid.integrations, low, high, room)
        starts = np.array([places[k][1] - low for k in members], np.int64)
        out[members], spreads[members] = _cut(fetched, tiling, i, block, starts, spare)
    return out, spreads


def _cut(
    samples: Ascending, tiling: Tiling, i: int, block: int, starts: NDArray[np.int64], spare: list[NDArray[np.float32]]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Make cutouts of windows of coarse channel ``i``. A scan that keeps them makes the same.

    Parameters
    ----------
    starts : (n,) int64
        First channel of each window, counted in the coarse channel.

    Returns
    -------
    (n, integrations, channels) uint8
    (n,) float32
        Relative standard deviation of the noise of each window.
    """
    grid = tiling.grid
    cutouts: NDArray[np.uint8] = np.zeros((2, len(starts), grid.integrations, grid.channels), np.uint8)
    spreads = np.zeros((2, len(starts)), np.float32)
    snr = np.full((2, len(starts)), -np.inf, np.float32)
    for side, sign in enumerate((1, -1)):
        is_signed = False
        for first, stop, flat in _flatten(samples, tiling, i, block, grid.channels, spare, sign):
            here, is_signed = (starts >= first) & (starts < stop), flat.is_signed
            cutouts[side, here] = make_cutouts(flat, starts[here] - first, grid.channels)
            spreads[side, here] = flat.noise_spectra**-0.5
            if is_signed:  # any false-alarm rate will do: it does not change the sums
                snr[side, here] = measure(flat, starts[here] - first, grid, 1e-3).snr
        if not is_signed:
            break
    best = snr.argmax(axis=0), np.arange(len(starts))
    return cutouts[best], spreads[best]
