"""The signal of a row of a hit table itself, where the corpus holds its scan: it is no look-alike of the row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from pipeline.grid.places import Places
from pipeline.search.origin import origin_of_source
from pipeline.search.query import Query, Region
from pipeline.search.request import SearchRequest
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import counted
from pipeline.views import scan_of

MARGIN_CHANNELS = 1
"""Channels on either side of a row's range that belong to its signal: tables round frequencies to a channel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RowRequest(SearchRequest):
    """The search for a row of a hit table."""

    own: tuple[Region, ...] = ()
    """Where the corpus holds the signal of the row itself. Windows that overlap one of these are no hits."""

    def to_json(self) -> dict[str, Any]:
        """Return the parameters of the search without ``own``, which holds for one state of one corpus."""
        return {name: value for name, value in super().to_json().items() if name != "own"}


def request_of_row(request: SearchRequest, own: tuple[Region, ...]) -> RowRequest:
    """Return a request as the search for a row whose own signal lies in some regions."""
    return RowRequest(**{one.name: getattr(request, one.name) for one in fields(SearchRequest)}, own=own)


def own_regions(
    corpus: OpenCorpus, source_ids: Sequence[str], f_start_mhz: float, f_stop_mhz: float
) -> tuple[Region, ...]:
    """Return the parts of some scans in which a row's own signal lies: its range of frequency, at all times.

    Parameters
    ----------
    corpus : OpenCorpus
    source_ids : sequence of str
        Scans of the corpus that are the row's own.
    f_start_mhz, f_stop_mhz : float
        Lowest and highest frequency of the signal.
    """
    regions = []
    for source_id in source_ids:
        origin = origin_of_source(corpus, source_id, corpus.config.scan.polarisation)
        tiling = origin.tiling
        first, last = (int(np.floor(tiling.header.channel_at(f_mhz))) for f_mhz in (f_start_mhz, f_stop_mhz))
        extent = origin.extent(range(tiling.n_blocks), max(0, first - MARGIN_CHANNELS),
                               min(tiling.header.nchans, last + 1 + MARGIN_CHANNELS))
        if extent.channel_start < extent.channel_stop:
            regions.append(Region(extent, tiling.header.telescope_id))
    return tuple(regions)


def without_own(query: Query, request: SearchRequest) -> Query:
    """Return a query whose hits leave out the row's own signal, if the request is that for a row."""
    if not isinstance(request, RowRequest):
        return query
    return replace(query, regions=(*query.regions, *request.own))


def count_own(selection: Selection, query: Query, request: SearchRequest) -> int:
    """Count the windows that the search for a row leaves out because they show the row's own signal; else 0."""
    if not isinstance(request, RowRequest):
        return 0
    by_scan: dict[str, list[Region]] = {}
    for region in query.regions:
        by_scan.setdefault(scan_of(region.source_id), []).append(region)
    return sum(_count_in(selection, source_id, by_scan[scan_of(source_id)])
               for source_id in selection.source_ids if scan_of(source_id) in by_scan)


def _count_in(selection: Selection, source_id: str, regions: Sequence[Region]) -> int:
    """Count the windows of a source that may be found and that overlap the frequencies of one of some regions."""
    corpus = selection.corpus
    numbers, tiling = corpus.numbers(source_id), corpus.tiling(source_id)
    if not len(numbers):
        return 0
    first, is_own = Places.of(tiling, numbers).channel, np.zeros(len(numbers), np.bool_)
    for region in regions:
        low, high = (tiling.header.channel_at(f_mhz) for f_mhz in (region.extent.f_start_mhz,
                                                                   region.extent.f_stop_mhz))
        # half a channel, as edges in MHz are rounded
        is_own |= (first < high - 0.5) & (first + tiling.grid.channels > low + 0.5)
    return int(np.count_nonzero(selection.passes(source_id, numbers[is_own])))


def note_on_own(count: int) -> str:
    """Return a note that says how many windows :func:`count_own` has counted; an empty text for none."""
    return f"its own signal is no look-alike: {counted(count, 'window')} of its own scan left out" if count else ""
