"""Plans index segments: which sources become which segment. Pure decisions, which touch no disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from pipeline.catalogue import MAX_CELLS, Manifest, SegmentEntry
from pipeline.config import IndexConfig
from pipeline.errors import ConfigError

JOIN_FACTOR = 4
"""Segments are joined if the joined segment is at least this many times as large as the largest of them.

Each joining makes a vector's segment at least this many times larger. So a vector is built log(n)/log(JOIN_FACTOR)
times, and fewer than JOIN_FACTOR segments of one size exist at a time. The number of segments costs time
in each search, and building them costs time in each night. The product of the two costs, (JOIN_FACTOR −
1)/log²(JOIN_FACTOR), is within 1 % of its minimum from 4 to 6. The smallest of these is best, as searches are many.
"""
MAX_DEAD_SHARE = 0.25
"""A segment is rebuilt once this share of its vectors is dead.

At this share, three vectors are built again for each vector that was removed, and a search spends at most a third of
its work on dead vectors.
"""
MIN_GATHERED = 128
"""Number of sources in no segment that an ingest gathers. A search reads fewer in a tenth of a second."""


def is_worn(segment: SegmentEntry) -> bool:
    """Return True if a segment must be rebuilt because too large a share of its vectors is dead."""
    return segment.count - segment.live_count >= MAX_DEAD_SHARE * segment.count


@dataclass(frozen=True, slots=True)
class _Part:
    """Sources that are in one segment, or will be."""

    count: int
    source_ids: tuple[str, ...]
    is_built: bool = False


def plan_segments(manifest: Manifest, config: IndexConfig) -> Iterator[SegmentEntry]:
    """Plan the segments to build. Each is of one encoder and resolution class and of a bounded number of vectors.

    Vectors that are in no segment, in a flat one, or in one that must be rebuilt (:func:`is_worn`), become new
    segments. Fewer than ``config.exact_below`` of them are left over, and become one flat segment. Then segments of
    about one size, new or old, are joined. Without ``config.compact``, old segments with graphs stay as they are.

    When at least ``config.routed_from`` vectors are outside routed segments, they are rebuilt into one, together with
    every routed segment at most twice that size. Segment sizes therefore at least halve from one to the next, and each
    vector is rebuilt O(log n) times.
    """
    for key, resolution in _kinds(manifest):
        kept = _segments_of(manifest, config, key, resolution)
        flat = [segment for segment in kept if segment.is_flat]
        kept = [segment for segment in kept if not segment.is_flat]
        waiting = _outside(manifest, kept, key, resolution)
        parts = list(_cut(waiting, config))
        old = [_Part(s.live_count, s.live_ids, is_built=True) for s in kept if config.compact and not s.cells]
        routed = [_Part(s.live_count, s.live_ids, is_built=True) for s in kept if config.compact and s.cells]
        all_waiting = _Part(sum(waiting.values()), tuple(waiting))
        if sum(part.count for part in (all_waiting, *old)) >= config.routed_from:
            yield _entry(manifest, key, resolution, _routed([all_waiting, *old], routed), config, is_routed=True)
            continue
        cut = {source_id for part in parts for source_id in part.source_ids}
        rest = tuple(source_id for source_id in waiting if source_id not in cut)
        if config.compact:
            parts = _joined([*old, *parts], config.segment_vectors)
        if rest and not any(set(segment.live_ids) == set(rest) for segment in flat):
            parts.append(_Part(sum(waiting[source_id] for source_id in rest), rest))
        for part in parts:
            if not part.is_built:
                yield _entry(manifest, key, resolution, part, config)


def plan_flat_segments(manifest: Manifest, config: IndexConfig) -> Iterator[SegmentEntry]:
    """Plan flat segments alone, which are built in a moment, if many sources are in no segment: :data:`MIN_GATHERED`.

    The vectors of these sources are gathered together with flat segments that are not half full. So at most two flat
    segments exist for each ``config.exact_below`` vectors. A source that has this many vectors itself is left out.
    """
    for key, resolution in _kinds(manifest):
        kept = _segments_of(manifest, config, key, resolution)
        loose = {source_id: count for source_id, count in _outside(manifest, kept, key, resolution).items()
                 if count < config.exact_below}
        if len(loose) < MIN_GATHERED:
            continue
        small = [segment for segment in kept if segment.is_flat and 2 * segment.live_count < config.exact_below]
        for segment in small:
            loose |= {source_id: manifest.sources[source_id].vectors[key] for source_id in segment.live_ids}
        for part in _divide(loose, config.exact_below - 1):
            yield _entry(manifest, key, resolution, part, config)


def _kinds(manifest: Manifest) -> list[tuple[str, str]]:
    """Return each encoder key and resolution class of which there are vectors."""
    return sorted({(key, source.resolution) for source in manifest.sources.values() for key in source.vectors})


def _segments_of(manifest: Manifest, config: IndexConfig, key: str, resolution: str) -> list[SegmentEntry]:
    """Return the segments of a kind that need not be rebuilt."""
    return [segment for segment in manifest.segments
            if (segment.encoder_key, segment.resolution) == (key, resolution)
            if not (config.compact and is_worn(segment))]


def _outside(manifest: Manifest, segments: Iterable[SegmentEntry], key: str, resolution: str) -> dict[str, int]:
    """Return the sources of a kind that none of these segments holds: id → number of vectors, sorted by id."""
    held = {source_id for segment in segments for source_id in segment.live_ids}
    return {source_id: source.vectors[key] for source_id, source in sorted(manifest.sources.items())
            if source.resolution == resolution and source.vectors.get(key) and source_id not in held}


def _divide(sources: Mapping[str, int], most: int) -> Iterator[_Part]:
    """Divide sources (id → number of vectors) into parts of at most ``most`` vectors."""
    batch: list[str] = []
    total = 0
    for source_id, count in sorted(sources.items()):
        if batch and total + count > most:
            yield _Part(total, tuple(batch))
            batch, total = [], 0
        batch.append(source_id)
        total += count
    yield _Part(total, tuple(batch))


def _cut(waiting: Mapping[str, int], config: IndexConfig) -> Iterator[_Part]:
    """Divide sources (id → number of vectors) into parts of about ``exact_below`` to ``segment_vectors`` vectors."""
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
    """Join parts until no run of them, in order of size, is worth joining. A part joined twice is built only once."""
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
    """Join all parts, and each routed segment that is at most twice as large as the parts joined so far."""
    total, source_ids = sum(part.count for part in parts), [i for part in parts for i in part.source_ids]
    for part in sorted(routed, key=lambda part: (part.count, part.source_ids)):
        if part.count <= 2 * total:
            total += part.count
            source_ids += part.source_ids
    return _Part(total, tuple(sorted(source_ids)))


def _worth_joining(counts: Sequence[int], most: int) -> slice | None:
    """Find the longest run of ascending sizes, from the smallest on, that is worth joining.

    A run is worth joining if the whole has at most ``most`` vectors, and is ``JOIN_FACTOR`` times as large as the
    largest of the run or holds two thirds of ``most``. A segment of two thirds will not grow again. If all
    sizes are equal and at most half of ``most``, some number of them fills two thirds without exceeding ``most``.
    """
    for first in range(len(counts)):
        totals = list(accumulate(counts[first:]))
        for length in range(len(totals), 1, -1):
            total, largest = totals[length - 1], counts[first + length - 1]
            if total <= most and (total >= JOIN_FACTOR * largest or 3 * total >= 2 * most):
                return slice(first, first + length)
    return None


def heir_of(manifest: Manifest, segment: SegmentEntry, config: IndexConfig) -> SegmentEntry:
    """Return the segment that replaces a damaged one: itself, or one of its vectors that are not dead."""
    if not segment.dead:
        return replace(segment, cells=_planned_cells(segment.count, config.segment_vectors) if segment.cells else ())
    part = _Part(segment.live_count, segment.live_ids)
    return _entry(manifest, segment.encoder_key, segment.resolution, part, config, is_routed=bool(segment.cells))


def _planned_cells(count: int, segment_vectors: int) -> tuple[int, ...]:
    cells = -(-2 * count // segment_vectors)
    if cells > MAX_CELLS:
        raise ConfigError(f"segment_vectors = {segment_vectors} would divide {count} vectors into {cells} cells, more "
                          f"than {MAX_CELLS}; choose a larger number")
    return (0,) * cells


def _entry(
    manifest: Manifest, key: str, resolution: str, part: _Part, config: IndexConfig, *, is_routed: bool = False
) -> SegmentEntry:
    """Return the entry of a segment, with an id made from its content: a segment that is built twice has one id.

    The cells of a routed segment are half as large as a segment may be.
    """
    is_flat = not is_routed and part.count < config.exact_below
    kind = ["routed"] if is_routed else ["flat"] if is_flat else []
    content = "\n".join([key, str(manifest.losses), *kind, *part.source_ids])
    cells = _planned_cells(part.count, config.segment_vectors) if is_routed else ()
    return SegmentEntry(f"{key}-{resolution}-{hashlib.sha256(content.encode()).hexdigest()[:12]}", key, resolution,
                        part.count, part.source_ids, cells=cells, is_flat=is_flat)
