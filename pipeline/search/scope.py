"""What is searched of a corpus, told from its manifest alone."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import QueryError
from pipeline.search.filters import Filters
from pipeline.store import Manifest, SegmentEntry


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched: vectors of one encoder, of some resolution classes, of sources that filters take."""

    encoder_key: str
    resolutions: frozenset[str]
    filters: Filters
    source_ids: tuple[str, ...]
    segments: tuple[SegmentEntry, ...]
    """Those with vectors of any of these sources; they may hold others', too."""
    unindexed: tuple[str, ...]
    """Sources whose vectors are in no segment."""
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
        segments = tuple(
            segment for segment in manifest.segments
            if segment.encoder_key == encoder_key and segment.resolution in resolutions
            and not counts.keys().isdisjoint(segment.live_ids)
        )
        indexed = {source_id for segment in segments for source_id in segment.live_ids}
        unindexed = tuple(source_id for source_id in counts if source_id not in indexed)
        return cls(encoder_key, resolutions, filters, tuple(counts), segments, unindexed, sum(counts.values()))
