"""The stored windows nearest to some vectors: every segment is asked, and what is in no segment yet is scanned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged
from pipeline.index import exact_neighbors
from pipeline.search.opened import OpenCorpus
from pipeline.store import Manifest, SegmentEntry

BATCH = 256
"""Query vectors searched at once."""
SCAN_NUMBERS = 1 << 20
"""Numbers of a block of vectors that is scanned: 4 MB in float32."""
DEEP = 1000
"""Asked for at least so many windows, a graph is slower than a scan, and misses more."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched: vectors of one encoder, of some resolution classes."""

    encoder_key: str
    resolutions: frozenset[str]
    source_ids: tuple[str, ...]
    segments: tuple[SegmentEntry, ...]
    unindexed: tuple[str, ...]
    """Sources whose vectors are in no segment."""
    count: int
    """Vectors in all."""

    @classmethod
    def of(cls, manifest: Manifest, encoder_key: str, resolutions: frozenset[str]) -> Scope:
        """Everything of one encoder and some resolution classes."""
        counts = {
            source_id: entry.vectors[encoder_key]
            for source_id, entry in sorted(manifest.sources.items())
            if entry.resolution in resolutions and entry.vectors.get(encoder_key)
        }
        segments = tuple(s for s in manifest.segments if s.encoder_key == encoder_key and s.resolution in resolutions)
        indexed = {source_id for segment in segments for source_id in segment.source_ids}
        unindexed = tuple(source_id for source_id in counts if source_id not in indexed)
        return cls(encoder_key, resolutions, tuple(counts), segments, unindexed, sum(counts.values()))


@dataclass(frozen=True, slots=True)
class Nearest:
    """Windows, each once, by descending score; equal scores by source and number."""

    source: NDArray[np.int64]
    """(n,) positions in the scope's ``source_ids``."""
    number: NDArray[np.int64]
    score: NDArray[np.float32]
    """The best a query scored."""
    query: NDArray[np.int64]
    """Which query that was."""

    @classmethod
    def none(cls) -> Nearest:
        """No windows."""
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, np.empty(0, np.float32), nothing)

    def best_with(self, other: Nearest, k: int) -> Nearest:
        """Return the ``k`` best of both, keeping the best score of a window that is in both."""
        source, number, query = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("source", "number", "query")
        )
        score = np.concatenate([self.score, other.score])
        by_window = np.lexsort((query, -score, number, source))
        source, number, score, query = (array[by_window] for array in (source, number, score, query))
        first = np.ones(len(source), np.bool_)
        first[1:] = (source[1:] != source[:-1]) | (number[1:] != number[:-1])
        kept = np.flatnonzero(first)
        kept = kept[np.argsort(-score[kept], kind="stable")][:k]
        return Nearest(source[kept], number[kept], score[kept], query[kept])


def nearest(
    corpus: OpenCorpus, scope: Scope, vectors: NDArray[np.float32], k: int, *, exact: bool = False
) -> Nearest:
    """Find the ``k`` windows that resemble any of the query's vectors most.

    A pair of vectors has one score, whichever way it was found.

    Parameters
    ----------
    vectors : (q, d) float32
    exact : bool
        Scan segments too, instead of walking their graphs.
    """
    best = Nearest.none()
    position = {source_id: i for i, source_id in enumerate(scope.source_ids)}
    for first in range(0, len(vectors), BATCH):
        queries = vectors[first : first + BATCH]
        for entry in scope.segments:
            segment = corpus.segment(entry.id)
            found = segment.search(queries, k, exact=exact or k >= DEEP)
            positions = np.array([position[source_id] for source_id in segment.source_ids])
            best = best.best_with(_flat(positions[found.row_source], found.row_number, found.score, first), k)
        if scope.unindexed:
            best = best.best_with(_scan(corpus, scope, position, queries, k, first), k)
    return best


def scores_of(
    corpus: OpenCorpus, scope: Scope, source: int, numbers: NDArray[np.int64], vectors: NDArray[np.float32]
) -> Nearest:
    """Score some windows of one source, those that the corpus has, as :func:`nearest` would.

    Parameters
    ----------
    source : int
        Position in the scope's ``source_ids``.
    numbers : (n,) int64
        Distinct window numbers, stored or not.
    """
    source_id = scope.source_ids[source]
    rows = corpus.rows(source_id, numbers)
    numbers, rows = numbers[rows >= 0], rows[rows >= 0]
    best = Nearest.none()
    if len(rows):
        stored = _unit(corpus.vectors_of(source_id, scope.encoder_key, rows), source_id)
        for first in range(0, len(vectors), BATCH):
            at, score = exact_neighbors(stored, vectors[first : first + BATCH], len(stored), unit_length=True)
            best = best.best_with(_flat(np.full(at.shape, source), numbers[at], score, first), len(stored))
    return best


def _flat(
    source: NDArray[np.int64], number: NDArray[np.int64], score: NDArray[np.float32], first_query: int
) -> Nearest:
    """Turn answers (q, k) into one list; places that no window fills score −inf."""
    filled = np.isfinite(score)
    query = np.broadcast_to(first_query + np.arange(len(score))[:, None], score.shape)
    return Nearest(source[filled], number[filled], score[filled], query[filled])


def _scan(
    corpus: OpenCorpus,
    scope: Scope,
    position: dict[str, int],
    queries: NDArray[np.float32],
    k: int,
    first_query: int,
) -> Nearest:
    """Answer from the sources that are in no segment, all vectors in order making one list of rows."""
    counts = [corpus.manifest.sources[source_id].vectors[scope.encoder_key] for source_id in scope.unindexed]
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows, score = exact_neighbors(_unindexed_vectors(corpus, scope), queries, k, unit_length=True)
    part = np.maximum(np.searchsorted(starts, rows, side="right") - 1, 0)
    number = np.full(rows.shape, -1, np.int64)
    for i in np.unique(part[rows >= 0]):
        here = (part == i) & (rows >= 0)
        number[here] = corpus.windows(scope.unindexed[i]).numbers[rows[here] - starts[i]]
    positions = np.array([position[source_id] for source_id in scope.unindexed])
    return _flat(positions[part], number, score, first_query)


def _unindexed_vectors(corpus: OpenCorpus, scope: Scope) -> Iterator[NDArray[np.float32]]:
    for source_id in scope.unindexed:
        group = corpus.vectors(source_id, scope.encoder_key)
        expected = corpus.manifest.sources[source_id].vectors[scope.encoder_key]
        if group.count != expected:
            raise CorpusDamaged(f"{group.folder}: holds {group.count} vectors, the manifest says {expected}; remove "
                                "the folder and ingest the source anew")
        block = max(1, SCAN_NUMBERS // group.dimension)
        for start in range(0, group.count, block):
            yield _unit(group.vectors(start, min(start + block, group.count)), source_id)


def _unit(vectors: NDArray[np.float32], source_id: str) -> NDArray[np.float32]:
    """Give stored vectors, rounded to float16, length 1 just as segments do: the scores then agree to the bit."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not lengths.all():
        raise CorpusDamaged(f"{source_id}: a stored vector is zero; ingest the source into another corpus")
    unit: NDArray[np.float32] = (wide / lengths).astype(np.float32)
    return unit
