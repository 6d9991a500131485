"""Tiles of a scan: its overview, and finer levels that are decoded from the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.flatten.noise import nominal_noise_spectra
from pipeline.overview import CELL_CHANNELS, FACTOR, MAX_ROWS, MAXIMUM, MEAN, OverviewLayout
from pipeline.web.archive import Pinned
from pipeline.web.decoded import DecodedChannels
from pipeline.web.records import LevelRecord, ScaleRecord
from pipeline.web.scales import scale_of_tiles, sent

COLUMNS_PER_TILE = 1024
FINER_LEVELS = (-4, -3, -2, -1)
"""Levels that are decoded from the file: of 1, 4, 16 and 64 channels in a cell."""
KINDS = {"max": MAXIMUM, "mean": MEAN}


@dataclass(frozen=True, slots=True)
class Tile:
    """Some columns of one level."""

    codes: NDArray[np.uint8]
    """(rows, columns): codes (:mod:`pipeline.web.scales`); the first row is the earliest, the first column the lowest
    frequency."""
    channel_start: int
    channel_stop: int
    spectrum_start: int
    spectrum_stop: int


def channels_per_cell(level: int) -> int:
    """Return the number of channels in a cell of a level."""
    return CELL_CHANNELS * int(FACTOR**level) if level >= 0 else CELL_CHANNELS // int(FACTOR**-level)


def row_spectra(layout: OverviewLayout) -> list[int]:
    """Return how many spectra a row of a tile from the file may have: as in the overview, and fewer down to 1."""
    steps = [layout.spectra_per_row]
    while steps[-1] > 1:
        steps.append(-(-steps[-1] // FACTOR))
    return steps


def levels_of(pinned: Pinned, scan_id: str, decoded: DecodedChannels) -> list[LevelRecord]:
    """Return the levels that a scan has, finest first."""
    entry = pinned.opened.manifest.sources[scan_id]
    layout, nchans = OverviewLayout.of(entry.header), entry.header.nchans
    numbers = [*(FINER_LEVELS if decoded.can_read(pinned, scan_id) else ()),
               *(range(layout.levels) if entry.overview else ())]
    return [LevelRecord.model_validate({
        "level": level, "channels_per_cell": channels_per_cell(level), "spectra_per_row": layout.spectra_per_row,
        "columns": -(-nchans // channels_per_cell(level)), "rows": layout.rows, "columns_per_tile": COLUMNS_PER_TILE,
        "row_spectra": row_spectra(layout) if level < 0 else [layout.spectra_per_row], "rows_per_block": MAX_ROWS,
        "from": "overview" if level >= 0 else "file"}) for level in numbers]


def scale_of(pinned: Pinned, scan_id: str) -> ScaleRecord:
    """Return what the codes of a scan's tiles mean."""
    measured = pinned.opened.exposure(scan_id, "noise_spectra")
    header = pinned.opened.manifest.sources[scan_id].header
    return scale_of_tiles(round(float(np.median(measured)) if len(measured) else nominal_noise_spectra(header), 4))


def tile_of(pinned: Pinned, scan_id: str, level: int, number: int, kind: str, decoded: DecodedChannels,
            spectra: int | None = None, block: int = 0) -> Tile:
    """Return one tile.

    Parameters
    ----------
    level : int
        A level of :func:`levels_of`.
    number : int
        Number of the tile in its level, counted from low frequency.
    kind : {"max", "mean"}
    spectra : int, optional
        Spectra in a row, one of :func:`row_spectra`. Default: as in the overview.
    block : int
        Number of the block of :data:`~pipeline.overview.MAX_ROWS` rows, counted from the first spectrum.

    Raises
    ------
    QueryError
        There is no such level, tile or block, or the corpus has no overview of the scan.
    SourceError
        The file cannot be read.
    """
    entry = pinned.opened.manifest.sources[scan_id]
    layout, width = OverviewLayout.of(entry.header), channels_per_cell(level)
    if not FINER_LEVELS[0] <= level < layout.levels or (level >= 0 and not entry.overview):
        raise QueryError(f"{scan_id}: has no tiles of level {level}")
    columns = -(-entry.header.nchans // width)
    first, stop = number * COLUMNS_PER_TILE, min((number + 1) * COLUMNS_PER_TILE, columns)
    if not 0 <= first < stop:
        raise QueryError(f"{scan_id}: has no tile {number} of level {level}; it has {-(-columns // COLUMNS_PER_TILE)}, "
                         "counted from 0")
    channels = first * width, min(stop * width, entry.header.nchans)
    rows = _spectra_of(scan_id, layout, level, layout.spectra_per_row if spectra is None else spectra, block)
    if level < 0:
        codes = decoded.cells(pinned, scan_id, *channels, width, kind, rows)
        return Tile(sent(codes), *channels, rows.start, rows.stop)
    stored = pinned.overview(scan_id)
    at = layout.first(level)
    return Tile(sent(np.ascontiguousarray(stored[at + first : at + stop, KINDS[kind]].T)), *channels, rows.start,
                rows.stop)


def _spectra_of(scan_id: str, layout: OverviewLayout, level: int, spectra: int, block: int) -> range:
    """Return the spectra of a block; its step is the number of spectra in a row."""
    steps = row_spectra(layout) if level < 0 else [layout.spectra_per_row]
    if spectra not in steps:
        raise QueryError(f"{scan_id}: tiles of level {level} have no rows of {spectra} spectra; choose one of "
                         f"{', '.join(map(str, steps))}")
    blocks = -(-layout.nsamples // (MAX_ROWS * spectra))
    if not 0 <= block < blocks:
        raise QueryError(f"{scan_id}: has no block {block} of rows of {spectra} spectra; it has {blocks}, counted "
                         "from 0")
    start = block * MAX_ROWS * spectra
    return range(start, min(start + MAX_ROWS * spectra, layout.nsamples), spectra)
