"""The part of a corpus that one search looks in: its sources, its segments and the windows that pass the filters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import SegmentEntry
from pipeline.errors import ParameterError
from pipeline.search.filters import Filters
from pipeline.search.limits import FullPlaces
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import undoing

Mask = NDArray[np.bool_]

MAX_SCANNED_VECTORS = 100_000
"""Maximum number of vectors that are scanned instead of being looked up in the cells of a routed segment.

Scanning this many takes about as long as finding their rows among 10^8 rows."""


class Selection:
    """The vectors of one encoder that a search may find.

    Each search makes its own selection: it keeps the rows that it has looked up.

    Parameters
    ----------
    corpus : OpenCorpus
    encoder_key : str
        Encoder whose vectors are compared.
    resolutions : frozenset of str
        Resolution classes to search.
    filters : Filters
        Conditions on the windows.
    counts : mapping
        Source id → number of its vectors, for the selected sources.
    segments : sequence of SegmentEntry
        Segments to search. They may also hold vectors of other sources. A routed segment is listed as its cells.
    unindexed : sequence of str
        Selected sources whose vectors are scanned, because they are in none of ``segments``.
    """

    def __init__(
        self, corpus: OpenCorpus, encoder_key: str, resolutions: frozenset[str], filters: Filters,
        counts: Mapping[str, int], segments: Sequence[SegmentEntry], unindexed: Sequence[str],
    ) -> None:
        self.corpus, self.encoder_key, self.resolutions, self.filters = corpus, encoder_key, resolutions, filters
        self.source_ids = tuple(counts)
        self.segments, self.unindexed = tuple(segments), tuple(unindexed)
        self.vector_count = sum(counts.values())
        """Vectors of the selected sources, whether or not their windows pass the filters."""
        self.position = {source_id: i for i, source_id in enumerate(self.source_ids)}
        """Source id → index in ``source_ids``."""
        self._counts = counts
        self._rows_of_segment: dict[str, tuple[NDArray[np.int64], Mask | None]] = {}
        self._positions: dict[str, NDArray[np.int64]] = {}

    @classmethod
    def of(
        cls, corpus: OpenCorpus, encoder_key: str, resolutions: frozenset[str], filters: Filters | None = None
    ) -> Selection:
        """Select everything that filters accept.

        Raises
        ------
        ParameterError
            A filter is true of no source, or the filters together accept no source.
        """
        filters, manifest = filters or Filters(), corpus.manifest
        filters.check(manifest, undoing(corpus.root))
        counts = {
            source_id: entry.vectors[encoder_key]
            for source_id, entry in sorted(manifest.sources.items())
            if entry.resolution in resolutions and entry.vectors.get(encoder_key)
            and (not filters or filters.accept_source(source_id, entry))
        }
        if filters and not counts:
            raise ParameterError(f"no source with vectors of {encoder_key} and resolution "
                                 f"{' or '.join(sorted(resolutions))} passes these filters: {filters.describe()}")
        segments = [segment for segment in _segments_of(corpus, encoder_key, counts)
                    if segment.resolution in resolutions and not _is_scanned_instead(segment, counts)]
        return cls(corpus, encoder_key, resolutions, filters, counts, *_pieces_and_rest(segments, counts))

    @classmethod
    def of_sources(cls, corpus: OpenCorpus, encoder_key: str, source_ids: Sequence[str]) -> Selection:
        """Select all windows of some sources, which have vectors of the encoder."""
        sources = corpus.manifest.sources
        counts = {source_id: sources[source_id].vectors[encoder_key] for source_id in source_ids}
        resolutions = frozenset(sources[source_id].resolution for source_id in source_ids)
        return cls(corpus, encoder_key, resolutions, Filters(), counts,
                   *_pieces_and_rest(_segments_of(corpus, encoder_key, counts), counts))

    def part(self, segment_ids: Collection[str], source_ids: Collection[str]) -> Selection:
        """Select only some of the segments and some of the unindexed sources."""
        return Selection(
            self.corpus, self.encoder_key, self.resolutions, self.filters, self._counts,
            [segment for segment in self.segments if segment.id in segment_ids],
            [source_id for source_id in self.unindexed if source_id in source_ids],
        )

    @cached_property
    def segment_of(self) -> Mapping[str, str]:
        """Source id → id of its segment. Sources without a segment, or spread over cells, are missing."""
        return {source_id: entry.id for entry in self.segments if not entry.routed_id
                for source_id in entry.live_ids}

    @cached_property
    def _accepts_all(self) -> Mask:
        """(sources,) True where the filters accept every window of a source."""
        if not self.filters:
            return np.ones(len(self.source_ids), np.bool_)
        sources = self.corpus.manifest.sources
        return np.array([self.filters.accept_all_windows(sources[source_id].header)
                         for source_id in self.source_ids], np.bool_)

    def count_windows(self) -> int:
        """Count the stored windows that the search may find.

        Raises
        ------
        ParameterError
            No window passes the filters.
        """
        if self._accepts_all.all():
            return self.vector_count
        found = 0
        for entry in self.segments:
            _, passes = self.rows_of_segment(entry)
            found += entry.count if passes is None else int(passes.sum())
        for source_id in self.unindexed:
            passes = self.rows_of_source(source_id)
            found += self._counts[source_id] if passes is None else int(passes.sum())
        if not found:
            raise ParameterError(f"none of the {self.vector_count:,} windows with a signal in the "
                                 f"{len(self.position):,} sources concerned passes these filters: "
                                 f"{self.filters.describe()}")
        return found

    def passes(self, source_id: str, numbers: NDArray[np.int64]) -> Mask:
        """Tell which windows (n,) of a selected source pass the filters. The windows need not be stored."""
        if self._accepts_all[self.position[source_id]]:
            return np.ones(len(numbers), np.bool_)
        self.corpus.require_numbers(source_id, numbers)
        return self.filters.accept_windows(self.corpus.tiling(source_id), numbers)

    def rows_of_source(self, source_id: str, full: FullPlaces | None = None) -> Mask | None:
        """Tell which rows of a source the search may find.

        Parameters
        ----------
        full : FullPlaces, optional
            Places from which the search needs no more hits.

        Returns
        -------
        (rows,) bool, or None where all rows may be found
        """
        header = self.corpus.manifest.sources[source_id].header
        share = full.share_of(source_id, header) if full else 0
        if share == 1:
            return np.zeros(self._counts[source_id], np.bool_)
        if share == 0 and self._accepts_all[self.position[source_id]]:
            return None
        numbers = self.corpus.numbers(source_id)
        passes = self.passes(source_id, numbers)
        return passes & full.accept_windows(self.corpus.tiling(source_id), numbers) if full else passes

    def rows_of_segment(
        self, entry: SegmentEntry, full: FullPlaces | None = None
    ) -> tuple[NDArray[np.int64], Mask | None]:
        """Tell which rows of a segment the search may find.

        Returns
        -------
        positions : (sources of the segment,) int64
            Index of each source in ``source_ids``; −1 where it is not selected.
        passes : (rows of the segment,) bool, or None
            True for rows that may be found; None where all may.
        """
        if entry.id not in self._rows_of_segment:
            self._rows_of_segment[entry.id] = self._find_rows(entry)
        positions, passes = self._rows_of_segment[entry.id]
        if not full:
            return positions, passes
        sources, segment = self.corpus.manifest.sources, self.corpus.segment(entry.id)
        source, number = segment.row_source, segment.row_number
        share = np.array([full.share_of(source_id, sources[source_id].header) if source_id in sources else 1
                          for source_id in segment.source_ids])
        left = (share < 1)[source] if passes is None else passes & (share < 1)[source]
        partly = left & (share > 0)[source]
        _clear_where_false(partly, source, number, lambda i, numbers: full.accept_windows(
            self.corpus.tiling(segment.source_ids[i]), numbers))
        return positions, left & (partly | (share == 0)[source])

    def _find_rows(self, entry: SegmentEntry) -> tuple[NDArray[np.int64], Mask | None]:
        segment = self.corpus.segment(entry.id)
        positions = self._positions_of(entry, segment.source_ids)
        accepts_all = self._accepts_all[positions] & (positions >= 0)
        if accepts_all.all():
            return positions, None
        passes = (positions >= 0)[segment.row_source]
        if (accepts_all | (positions < 0)).all():
            return positions, passes
        partly = passes & ~accepts_all[segment.row_source]
        _clear_where_false(partly, segment.row_source, segment.row_number,
                           lambda i, numbers: self.passes(segment.source_ids[i], numbers))
        return positions, passes & (accepts_all[segment.row_source] | partly)

    def _positions_of(self, entry: SegmentEntry, source_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of each source of a segment in ``source_ids``, or −1. All cells of one segment share it."""
        key = entry.routed_id or entry.id
        if key not in self._positions:
            here = {source_id: self.position[source_id] for source_id in entry.live_ids if source_id in self.position}
            self._positions[key] = np.array([here.get(source_id, -1) for source_id in source_ids], np.int64)
        return self._positions[key]


