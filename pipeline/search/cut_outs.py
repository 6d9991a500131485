"""The power of the windows of a hit, for files of their own: from the hit's file, or from the stored windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.model import CutOut, Header, Hit, Window
from pipeline.plot import Extent, Panel, Piece
from pipeline.search.origin import FileGone, origin_of_source, read_from_file
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import shown
from pipeline.views import View, scan_of, view_of

if TYPE_CHECKING:
    from pipeline.filterbank import Filterbank

MAX_SAMPLES = 1 << 27
"""Maximum number of samples of a cut-out: half a gigabyte."""


def cut_out_of(
    corpus: OpenCorpus, hit: Hit, power_of: Callable[[Sequence[str]], Sequence[NDArray[np.float64]]]
) -> CutOut:
    """Return the power of all windows of a hit, at the full resolution of its file.

    If no file of the hit can be read, the power is recovered from the stored windows: noise is 1, and pixels that are
    masked or lie in no window of the hit are NaN.

    Parameters
    ----------
    power_of : callable
        Gives the power of stored windows, named ``SOURCE/NUMBER``.

    Raises
    ------
    QueryError
        The hit has too many samples.
    CorpusDamaged
        The file cannot be read, and something in the corpus is missing or altered.
    """
    tiling = corpus.tiling(hit.source_id)
    windows = [hit.window, *(tiling.window(hit.source_id, number) for number in hit.merged)]
    try:
        return _from_file(corpus, hit, windows)
    except FileGone as error:
        return _from_corpus(hit, windows, tiling.header, power_of, str(error))


def _from_file(corpus: OpenCorpus, hit: Hit, windows: Sequence[Window]) -> CutOut:
    view = View.named(view_of(hit.source_id))
    top, bottom, first, stop = _extent(windows)
    extent = top * view.time, bottom * view.time, first * view.frequency, stop * view.frequency
    _require_room(hit, extent)
    origin = origin_of_source(corpus, scan_of(hit.source_id), corpus.config.scan.polarisation)

    def read(filterbank: Filterbank) -> NDArray[np.float32]:
        return np.array(filterbank.read(*extent))

    power, path = read_from_file(corpus, origin, read)
    header = _header_of(origin.tiling.header, extent, path)
    return CutOut(header, power, f"spectra {extent[0]} to {extent[1] - 1} and channels {extent[2]} to {extent[3] - 1}, "
                                 f"in ascending frequency, of {shown(path)}")


def _from_corpus(
    hit: Hit, windows: Sequence[Window], header: Header,
    power_of: Callable[[Sequence[str]], Sequence[NDArray[np.float64]]], problem: str,
) -> CutOut:
    powers = power_of([f"{one.source_id}/{one.number}" for one in windows])
    panel = Panel.around([Piece(one.spectrum_start, one.channel_start, power)
                          for one, power in zip(windows, powers, strict=True)])
    top, bottom, first, stop = panel.extent
    _require_room(hit, panel.extent)
    power = np.full((bottom - top, stop - first), np.nan, np.float32)
    for piece in panel.pieces:
        begin, end, left, right = piece.extent
        power[begin - top : end - top, left - first : right - first] = piece.power
    return CutOut(_header_of(header, panel.extent, hit.file), power,
                  f"recovered from the 8-bit windows that the corpus has stored, because {shown(problem)}; the noise "
                  "is 1, not in the unit of the file")


def _extent(windows: Sequence[Window]) -> Extent:
    return (min(one.spectrum_start for one in windows), max(one.spectrum_stop for one in windows),
            min(one.channel_start for one in windows), max(one.channel_stop for one in windows))


def _require_room(hit: Hit, extent: Extent) -> None:
    spectra, channels = extent[1] - extent[0], extent[3] - extent[2]
    if spectra * channels > MAX_SAMPLES:
        raise QueryError(f"hit {hit.rank}: its windows span {spectra} spectra × {channels} channels, more than a "
                         "cut-out may have; load a part of it with read_waterfall")


def _header_of(header: Header, extent: Extent, path: str) -> Header:
    """Return the header of a part of a file. Spectra and ascending channels are those of ``header``."""
    top, bottom, first, stop = extent
    lowest = header.channel_edge_mhz(first) + header.channel_width_mhz / 2
    highest = header.channel_edge_mhz(stop) - header.channel_width_mhz / 2
    return replace(header, fch1_mhz=lowest if header.foff_mhz > 0 else highest, nchans=stop - first, nifs=1, nbits=32,
                   nsamples=bottom - top, tstart_mjd=header.mjd_at(top * header.tsamp_s), nfpc=0,
                   rawdatafile=shown(Path(path).name))
