"""From filterbank data to kept windows: one coarse channel at a time.

The only place where reader, grid, baseline, gate and cutouts meet. Ingest tasks scan whole coarse channels with it; a
search cuts the windows of a query with it, kept or not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.support.prefetch import ahead
from pipeline.flatten.time_mean import STRIP
from pipeline.flatten.coarse_channel import flatten_stretches
from pipeline.config import ScanConfig
from pipeline.grid.cutouts import quantise
from pipeline.errors import SourceError
from pipeline.filterbank import Ascending, Filterbank, Room, require_spectra
from pipeline.flatten.flattened import Flat
from pipeline.gate import may_pass, measure
from pipeline.model import Timing, WindowGrid
from pipeline.flatten.noise import nominal_noise_spectra
from pipeline.support.text import shown
from pipeline.grid.tiling import Tiling, coarse_layout, product_width

Columns = Mapping[str, NDArray[np.generic]]

COLUMNS = {
    "number": "window number",
    "cutout": "uint8 codes of asinh log power, see pipeline.grid.cutouts",
    "snr": "largest box sum, in standard deviations of that box's noise",
    "best_width": "channels of that box",
    "best_duration": "spectra of that box",
    "excess": "sum of -ln(p) over improbable pixels",
    "masked": "masked pixels",
    "level": "power at the baseline, in the file's unit",
    "spread": "relative standard deviation of one pixel of noise",
    "coarse_channel": "coarse channel, from low frequency",
    "time_block": "block of spectra",
    "f_start_mhz": "lower edge of the lowest window searched",
    "f_stop_mhz": "upper edge of the highest window searched",
    "windows_searched": "windows searched, kept or not",
    "windows_kept": "windows kept",
    "windows_masked": "windows left out because most of their pixels are dead",
    "noise_spectra": "N: exponentials averaged in one pixel of noise",
    "noise_is_measured": "true where the data contradicted the header's N",
    "row_gain": "gain of each spectrum relative to the median one; 0 for a dead one",
}
"""What the columns of a source group hold, in words."""

WINDOW_TYPES: Mapping[str, type[np.generic]] = {
    "number": np.int64, "cutout": np.uint8, "snr": np.float32, "best_width": np.uint16, "best_duration": np.uint16,
    "excess": np.float32, "masked": np.uint32, "level": np.float32, "spread": np.float32,
}
EXPOSURE_TYPES: Mapping[str, type[np.generic]] = {
    "coarse_channel": np.int32, "time_block": np.int32, "f_start_mhz": np.float64, "f_stop_mhz": np.float64,
    "windows_searched": np.int32, "windows_kept": np.int32, "windows_masked": np.int32, "noise_spectra": np.float32,
    "noise_is_measured": np.bool_, "row_gain": np.float32,
}

READ_CHANNELS = 2**20
"""Coarse channels narrower than this are read several at once: storage chunks may be wider than they are."""
READ_PIXELS = 2**24
"""Spectra × channels of a read at the most, unless one block of one coarse channel is more: 64 MB."""
STRETCH = 16 * STRIP
"""Channels of a coarse channel that are decoded and looked at together: few enough to stay in a core's caches."""
_SPARE_ROOMS: list[Room] = []
"""What scans of this process have read into, for the next one: memory from the system takes as long to be zeroed as to
be filled."""
SPIKE_CHANNELS = 2**23
"""Search this much of a band of unknown make for DC spikes."""
SPIKE_RATIO = 1.5
"""A spike stands this far above both of its neighbours, in every spectrum's mean."""
MOST_SPIKES = 64


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one read of a source gave."""

    windows: Columns
    """One row a kept window: number, cutout, snr, best_width, best_duration, excess, masked, level, spread."""
    exposure: Columns
    """One row a coarse channel and time block: what was searched there, and how noisy it was."""
    timing: Timing
    bytes_decoded: int


def nothing(grid: WindowGrid) -> Scanned:
    """Return what a band gives in which no window is to be searched: columns without rows."""
    shapes = {"cutout": (grid.integrations, grid.channels), "row_gain": (grid.integrations,)}

    def empty(types: Mapping[str, type[np.generic]]) -> Columns:
        return {name: np.zeros((0, *shapes.get(name, ())), dtype) for name, dtype in types.items()}

    return Scanned(empty(WINDOW_TYPES), empty(EXPOSURE_TYPES), Timing(), 0)


def tiling_of(filterbank: Filterbank, config: ScanConfig) -> Tiling:
    """Decide how a source is cut into windows.

    Raises
    ------
    SourceError
        TOO_FEW_SAMPLES, TOO_FEW_CHANNELS.
    """
    header = filterbank.header
    require_spectra(header, config.integrations, path=filterbank.path)
    unknown = config.coarse_width is None and product_width(header) is None
    try:
        layout = coarse_layout(
            header,
            window_channels=config.window,
            width=config.coarse_width,
            dc_spikes=_spikes(filterbank) if unknown else (),
            spikes_searched=min(header.nchans, SPIKE_CHANNELS),
            window_is_given=config.window_is_given,
        )
    except SourceError as error:
        raise SourceError(error.reason, f"{shown(filterbank.path)}: {error.message}") from None
    return Tiling(header, config.grid, layout, config.f_start_mhz, config.f_stop_mhz)


def _spikes(filterbank: Filterbank) -> list[int]:
    """Return channels that stand alone above their neighbours: DC bins, and steady interference."""
    header = filterbank.header
    found: list[tuple[float, int]] = []
    for start in range(0, min(header.nchans, SPIKE_CHANNELS), READ_CHANNELS):
        stop = min(start + READ_CHANNELS, header.nchans)
        power = filterbank.read(0, min(16, header.nsamples), start, stop)
        with np.errstate(all="ignore"):  # power may be anything; what is not finite is no spike
            spectrum = power.mean(axis=0)
            ratio = spectrum[1:-1] / np.maximum(spectrum[:-2], spectrum[2:])
        found += [(float(ratio[i]), start + 1 + int(i)) for i in np.flatnonzero(ratio > SPIKE_RATIO)]
    return [channel for _, channel in sorted(found, reverse=True)[:MOST_SPIKES]]


def scan(filterbank: Filterbank, tiling: Tiling, coarse: range, config: ScanConfig) -> Iterator[Scanned]:
    """Scan whole coarse channels, all time blocks, in order of (coarse channel, time block).

    The order does not depend on how a source's coarse channels are shared out among tasks. Memory is bounded by two
    reads, and what is kept of them: while one is scanned, the next is fetched in a thread.
    """
    wanted = [(group, run) for group in read_groups(tiling, coarse) for run in _block_runs(filterbank, tiling, group)]
    blocks: list[list[Scanned]] = []
    spare: list[NDArray[np.float32]] = []
    for (group, run), (fetched, read_s) in zip(wanted, _fetch_ahead(filterbank, tiling, wanted), strict=True):
        each_s = read_s / (len(group) * len(run))
        blocks += [[scan_channel(fetched, tiling, i, block, config, spare, each_s) for i in group] for block in run]
        if run.stop == tiling.n_blocks:
            for of_one_channel in zip(*blocks, strict=True):
                yield from of_one_channel
            blocks = []


def _fetch_ahead(
    filterbank: Filterbank, tiling: Tiling, wanted: Sequence[tuple[range, range]]
) -> Iterator[tuple[Ascending, float]]:
    """Fetch coarse channels × time blocks in turn; give each, and the seconds it took, until the next is asked for."""
    rows = tiling.grid.integrations
    rooms = [_SPARE_ROOMS.pop() if _SPARE_ROOMS else Room() for _ in range(2)]

    def fetch(number: int) -> tuple[Ascending, float]:
        began = time.perf_counter()
        group, run = wanted[number]
        start, stop = tiling.coarse_span(group[0])[0], tiling.coarse_span(group[-1])[1]
        fetched = filterbank.fetch(run.start * rows, run.stop * rows, start, stop, rooms[number % 2])
        return fetched, time.perf_counter() - began

    yield from ahead(fetch, len(wanted))  # by one, as there are two rooms
    _SPARE_ROOMS.extend(rooms)


def _block_runs(filterbank: Filterbank, tiling: Tiling, group: range) -> list[range]:
    """Cut the time blocks into runs that are read at once: as many as a storage chunk spans, if memory allows it."""
    spectra = filterbank.chunk_shape[0] if filterbank.chunk_shape else 1
    channels = tiling.coarse_span(group[-1])[1] - tiling.coarse_span(group[0])[0]
    integrations = tiling.grid.integrations
    size = max(1, min(-(-spectra // integrations), READ_PIXELS // (channels * integrations)))
    return [range(first, min(first + size, tiling.n_blocks)) for first in range(0, tiling.n_blocks, size)]


def read_groups(tiling: Tiling, coarse: range) -> Iterator[range]:
    """Cut ``coarse`` into runs that are read at once; channels outside the searched band are left out."""
    searched = [i for i in coarse if len(tiling.positions(i))]
    most = max(1, READ_CHANNELS // tiling.coarse.width)
    first = 0
    for k in range(1, len(searched) + 1):
        if k == len(searched) or k - first == most or searched[k] != searched[k - 1] + 1:
            yield range(searched[first], searched[k - 1] + 1)
            first = k


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
    room, spare = Room(), list[NDArray[np.float32]]()
    for (block, i), members in by_piece.items():
        low, high = tiling.coarse_span(i)
        fetched = filterbank.fetch(block * grid.integrations, (block + 1) * grid.integrations, low, high, room)
        where, starts = np.array(members), np.array([places[k][1] - low for k in members], np.int64)
        for first, stop, flat in _flattened(fetched, tiling, i, block, grid.channels, spare):
            here = (starts >= first) & (starts < stop)
            out[where[here]] = cut(flat, starts[here] - first, grid.channels)
    return out