def is_approximate(selection: Selection) -> bool:
    """Tell whether a search that is not exact may miss windows: it walks a graph, or searches only some cells."""
    return any(entry.routed_id or selection.corpus.segment(entry.id).has_graph for entry in selection.segments)


def _segments_of(corpus: OpenCorpus, encoder_key: str, counts: Mapping[str, int]) -> list[SegmentEntry]:
    """Return the segments of an encoder that hold vectors of any selected source."""
    return [segment for segment in corpus.manifest.segments
            if segment.encoder_key == encoder_key and not counts.keys().isdisjoint(segment.live_ids)]


def _pieces_and_rest(
    segments: Sequence[SegmentEntry], counts: Mapping[str, int]
) -> tuple[list[SegmentEntry], list[str]]:
    """Return segments with routed ones replaced by their cells, and the selected sources that no segment holds."""
    indexed = {source_id for segment in segments for source_id in segment.live_ids}
    return ([piece for segment in segments for piece in segment.pieces],
            [source_id for source_id in counts if source_id not in indexed])


def _is_scanned_instead(segment: SegmentEntry, counts: Mapping[str, int]) -> bool:
    """Tell whether so few vectors of a routed segment are selected that scanning is faster than searching cells."""
    selected = [counts[source_id] for source_id in segment.live_ids if source_id in counts]
    return (bool(segment.cells) and len(selected) < len(segment.live_ids)
            and sum(selected) <= MAX_SCANNED_VECTORS)


def _clear_where_false(
    mask: Mask,
    source: NDArray[np.integer],
    number: NDArray[np.int64],
    test: Callable[[int, NDArray[np.int64]], Mask],
) -> None:
    """Clear rows of a mask, in place, for which a test is false.

    Parameters
    ----------
    mask : (rows,) bool
    source, number : (rows,) int
        Source and window number of each row.
    test : callable
        Gets a source and the numbers of its rows that are set; returns one bool per number.
    """
    rows = np.flatnonzero(mask)
    rows = rows[np.argsort(source[rows], kind="stable")]
    for of_source in np.split(rows, np.flatnonzero(np.diff(source[rows])) + 1):
        if len(of_source):
            mask[of_source] = test(int(source[of_source[0]]), number[of_source])
