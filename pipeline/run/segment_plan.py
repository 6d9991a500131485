"""Plans index segments: which sources become which segment. Pure decisions, which touch no disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from pipeline.catalogue import Manifest, SegmentEntry
from pipeline.config import IndexConfig

FACTOR = 4
"""Segments are joined when together they are so many times as large as the largest of them.

Each joining makes the segment a vector is in at least so many times larger: a vector is built log(n)/log(FACTOR) times
over, and fewer than FACTOR segments of one size wait. A search pays for the segments, a night for the building; the
product of the two, (FACTOR − 1)/log²(FACTOR), is least, within 1 %, from 4 to 6: the smallest of these, as searches are
many.
"""
WORN = 0.25
"""Share of dead vectors from which on a segment is built anew: each vector removed costs three to be built, and until
then a search looks at no more than a third of vectors in vain."""


def is_worn(segment: SegmentEntry) -> bool:
    """Tell whether so much of a segment is dead that it is to be built anew."""
    return segment.count - segment.live_count >= WORN * segment.count


@dataclass(frozen=True, slots=True)
class _Part:
    """Sources that are in one segment, or are to be."""

    count: int
    source_ids: tuple[str, ...]
    is_built: bool = False


def plan_segments(manifest: Manifest, config: IndexConfig) -> Iterator[SegmentEntry]:
    """Say which segments to build: of one encoder and resolution class, a bounded number of vectors each.

    What is in no segment, and what is in a worn one, becomes new segments; but fewer than ``exact_below`` vectors are
    left as they are: searches scan them exactly. Then segments of about one size, new or old, become one. Without
    ``config.compact``, old segments stay as they are.

    But what is in no routed segment becomes one once there are ``routed_from`` vectors of it, together with routed
    segments that are at most twice as large: so each of these is more than twice as large as the next, and every time
    a vector is built again it is in one half as large again, at least.
    """
    kinds = {(key, source.resolution) for source in manifest.sources.values() for key in source.vectors}
    for key, resolution in sorted(kinds):
        kept = [segment for segment in manifest.segments
                if (segment.encoder_key, segment.resolution) == (key, resolution)
                if not (config.compact and is_worn(segment))]
        held = {source_id for segment in kept for source_id in segment.live_ids}
        waiting = {source_id: source.vectors[key] for source_id, source in sorted(manifest.sources.items())
                   if source.resolution == resolution and source.vectors.get(key) and source_id not in held}
        parts = list(_cut(waiting, config))
        old = [_Part(s.live_count, s.live_ids, is_built=True) for s in kept if config.compact and not s.cells]
        routed = [_Part(s.live_count, s.live_ids, is_built=True) for s in kept if config.compact and s.cells]
        all_waiting = _Part(sum(waiting.values()), tuple(waiting))
        if sum(part.count for part in (all_waiting, *old)) >= config.routed_from:
            yield _entry(manifest, key, resolution, _routed([all_waiting, *old], routed), config.segment_vectors)
            continue
        if config.compact:
            parts = _joined([*old, *parts], config.segment_vectors)
        for part in parts:
            if not part.is_built:
                yield _entry(manifest, key, resolution, part)


def _cut(waiting: Mapping[str, int], config: IndexConfig) -> Iterator[_Part]:
    """Cut sources (id → vectors) into parts of ``exact_below`` to ``segment_vectors`` vectors, as near as can be."""
    batch: list[str] = []
    total = 0
    for source_id, count in waiting.items():
        if total >= config.exact_below and batch and total + count > config.segment_vectors:
            yield _Part(total, tuple(batch))
            batch, total = [], 0
        batch.append(source_id)
        total += count
    if batch and total >= config.exact_below:
        yield _Part(total, tuple(batch))


def _joined(parts: Sequence[_Part], most: int) -> list[_Part]:
    """Join parts until no run of them, in the order of size, is worth it. What becomes of it is built only once."""
    full = [part for part in parts if 2 * part.count > most]
    rest = sorted((part for part in parts if 2 * part.count <= most), key=lambda part: (part.count, part.source_ids))
    while run := _worth_joining([part.count for part in rest], most):
        one = _Part(sum(part.count for part in rest[run]),
                    tuple(sorted(source_id for part in rest[run] for source_id in part.source_ids)))
        del rest[run]
        (full if 2 * one.count > most else rest).append(one)
        rest.sort(key=lambda part: (part.count, part.source_ids))
    return [*full, *rest]


def _routed(parts: Sequence[_Part], routed: Sequence[_Part]) -> _Part:
    """Join all parts, and the routed ones that are at most twice as large as what they join."""
    total, source_ids = sum(part.count for part in parts), [i for part in parts for i in part.source_ids]
    for part in sorted(routed, key=lambda part: (part.count, part.source_ids)):
        if part.count <= 2 * total:
            total += part.count
            source_ids += part.source_ids
    return _Part(total, tuple(sorted(source_ids)))


def _worth_joining(counts: Sequence[int], most: int) -> slice | None:
    """Find the longest run of ascending sizes, from the smallest on, that makes one of ``FACTOR`` times its largest.

    Or one of two thirds of ``most``, though it grew by less: it will not grow again, and where all are of one size, of
    half of ``most`` at most, so much can always be had.
    """
    for first in range(len(counts)):
        totals = list(accumulate(counts[first:]))
        for length in range(len(totals), 1, -1):
            total, largest = totals[length - 1], counts[first + length - 1]
            if total <= most and (total >= FACTOR * largest or 3 * total >= 2 * most):
                return slice(first, first + length)
    return None


def heir_of(manifest: Manifest, segment: SegmentEntry, config: IndexConfig) -> SegmentEntry:
    """Return the segment that is to take the place of one that is damaged: itself, or one of what counts of it."""
    if not segment.dead:
        return replace(segment, cells=_planned_cells(segment.count, config.segment_vectors) if segment.cells else ())
    return _entry(manifest, segment.encoder_key, segment.resolution, _Part(segment.live_count, segment.live_ids),
                  config.segment_vectors if segment.cells else 0)


def _planned_cells(count: int, segment_vectors: int) -> tuple[int, ...]:
    return (0,) * -(-2 * count // segment_vectors)


def _entry(manifest: Manifest, key: str, resolution: str, part: _Part, segment_vectors: int = 0) -> SegmentEntry:
    """Name a segment by its content, so that a segment built twice is one; a routed one, of cells half as large as a
    segment of so many vectors.
    """
    kind = ["routed"] if segment_vectors else []
    content = "\n".join([key, str(manifest.losses), *kind, *part.source_ids])
    cells = _planned_cells(part.count, segment_vectors) if segment_vectors else ()
    return SegmentEntry(f"{key}-{resolution}-{hashlib.sha256(content.encode()).hexdigest()[:12]}", key, resolution,
                        part.count, part.source_ids, cells=cells)
