"""Which of a corpus' windows a search may find: what is in its scope and passes its filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import SegmentEntry
from pipeline.errors import QueryError
from pipeline.search.limits import Full
from pipeline.search.scope import Scope
from pipeline.search.snapshot import OpenCorpus

Mask = NDArray[np.bool_]


class Searched:
    """A corpus and the scope of one search of it. What is looked up is kept, so each search makes its own."""

    def __init__(self, corpus: OpenCorpus, scope: Scope) -> None:
        self.corpus, self.scope = corpus, scope
        self.position = {source_id: i for i, source_id in enumerate(scope.source_ids)}
        """Source id → its place in the scope's ``source_ids``."""
        sources = corpus.manifest.sources
        self._takes_all = np.array([scope.filters.takes_all_windows(sources[source_id].header)
                                    for source_id in scope.source_ids], np.bool_)
        self._of_segment: dict[str, tuple[NDArray[np.int64], Mask | None]] = {}
        self._positions: dict[str, NDArray[np.int64]] = {}

    @cached_property
    def segment_of(self) -> Mapping[str, str]:
        """Source id → id of the segment its vectors are in, for those that are in one and not spread over cells."""
        return {source_id: entry.id for entry in self.scope.segments if not entry.routed_id
                for source_id in entry.live_ids}

    def count(self) -> int:
        """Count the stored windows that may be found.

        Raises
        ------
        QueryError
            The filters leave none.
        """
        if self._takes_all.all():
            return self.scope.count
        counts = self.corpus.manifest.sources
        found = 0
        for entry in self.scope.segments:
            _, passes = self.rows_of_segment(entry)
            found += entry.count if passes is None else int(passes.sum())
        for source_id in self.scope.unindexed:
            passes = self.rows_of_source(source_id)
            found += counts[source_id].vectors[self.scope.encoder_key] if passes is None else int(passes.sum())
        if not found:
            raise QueryError(f"none of the {self.scope.count:,} windows with a signal in the {len(self.position):,} "
                             f"sources concerned has all of: {self.scope.filters}")
        return found

    def passes(self, source_id: str, numbers: NDArray[np.int64]) -> Mask:
        """Tell which windows of a source in scope pass the filters, stored or not."""
        if self._takes_all[self.position[source_id]]:
            return np.ones(len(numbers), np.bool_)
        return self.scope.filters.takes_windows(self.corpus.tiling(source_id), numbers)

    def rows_of_source(self, source_id: str, full: Full | None = None) -> Mask | None:
        """Tell which rows of a source may be found, but those of full places; None for all of them."""
        entry = self.corpus.manifest.sources[source_id]
        share = full.share_of(source_id, entry.header) if full else 0
        if share == 1:
            return np.zeros(entry.vectors[self.scope.encoder_key], np.bool_)
        if share == 0 and self._takes_all[self.position[source_id]]:
            return None
        numbers = self.corpus.numbers(source_id)
        passes = self.passes(source_id, numbers)
        return passes & full.leaves(self.corpus.tiling(source_id), numbers) if full else passes

    def rows_of_segment(self, entry: SegmentEntry, full: Full | None = None) -> tuple[NDArray[np.int64], Mask | None]:
        """Tell where the sources of a segment stand in the scope, and which of its rows may be found.

        Returns
        -------
        positions, passes
            One a source of the segment, −1 where it is not in scope; one a row of it, None for all rows.
        """
        if entry.id not in self._of_segment:
            self._of_segment[entry.id] = self._passing_rows(entry)
        positions, passes = self._of_segment[entry.id]
        if not full:
            return positions, passes
        sources, segment = self.corpus.manifest.sources, self.corpus.segment(entry.id)
        source, number = segment.row_source, segment.row_number
        share = np.array([full.share_of(source_id, sources[source_id].header) if source_id in sources else 1
                          for source_id in segment.source_ids])
        left = (share < 1)[source] if passes is None else passes & (share < 1)[source]
        partly = left & (share > 0)[source]
        _narrow(partly, source, number, lambda i, numbers: full.leaves(
            self.corpus.tiling(segment.source_ids[i]), numbers))
        return positions, left & (partly | (share == 0)[source])

    def _passing_rows(self, entry: SegmentEntry) -> tuple[NDArray[np.int64], Mask | None]:
        segment = self.corpus.segment(entry.id)
        positions = self._positions_of(entry, segment.source_ids)
        takes_all = self._takes_all[positions] & (positions >= 0)
        if takes_all.all():
            return positions, None
        passes = (positions >= 0)[segment.row_source]
        if (takes_all | (positions < 0)).all():
            return positions, passes
        partly = passes & ~takes_all[segment.row_source]
        _narrow(partly, segment.row_source, segment.row_number,
                lambda i, numbers: self.passes(segment.source_ids[i], numbers))
        return positions, passes & (takes_all[segment.row_source] | partly)

    def _positions_of(self, entry: SegmentEntry, source_ids: Sequence[str]) -> NDArray[np.int64]:
        """Tell where a segment's sources stand in the scope, −1 for those it lacks: once for all cells of one."""
        key = entry.routed_id or entry.id
        if key not in self._positions:
            here = {source_id: self.position[source_id] for source_id in entry.live_ids if source_id in self.position}
            self._positions[key] = np.array([here.get(source_id, -1) for source_id in source_ids], np.int64)
        return self._positions[key]


def _narrow(
    mask: Mask,
    source: NDArray[np.integer],
    number: NDArray[np.int64],
    test: Callable[[int, NDArray[np.int64]], Mask],
) -> None:
    """Clear a mask, in place, where a test of each source's windows, which is given only those set, says False."""
    rows = np.flatnonzero(mask)
    rows = rows[np.argsort(source[rows], kind="stable")]
    for part in np.split(rows, np.flatnonzero(np.diff(source[rows])) + 1):
        if len(part):
            mask[part] = test(int(source[part[0]]), number[part])
