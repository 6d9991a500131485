"""What is searched of a corpus, told from its manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.catalogue import Manifest, SegmentEntry
from pipeline.errors import QueryError
from pipeline.search.filters import Filters

FEW = 100_000
"""Vectors of some sources that are read and compared in the time in which their rows are looked up in 10^8."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched: vectors of one encoder, of some resolution classes, of sources that filters take."""

    encoder_key: str
    resolutions: frozenset[str]
    filters: Filters
    source_ids: tuple[str, ...]
    segments: tuple[SegmentEntry, ...]
    """Those with vectors of any of these sources; they may hold others', too. Of a routed one, its cells."""
    unindexed: tuple[str, ...]
    """Sources whose vectors are in no segment, or so few of a routed one that they are sooner scanned."""
    count: int
    """Vectors of these sources, whether their windows pass the filters or not."""

    @classmethod
    def of(
        cls, manifest: Manifest, encoder_key: str, resolutions: frozenset[str], filters: Filters | None = None
    ) -> Scope:
        """Everything of one encoder and some resolution classes that filters may take.

        Raises
        ------
        QueryError
            The filters take none of the sources.
        """
        filters = filters or Filters()
        filters.check(manifest)
        counts = {
            source_id: entry.vectors[encoder_key]
            for source_id, entry in sorted(manifest.sources.items())
            if entry.resolution in resolutions and entry.vectors.get(encoder_key)
            and filters.takes_source(source_id, entry)
        }
        if filters and not counts:
            raise QueryError(f"no source with vectors of {encoder_key} and resolution "
                             f"{' or '.join(sorted(resolutions))} has all of: {filters}")
        chosen = [
            segment for segment in manifest.segments
            if segment.encoder_key == encoder_key and segment.resolution in resolutions
            and not counts.keys().isdisjoint(segment.live_ids) and not _is_sooner_scanned(segment, counts)
        ]
        indexed = {source_id for segment in chosen for source_id in segment.live_ids}
        unindexed = tuple(source_id for source_id in counts if source_id not in indexed)
        pieces = tuple(piece for segment in chosen for piece in segment.pieces)
        return cls(encoder_key, resolutions, filters, tuple(counts), pieces, unindexed, sum(counts.values()))


def _is_sooner_scanned(segment: SegmentEntry, counts: Mapping[str, int]) -> bool:
    """Tell whether filters take so little of a routed segment that looking for it in every cell takes longer."""
    taken = [counts[source_id] for source_id in segment.live_ids if source_id in counts]
    return bool(segment.cells) and len(taken) < len(segment.live_ids) and sum(taken) <= FEW
