"""The stored windows nearest to some vectors. Segments are searched; vectors that are in no segment are scanned.

Every selected segment is searched. In a routed segment, only the cells that :mod:`pipeline.search.cells` chooses are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged
from pipeline.index import BEAM_PER_ROW, CAREFUL_BEAM, checked_queries, cosine, exact_neighbors
from pipeline.search.cells import Routes, queries_for, routes_of
from pipeline.search.limits import FullPlaces
from pipeline.search.selection import Selection

QUERY_BATCH = 256
"""Query vectors searched at once."""
BEST_SCORE_BATCH = 1024
"""Vectors whose best scores are looked for at once."""
SCAN_NUMBERS = 1 << 20
"""Numbers in one block of scanned vectors: 4 MB in float32."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """Windows, each once, by descending score; equal scores by source and window number."""

    source: NDArray[np.int64]
    """(n,) index in the selection's ``source_ids``."""
    number: NDArray[np.int64]
    """(n,) window number."""
    score: NDArray[np.float32]
    """(n,) best cosine with any query."""
    query: NDArray[np.int64]
    """(n,) index of the query with that cosine."""

    @classmethod
    def none(cls) -> Nearest:
        """Return an empty list of windows."""
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, np.empty(0, np.float32), nothing)

    def first(self, count: int) -> Nearest:
        """Return the best ``count`` of the windows."""
        return Nearest(self.source[:count], self.number[:count], self.score[:count], self.query[:count])

    def best_with(self, other: Nearest, k: int) -> Nearest:
        """Return the ``k`` best windows of both lists. A window in both keeps its better score."""
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


class Finder(Protocol):
    """A way to find the nearest windows: :func:`nearest`, or the same elsewhere."""

    def __call__(
        self, selection: Selection, vectors: NDArray[np.float32], k: int, *, exact: bool = False,
        careful: bool = False, full: FullPlaces | None = None,
    ) -> Nearest:
        """Do what :func:`nearest` does."""


def nearest(
    selection: Selection, vectors: NDArray[np.float32], k: int, *, exact: bool = False, careful: bool = False,
    full: FullPlaces | None = None, routes: Routes | None = None,
) -> Nearest:
    """Find the ``k`` windows that resemble any query vector most, or all if there are fewer.

    A pair of vectors always has the same score, however it is found.

    Parameters
    ----------
    selection : Selection
    vectors : (q, d) float32
        Query vectors of length 1.
    k : int
    exact : bool
        Scan all segments and cells instead of walking their graphs.
    careful : bool
        Walk the graphs farther, and search more cells.
    full : FullPlaces, optional
        Places to skip.
    routes : Routes, optional
        Cells to search for each query, where the caller has chosen them.
    """
    best = Nearest.none()
    for found in lists_of_nearest(selection, vectors, k, exact=exact, careful=careful, full=full, routes=routes):
        best = best.best_with(found, k)
    return best


def lists_of_nearest(
    selection: Selection, vectors: NDArray[np.float32], k: int, *, exact: bool = False, careful: bool = False,
    full: FullPlaces | None = None, routes: Routes | None = None,
) -> Iterator[Nearest]:
    """Yield the ``k`` windows nearest to each query in each piece of the corpus, in any order.

    Parameters are those of :func:`nearest`.
    """
    if routes is None and not exact:
        routes = routes_of(selection, vectors, k, careful=careful, full=full)
    beam = max(CAREFUL_BEAM, 2 * BEAM_PER_ROW * k) if careful else None
    for first in range(0, len(vectors), QUERY_BATCH):
        batch = vectors[first : first + QUERY_BATCH]
        for entry in selection.segments:
            chosen = queries_for(entry, routes, first, first + len(batch))
            if not len(chosen):
                continue
            positions, among = selection.rows_of_segment(entry, full)
            found = selection.corpus.segment(entry.id).search(vectors[chosen], k, exact=exact, beam=beam, among=among)
            yield _flatten(positions[found.row_source], found.row_number, found.score, chosen)
        if selection.unindexed:
            yield _scan(selection, batch, k, first, full)


def best_scores(
    selection: Selection, vectors: NDArray[np.float32], *, exact: bool = False
) -> NDArray[np.float32]:
    """Return the best cosine of each vector with any stored vector of a selection.

    Parameters
    ----------
    selection : Selection
    vectors : (n, d) float32
        Vectors of any length but zero.
    exact : bool
        Compare with every vector. Otherwise the index is followed, which may miss the best one; vectors in no segment
        are compared in any case.

    Returns
    -------
    (n,) float32
        −inf where the selection is empty.
    """
    best = np.full(len(vectors), -np.inf, np.float32)
    for first in range(0, len(vectors), BEST_SCORE_BATCH):
        batch = vectors[first : first + BEST_SCORE_BATCH]
        best_of_batch = best[first : first + BEST_SCORE_BATCH]  # a view
        routes = None if exact else routes_of(selection, batch, 1)
        for entry in selection.segments:
            chosen = queries_for(entry, routes, 0, len(batch))
            if len(chosen):
                _, among = selection.rows_of_segment(entry)
                found = selection.corpus.segment(entry.id).search(batch[chosen], 1, exact=exact, among=among)
                best_of_batch[chosen] = np.maximum(best_of_batch[chosen], found.score[:, 0])
        if selection.unindexed:
            blocks = (block for source_id in selection.unindexed for _, block in stored_vectors(
                selection, source_id, selection.rows_of_source(source_id)))
            _, scores = exact_neighbors(blocks, batch, 1, unit_length=True)
            np.maximum(best_of_batch, scores[:, 0], out=best_of_batch)
    return best


