"""From filterbank data to kept windows, one coarse channel and time block at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.filterbank import Ascending, Buffer, Filterbank
from pipeline.flatten.coarse_channel import flatten_stretches
from pipeline.flatten.flattened import Flat
from pipeline.flatten.noise import nominal_noise_spectra
from pipeline.flatten.time_mean import STRIP
from pipeline.gate import may_pass, measure
from pipeline.grid.cutouts import quantise
from pipeline.grid.tiling import Tiling
from pipeline.model import Timing
from pipeline.scan.columns import Columns, Scanned
from pipeline.scan.reading import block_runs, fetch_ahead, read_groups

STRETCH = 16 * STRIP
"""Channels that are decoded and looked at together: few enough to stay in a core's caches."""


def scan(filterbank: Filterbank, tiling: Tiling, coarse: range, config: ScanConfig) -> Iterator[Scanned]:
    """Scan whole coarse channels, all time blocks, in order of (coarse channel, time block).

    The order does not depend on how a source's coarse channels are shared out among tasks. Memory is bounded by two
    reads, and what is kept of them: while one is scanned, the next is fetched in a thread.
    """
    wanted = [(group, run) for group in read_groups(tiling, coarse) for run in block_runs(filterbank, tiling, group)]
    blocks: list[list[Scanned]] = []
    spare: list[NDArray[np.float32]] = []
    for (group, run), (fetched, read_s) in zip(wanted, fetch_ahead(filterbank, tiling, wanted), strict=True):
        each_s = read_s / (len(group) * len(run))
        blocks += [[scan_channel(fetched, tiling, i, block, config, spare, each_s) for i in group] for block in run]
        if run.stop == tiling.n_blocks:
            for of_one_channel in zip(*blocks, strict=True):
                yield from of_one_channel
            blocks = []


