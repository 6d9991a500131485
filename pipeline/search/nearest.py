"""The stored windows nearest to some vectors: segments are asked, and what is in no segment yet is scanned.

Every segment is; of a routed one, the cells that :mod:`pipeline.search.cells` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged
from pipeline.index import BEAM_PER_ROW, CAREFUL_BEAM, exact_neighbors
from pipeline.search.cells import Routes, asked_of, routes_of
from pipeline.search.limits import Full
from pipeline.search.selection import Searched

BATCH = 256
"""Query vectors searched at once."""
SCAN_NUMBERS = 1 << 20
"""Numbers of a block of vectors that is scanned: 4 MB in float32."""


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


class Finder(Protocol):
    """How the nearest windows are found: :func:`nearest`, or it elsewhere."""

    def __call__(
        self, searched: Searched, vectors: NDArray[np.float32], k: int, *, exact: bool = False, careful: bool = False,
        full: Full | None = None
    ) -> Nearest:
        """Do what :func:`nearest` does."""


def nearest(
    searched: Searched, vectors: NDArray[np.float32], k: int, *, exact: bool = False, careful: bool = False,
    full: Full | None = None, routes: Routes | None = None
) -> Nearest:
    """Find the ``k`` windows that resemble any of the query's vectors most, fewer only where there are fewer.

    A pair of vectors has one score, whichever way it was found.

    Parameters
    ----------
    vectors : (q, d) float32
    exact : bool
        Scan segments too, instead of walking their graphs, and all cells.
    careful : bool
        Walk farther, and ask more cells.
    full : Full, optional
        Places not to look in.
    routes : Routes, optional
        Which cells to ask, where that is known already.
    """
    if routes is None and not exact:
        routes = routes_of(searched, vectors, k, careful=careful, full=full)
    beam = max(CAREFUL_BEAM, 2 * BEAM_PER_ROW * k) if careful else None
    best = Nearest.none()
    for first in range(0, len(vectors), BATCH):
        queries = vectors[first : first + BATCH]
        for entry in searched.scope.segments:
            asked = asked_of(entry, routes, first, first + len(queries))
            if not len(asked):
                continue
            positions, among = searched.rows_of_segment(entry, full)
            found = searched.corpus.segment(entry.id).search(vectors[asked], k, exact=exact, beam=beam, among=among)
            best = best.best_with(_flat(positions[found.row_source], found.row_number, found.score, asked), k)
        if searched.scope.unindexed:
            best = best.best_with(_scan(searched, queries, k, first, full), k)
    return best


def scores_of(
    searched: Searched, source: int, numbers: NDArray[np.int64], vectors: NDArray[np.float32]
) -> Nearest:
    """Score some windows of one source, those that the corpus has and that pass, as :func:`nearest` would.

    Parameters
    ----------
    source : int
        Position in the scope's ``source_ids``.
    numbers : (n,) int64
        Distinct window numbers, stored or not.
    """
    source_id = searched.scope.source_ids[source]
    numbers, stored = _stored_among(searched, source_id, numbers[searched.passes(source_id, numbers)])
    best = Nearest.none()
    if len(stored):
        for first in range(0, len(vectors), BATCH):
            at, score = exact_neighbors(stored, vectors[first : first + BATCH], len(stored), unit_length=True)
            asked = np.arange(first, first + len(at))
            best = best.best_with(_flat(np.full(at.shape, source), numbers[at], score, asked), len(stored))
    return best


def _stored_among(
    searched: Searched, source_id: str, numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return those of a source's windows that the corpus has, and their unit vectors: from a segment, if in one."""
    corpus = searched.corpus
    if source_id in searched.segment_of:
        segment_id = searched.segment_of[source_id]
        held, rows = corpus.rows_in_segment(segment_id, source_id)
        at = np.minimum(np.searchsorted(held, numbers), len(held) - 1)
        stored = held[at] == numbers
        return numbers[stored], corpus.segment(segment_id).vectors_of(rows[at[stored]])
    rows = corpus.rows(source_id, numbers)
    numbers, rows = numbers[rows >= 0], rows[rows >= 0]
    return numbers, _unit(corpus.vectors_of(source_id, searched.scope.encoder_key, rows), source_id)


def _flat(
    source: NDArray[np.int64], number: NDArray[np.int64], score: NDArray[np.float32], asked: NDArray[np.int64]
) -> Nearest:
    """Turn answers (q, k) to some queries (q,) into one list; places that no window fills score −inf."""
    filled = np.isfinite(score)
    query = np.broadcast_to(asked[:, None], score.shape)
    return Nearest(source[filled], number[filled], score[filled], query[filled])


def _scan(
    searched: Searched, queries: NDArray[np.float32], k: int, first_query: int, full: Full | None
) -> Nearest:
    """Answer from the sources that are in no segment, the vectors that may be found making one list of rows."""
    source: list[NDArray[np.int64]] = []
    row: list[NDArray[np.int64]] = []

    def blocks() -> Iterator[NDArray[np.float32]]:
        for source_id in searched.scope.unindexed:
            for rows, vectors in _stored_vectors(searched, source_id, searched.rows_of_source(source_id, full)):
                source.append(np.full(len(rows), searched.position[source_id]))
                row.append(rows)
                yield vectors

    at, score = exact_neighbors(blocks(), queries, k, unit_length=True)
    if not row:
        return Nearest.none()
    sources, rows = np.concatenate(source)[at], np.concatenate(row)[at]
    number = np.full(at.shape, -1, np.int64)
    for position in np.unique(sources[at >= 0]):
        here = (sources == position) & (at >= 0)
        number[here] = searched.corpus.numbers(searched.scope.source_ids[position])[rows[here]]
    return _flat(sources, number, score, np.arange(first_query, first_query + len(queries)))


def _stored_vectors(
    searched: Searched, source_id: str, wanted: NDArray[np.bool_] | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Read a source's vectors, or those of some of its rows, block by block: rows and unit vectors."""
    if wanted is not None and not wanted.any():
        return
    corpus, key = searched.corpus, searched.scope.encoder_key
    expected = corpus.manifest.sources[source_id].vectors[key]

    def read(start: int, stop: int) -> NDArray[np.float32]:
        group = corpus.vectors(source_id, key)
        if group.count != expected:
            raise CorpusDamaged(f"{group.folder}: holds {group.count} vectors, the manifest says {expected}; remove "
                                "the folder and ingest the source anew")
        return _unit(group.vectors(start, stop), source_id)

    block = max(1, SCAN_NUMBERS // corpus.manifest.encoders[key].dimension)
    for start in range(0, expected, block):
        stop = min(start + block, expected)
        rows = np.arange(start, stop) if wanted is None else start + np.flatnonzero(wanted[start:stop])
        if len(rows):
            yield rows, corpus.keep_array((source_id, key, start), partial(read, start, stop))[rows - start]


def _unit(vectors: NDArray[np.float32], source_id: str) -> NDArray[np.float32]:
    """Give stored vectors, rounded to float16, length 1 just as segments do: the scores then agree to the bit."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not lengths.all():
        raise CorpusDamaged(f"{source_id}: a stored vector is zero; ingest the source into another corpus")
    unit: NDArray[np.float32] = (wide / lengths).astype(np.float32)
    return unit