def score_vectors(
    source: NDArray[np.int64], number: NDArray[np.int64], stored: NDArray[np.float32], vectors: NDArray[np.float32],
    k: int,
) -> Nearest:
    """Return those ``k`` of some windows that resemble any query vector most, or all if there are fewer.

    Parameters
    ----------
    source, number : (n,) int64
        The windows, each once: index in the selection's ``source_ids``, and window number.
    stored : (n, d) float32
        Their vectors, of length 1.
    vectors : (q, d) float32
        Query vectors of length 1.
    k : int
    """
    best = Nearest.none()
    if len(vectors) == 1 and 0 < len(stored) <= k:  # all of them: nothing must be chosen first
        score = cosine(stored, checked_queries(vectors, k)[0])
        order = np.lexsort((number, source, -score))
        return Nearest(source[order], number[order], score[order], np.zeros(len(order), np.int64))
    if len(stored):
        for first in range(0, len(vectors), QUERY_BATCH):
            batch = vectors[first : first + QUERY_BATCH]
            rows, score = exact_neighbors(stored, batch, min(k, len(stored)), unit_length=True)
            queries = np.arange(first, first + len(rows))
            best = best.best_with(_flatten(source[rows], number[rows], score, queries), k)
    return best


def _flatten(
    source: NDArray[np.int64], number: NDArray[np.int64], score: NDArray[np.float32], queries: NDArray[np.int64]
) -> Nearest:
    """Turn the results (q, k) of some queries (q,) into one list. Empty results, which score −inf, are left out."""
    filled = np.isfinite(score)
    query = np.broadcast_to(queries[:, None], score.shape)
    return Nearest(source[filled], number[filled], score[filled], query[filled])


def _scan(
    selection: Selection, batch: NDArray[np.float32], k: int, first_query: int, full: FullPlaces | None
) -> Nearest:
    """Compare queries with all vectors of the unindexed sources that may be found."""
    source: list[NDArray[np.int64]] = []
    row: list[NDArray[np.int64]] = []

    def blocks() -> Iterator[NDArray[np.float32]]:
        for source_id in selection.unindexed:
            for rows, vectors in stored_vectors(selection, source_id, selection.rows_of_source(source_id, full)):
                source.append(np.full(len(rows), selection.position[source_id]))
                row.append(rows)
                yield vectors

    at, score = exact_neighbors(blocks(), batch, k, unit_length=True)
    if not row:
        return Nearest.none()
    sources, rows = np.concatenate(source)[at], np.concatenate(row)[at]
    number = np.full(at.shape, -1, np.int64)
    for position in np.unique(sources[at >= 0]):
        here = (sources == position) & (at >= 0)
        number[here] = selection.corpus.numbers(selection.source_ids[position])[rows[here]]
    return _flatten(sources, number, score, np.arange(first_query, first_query + len(batch)))


def stored_vectors(
    selection: Selection, source_id: str, wanted: NDArray[np.bool_] | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Read the wanted rows of a source (None: all) block by block; yield row numbers and unit vectors."""
    if wanted is not None and not wanted.any():
        return
    corpus, key = selection.corpus, selection.encoder_key
    expected = corpus.manifest.sources[source_id].vectors[key]

    def read(start: int, stop: int) -> NDArray[np.float32]:
        group = corpus.vectors(source_id, key)
        if group.count != expected:
            raise CorpusDamaged(f"{group.folder}: holds {group.count} vectors, the manifest says {expected}; remove "
                                "the folder and ingest the source again")
        return to_unit_length(group.vectors(start, stop), source_id)

    block = max(1, SCAN_NUMBERS // corpus.manifest.encoders[key].dimension)
    for start in range(0, expected, block):
        stop = min(start + block, expected)
        rows = np.arange(start, stop) if wanted is None else start + np.flatnonzero(wanted[start:stop])
        if len(rows):
            yield rows, corpus.keep_array((source_id, key, start), partial(read, start, stop))[rows - start]


def to_unit_length(vectors: NDArray[np.float32], source_id: str) -> NDArray[np.float32]:
    """Scale stored vectors, which are rounded to float16, to length 1.

    Segments compute this the same way, so that scores agree to the last bit.
    """
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not ((lengths > 0) & (lengths < np.inf)).all():
        raise CorpusDamaged(f"{source_id}: a stored vector is zero or not finite; ingest its file into another corpus")
    unit: NDArray[np.float32] = (wide / lengths).astype(np.float32)
    return unit