def scan_channel(
    samples: Ascending,
    tiling: Tiling,
    i: int,
    block: int,
    config: ScanConfig,
    spare: list[NDArray[np.float32]],
    read_s: float = 0.0,
) -> Scanned:
    """Scan coarse channel ``i`` in time ``block``.

    Parameters
    ----------
    samples : Ascending
        Where power is read from, as often as it is wanted.
    spare : list of arrays
        Memory to decode into, handed on from call to call.
    read_s : float
        Seconds it took to fetch them.
    """
    began = time.perf_counter()
    positions = np.arange(tiling.positions(i).start, tiling.positions(i).stop, dtype=np.int64)
    starts = positions * tiling.grid.step
    looked, pieces = [], []
    reading = _Timed(samples)
    beyond = 0 if tiling.grid.step == tiling.grid.channels and STRETCH % tiling.grid.step == 0 else tiling.grid.channels
    for first, stop, flat in _flattened(reading, tiling, i, block, beyond, spare):
        here = np.flatnonzero((starts >= first) & (starts < stop))
        if not config.keep_all:
            here = here[may_pass(flat, starts[here] - first, tiling.grid, config.false_alarm)]
        looked.append(here)
        pieces.append(flat.taken(starts[here] - first, tiling.grid.channels))
    windows = Flat.joined(pieces)  # those that may pass, side by side
    at = np.arange(windows.stored.shape[1] // tiling.grid.channels) * tiling.grid.channels
    stats = measure(windows, at, tiling.grid, config.false_alarm)
    stats_kept = np.flatnonzero(stats.searchable if config.keep_all else stats.keep)
    kept = np.concatenate(looked)[stats_kept]
    masked = int((~stats.searchable).sum())  # others have no masked pixel
    spread = windows.noise_spectra**-0.5
    columns: Columns = {
        "number": tiling.number(block, i, 0) + positions[kept],
        "cutout": cut(windows, at[stats_kept], tiling.grid.channels),
        "snr": stats.snr[stats_kept],
        "best_width": stats.best_width[stats_kept],
        "best_duration": stats.best_duration[stats_kept],
        "excess": stats.excess[stats_kept],
        "masked": stats.masked[stats_kept],
        "level": windows.baseline[at[stats_kept] + tiling.grid.channels // 2],
        "spread": np.full(len(kept), spread, np.float32),
    }
    first, last = tiling.coarse_span(i)[0] + starts[0], tiling.coarse_span(i)[0] + starts[-1] + tiling.grid.channels
    exposure: Columns = {
        "coarse_channel": np.array([i], np.int32),
        "time_block": np.array([block], np.int32),
        "f_start_mhz": np.array([tiling.header.channel_edge_mhz(float(first))]),
        "f_stop_mhz": np.array([tiling.header.channel_edge_mhz(float(last))]),
        "windows_searched": np.array([len(starts) - masked], np.int32),
        "windows_kept": np.array([len(kept)], np.int32),
        "windows_masked": np.array([masked], np.int32),
        "noise_spectra": np.array([windows.noise_spectra], np.float32),
        "noise_is_measured": np.array([windows.noise_is_measured], np.bool_),
        "row_gain": windows.row_gain[None, :],
    }
    timing = Timing(read_s=read_s + reading.took_s, scan_s=time.perf_counter() - began - reading.took_s)
    decoded = 4 * tiling.grid.integrations * (tiling.coarse_span(i)[1] - tiling.coarse_span(i)[0])
    return Scanned(columns, exposure, timing, decoded)


class _Timed:
    """Counts the seconds that reading takes."""

    def __init__(self, samples: Ascending) -> None:
        self._samples = samples
        self.took_s = 0.0

    def read(self, *arguments: Any) -> NDArray[np.float32]:
        began = time.perf_counter()
        power = self._samples.read(*arguments)
        self.took_s += time.perf_counter() - began
        return power


def _flattened(
    samples: Ascending | _Timed, tiling: Tiling, i: int, block: int, beyond: int, spare: list[NDArray[np.float32]]
) -> Iterator[tuple[int, int, Flat]]:
    """Flatten coarse channel ``i`` in time ``block`` (:func:`pipeline.flatten.coarse_channel.flatten_stretches`)."""
    low, high = tiling.coarse_span(i)
    first, last = block * tiling.grid.integrations, (block + 1) * tiling.grid.integrations
    is_coarse = tiling.coarse.has_dc_spike
    return flatten_stretches(
        lambda start, stop, memory: samples.read(first, last, low + start, low + stop, memory),
        (last - first, high - low),
        stretch=STRETCH,
        beyond=beyond,
        spare=spare,
        nominal=nominal_noise_spectra(tiling.header),
        has_dc_spike=is_coarse and tiling.is_whole(i),
        coarse_width=tiling.coarse.width if is_coarse else None,
    )


def cut(flat: Flat, starts: NDArray[np.int64], channels: int) -> NDArray[np.uint8]:
    """Cut windows out of a flattened coarse channel as (n, integrations, channels) uint8 cutouts."""
    return quantise(flat.windows(starts, channels), flat.noise_spectra**-0.5)


def cut_windows(filterbank: Filterbank, tiling: Tiling, places: Sequence[tuple[int, int]]) -> NDArray[np.uint8]:
    """Cut any windows of a file, on the grid or off it, kept or not.

    Parameters
    ----------
    places : sequence of (time block, first ascending channel)
        Each window must lie within one coarse channel.

    Returns
    -------
    (n, integrations, channels) uint8
    """
    grid = tiling.grid
    out = np.zeros((len(places), grid.integrations, grid.channels), np.uint8)
    by_piece: dict[tuple[int, int], list[int]] = {}
    for k, (block, channel) in enumerate(places):
        by_piece.setdefault((block, tiling.coarse_at(channel)), []).append(k)
    room, spare = Buffer(), list[NDArray[np.float32]]()
    for (block, i), members in by_piece.items():
        low, high = tiling.coarse_span(i)
        fetched = filterbank.fetch(block * grid.integrations, (block + 1) * grid.integrations, low, high, room)
        where, starts = np.array(members), np.array([places[k][1] - low for k in members], np.int64)
        for first, stop, flat in _flattened(fetched, tiling, i, block, grid.channels, spare):
            here = (starts >= first) & (starts < stop)
            out[where[here]] = cut(flat, starts[here] - first, grid.channels)
    return out
