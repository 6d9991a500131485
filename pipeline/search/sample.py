"""A sample of the vectors of a corpus, drawn evenly over all of its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import SegmentEntry
from pipeline.model import SECONDS_PER_DAY
from pipeline.search.nearest import to_unit_length
from pipeline.search.query import Region
from pipeline.search.selection import Selection
from pipeline.views import scan_of

SAMPLED_VECTORS = 16_384
"""Number of vectors in the sample; all vectors of a corpus that has no more."""
MAX_READ_SOURCES = 256
"""Maximum number of sources whose vectors are read from their own groups, because no segment holds them or only cells
do. If there are more, the sample is drawn from as many of them."""
NEAR_S = 3600.0
"""Scans of one telescope that begin less than this before or after a scan may show the emitters of that scan."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some vectors of a corpus, and what tells whether they may show the emitter of a query."""

    vectors: NDArray[np.float32]
    """(n, d) of length 1."""
    source: NDArray[np.int64]
    """(n,) index of the source of each."""
    number: NDArray[np.int64]
    """(n,) window number of each."""
    source_ids: tuple[str, ...]
    """(s,) id of each source."""
    scans: NDArray[np.str_]
    """(s,) id of the scan of each source."""
    start_mjd: NDArray[np.float64]
    """(s,) when it begins."""
    telescope_id: NDArray[np.int64]
    """(s,) its telescope."""

    def apart_from(self, regions: Sequence[Region], least: int) -> NDArray[np.bool_]:
        """Tell which vectors (n,) are neither of a scan of a query nor of one that is near it in time.

        If fewer than ``least`` are left, only those of its own scans are left out.

        Parameters
        ----------
        regions : sequence of Region
            Where the query lies; empty for an array, which belongs to no scan.
        least : int
        """
        is_other = np.ones(len(self.scans), np.bool_)
        is_apart = is_other.copy()
        for region in regions:
            is_other &= self.scans != scan_of(region.source_id)
            seconds = np.abs(self.start_mjd - region.extent.mjd) * SECONDS_PER_DAY
            is_apart &= (seconds >= NEAR_S) | (self.telescope_id != region.telescope_id)
        apart: NDArray[np.bool_] = (is_other & is_apart)[self.source]
        return apart if np.count_nonzero(apart) >= least else is_other[self.source]


def sample_of(selection: Selection) -> Sample:
    """Return the sample of the windows of a selection, whether or not they pass the filters.

    It is drawn at the first search of an open corpus, and kept.
    """
    corpus, key, resolutions = selection.corpus, selection.encoder_key, selection.resolutions
    return corpus.keep_object((key, resolutions), lambda: draw_sample(Selection.of(corpus, key, resolutions)))


def draw_sample(selection: Selection) -> Sample:
    """Draw vectors of a selection without filters. The same generation of a corpus always gives the same sample."""
    rng, sources, key = np.random.default_rng(0), selection.corpus.manifest.sources, selection.encoder_key
    segments = [entry for entry in selection.segments if not entry.routed_id]
    rest = [source_id for source_id in selection.source_ids if source_id not in selection.segment_of]
    held = np.array([sources[source_id].vectors[key] for source_id in rest], np.int64)
    ends = np.cumsum([entry.count for entry in segments] + [int(held.sum())])
    rows = np.sort(rng.choice(ends[-1], min(SAMPLED_VECTORS, int(ends[-1])), replace=False))
    of_part = np.split(rows, np.searchsorted(rows, ends[:-1]))
    found = [_of_segment(selection, entry, here - (end - entry.count))
             for entry, end, here in zip(segments, ends, of_part, strict=False)]
    found += _of_sources(selection, rest, held, of_part[-1] - (ends[-1] - held.sum()), rng)
    vectors, source, number = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    headers = [sources[source_id].header for source_id in selection.source_ids]
    scans = np.array([scan_of(source_id) for source_id in selection.source_ids], np.str_)
    return Sample(
        vectors, source, number, selection.source_ids, scans, np.array([header.tstart_mjd for header in headers]),
        np.array([header.telescope_id for header in headers]))


_Drawn = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""Vectors, and index of the source and window number of each."""


def _of_segment(selection: Selection, entry: SegmentEntry, rows: NDArray[np.int64]) -> _Drawn:
    """Read some rows of a segment. Those of sources that are not selected are left out."""
    segment = selection.corpus.segment(entry.id)
    positions, _ = selection.rows_of_segment(entry)
    source = positions[segment.row_source[rows]]
    is_selected = source >= 0
    rows = rows[is_selected]
    return segment.vectors_of(rows), source[is_selected], segment.row_number[rows].astype(np.int64)


def _of_sources(
    selection: Selection, source_ids: Sequence[str], held: NDArray[np.int64], rows: NDArray[np.int64],
    rng: np.random.Generator,
) -> list[_Drawn]:
    """Read vectors of sources from their own groups.

    Parameters
    ----------
    held : (s,) int64
        Number of vectors of each source.
    rows : (n,) int64
        Rows to read, counted over all sources. If there are too many sources, others are drawn from some of them.
    """
    if not len(rows):
        return []
    chosen = np.arange(len(source_ids))
    if len(chosen) > MAX_READ_SOURCES:
        chosen = np.sort(rng.choice(chosen, MAX_READ_SOURCES, replace=False, p=held / held.sum()))
        of_chosen = int(held[chosen].sum())
        rows = np.sort(rng.choice(of_chosen, min(len(rows), of_chosen), replace=False))
    ends = np.cumsum(held[chosen])
    drawn = []
    for i, end, here in zip(chosen.tolist(), ends, np.split(rows, np.searchsorted(rows, ends[:-1])), strict=True):
        source_id = source_ids[i]
        vectors = selection.corpus.vectors_of(source_id, selection.encoder_key, here - (end - held[i]))
        numbers = selection.corpus.numbers(source_id)[here - (end - held[i])]
        drawn.append((to_unit_length(vectors, source_id), np.full(len(here), selection.position[source_id]), numbers))
    return drawn
