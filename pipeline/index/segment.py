"""An open segment: immutable vectors, the windows they belong to, and searches for the nearest ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import SegmentDamaged
from pipeline.index.exact import checked_queries, exact_neighbors
from pipeline.index.folder import ARRAY_TYPES, GRAPH_ARRAY_TYPES, map_arrays, read_record, verify_arrays
from pipeline.index.graph import GraphSearch, check_graph, is_indptr, within

DEFAULT_BEAM = 96
"""Default number of nearest vectors that a walk along the graph keeps. It visits the neighbours of each."""
CAREFUL_BEAM = 192
"""Number of vectors for a careful search, which takes twice as long and misses fewer neighbours."""
BEAM_PER_ROW = 3
"""Smallest number of kept vectors per requested row."""
MAX_BEAM = 1 << 12
"""Largest number of kept vectors. Above it, scanning is as fast."""
SCANNED_PER_NEIGHBOUR = 30
"""Number of vectors scanned in the time in which the graph finds one more neighbour. Measured with 100,000 vectors of
128 numbers: 0.1 µs per scanned vector, 3 µs per neighbour."""
_GATHERED_VECTORS = 1 << 13  # number of vectors copied at once for a scan
LENGTH_TOLERANCE = 1e-3
"""Largest deviation of a stored vector's length from 1. Rounding to float32 changes it by 1e-7."""


_Found = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The nearest rows of each query, best first. If there are fewer than requested, the last ones are −1 and −inf."""

    row_source: NDArray[np.int32]
    """(q, k) indices into the segment's ``source_ids``."""
    row_number: NDArray[np.int64]
    """(q, k) window numbers."""
    score: NDArray[np.float32]
    """(q, k) cosines, descending."""


class Segment:
    """Vectors of some sources and, unless they are few, a graph of them. Threads may share it."""

    def __init__(
        self, folder: Path, record: dict[str, Any], arrays: dict[str, NDArray[Any]], source_ids: tuple[str, ...]
    ) -> None:
        self.folder = folder
        self.source_ids = source_ids
        """Sources whose windows are in the segment. ``row_source`` refers to this order."""
        self.rows: int = record["rows"]
        """Number of windows in the segment."""
        self.dimension: int = record["dimension"]
        self._record = record
        self._vectors: NDArray[np.float32] = arrays["vectors"]
        self._posting_indptr = arrays["posting_indptr"]
        self._row_source = arrays["row_source"]
        self._row_number = arrays["row_number"]
        self._is_checked = False

    @classmethod
    def open(cls, folder: Path, source_ids: tuple[str, ...] | None = None) -> Self:
        """Memory-map the arrays of a segment, after checking their sizes, types, shapes and rows.

        Parameters
        ----------
        folder
            Folder of the segment.
        source_ids
            For a cell: the sources of its routed segment, as a cell does not store them.

        Raises
        ------
        SegmentDamaged
            A file is missing or altered. The message names it.
        CorpusMismatch
            Another version of this program wrote it.
        """
        record = read_record(folder)
        arrays = map_arrays(folder, record, ARRAY_TYPES)
        rows, count = record["rows"], record["vectors"]
        sources, numbers = arrays["row_source"], arrays["row_number"]
        if source_ids is None:
            source_ids = tuple(record["source_ids"] or ())
        checks = {
            "posting_indptr": is_indptr(arrays["posting_indptr"], count, rows, is_strict=True),
            "row_source": within(sources, len(source_ids)),
            "row_number": int(numbers.min()) >= 0 and not _has_twice(sources, numbers),
        }
        for name, is_sound in checks.items():
            if not is_sound:
                raise SegmentDamaged(f"{folder / name}.npy: does not fit a segment of {count} vectors and "
                                    f"{rows} rows")
        return cls(folder, record, arrays, source_ids)

    @property
    def has_graph(self) -> bool:
        """True if the segment has a graph; False if it is small and always scanned."""
        return self._record["graph"] is not None

    @property
    def row_source(self) -> NDArray[np.int32]:
        """(rows,) source of each row: indices into ``source_ids``."""
        return self._row_source

    @property
    def row_number(self) -> NDArray[np.int64]:
        """(rows,) window number of each row."""
        return self._row_number

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the unit vectors (n, d) of some rows, given in any order."""
        of_one_type = rows.astype(self._posting_indptr.dtype)  # else numpy would convert the larger array
        return self._vectors[np.searchsorted(self._posting_indptr, of_one_type, side="right") - 1]

    def verify(self) -> None:
        """Compare every file with its digest. Raise :class:`SegmentDamaged`, which names the file, if one differs."""
        verify_arrays(self.folder, self._record)

    def check(self) -> None:
        """Check every number that searches rely on. Raise :class:`SegmentDamaged` if one makes no sense."""
        for _ in self._checked_blocks():
            pass
        if self.has_graph:
            self._graph  # noqa: B018  # opening it checks it

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        exact: bool = False,
        beam: int | None = None,
        among: NDArray[np.bool_] | None = None,
    ) -> Neighbors:
        """Find the ``k`` rows nearest to each query by cosine.

        Scores are computed from the stored vectors: a row has the same score by graph and by scan, and a query gets the
        same answer in any batch. The first search by graph loads numba, which takes a moment. A scan does not.

        Parameters
        ----------
        queries
            (q, d) of any length except zero.
        k
            Number of rows per query. Rows with equal scores are in the order of the stored vectors; rows of the same
            vector are in the order of source and window number.
        exact
            Scan every vector.
        beam
            Number of nearest vectors that the graph search keeps, such as ``CAREFUL_BEAM``. Default: ``DEFAULT_BEAM``,
            or ``BEAM_PER_ROW`` per row if that is more.
        among
            (rows,) True for the rows that may be found. Default: all. If they are few, they are scanned.

        Raises
        ------
        QueryError
            A query is zero, not finite or of another dimension, or ``k`` is below 1. Nothing was searched.
        SegmentDamaged
            The arrays of the graph are altered.
        """
        checked = checked_queries(queries, k, self.dimension)
        wanted = None if among is None else self._vertices_of(among)
        if exact or not self.has_graph or BEAM_PER_ROW * k > MAX_BEAM:
            found = self._scan(checked, k, wanted)
        elif wanted is None:
            vertices, scores = self._walk(checked, k, beam)
            if self.rows == len(self._vectors) and vertices.shape[1] == k:  # each vertex has one row: no expansion
                self._gathered(vertices.reshape(-1))
                return Neighbors(self._row_source[vertices], self._row_number[vertices], scores)
            found = list(zip(vertices, scores, strict=True))
        else:
            found = [self._walk_among(query, k, beam, wanted) for query in checked]
        for vertices, _ in found:
            self._gathered(vertices)
        answer = Neighbors(
            row_source=np.full((len(checked), k), -1, dtype=np.int32),
            row_number=np.full((len(checked), k), -1, dtype=np.int64),
            score=np.full((len(checked), k), -np.inf, dtype=np.float32),
        )
        for i, (vertices, scores) in enumerate(found):
            rows, posted = self._rows_of(vertices, k, among)
            answer.row_source[i, :len(rows)] = self._row_source[rows]
            answer.row_number[i, :len(rows)] = self._row_number[rows]
            answer.score[i, :len(rows)] = scores[posted]
        return answer

    def _scan(self, queries: NDArray[np.float32], k: int, wanted: NDArray[np.int64] | None = None) -> list[_Found]:
        """Return at most ``k`` nearest vertices of each query, best first, and scores; only of ``wanted`` if given."""
        if wanted is None:
            blocks = self._vectors if self._is_checked else self._checked_blocks()
            vertices, scores = exact_neighbors(blocks, queries, min(k, len(self._vectors)), unit_length=True)
        elif not len(wanted):
            return [(wanted, np.empty(0, np.float32))] * len(queries)
        else:
            some = (self._gathered(wanted[i : i + _GATHERED_VECTORS]) for i in range(0, len(wanted), _GATHERED_VECTORS))
            places, scores = exact_neighbors(some, queries, min(k, len(wanted)), unit_length=True)
            vertices = wanted[places]
        return list(zip(vertices, scores, strict=True))

    def _checked_blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield all vectors in blocks, after checking their length. A scan would miss a vector that is too short.

        The first scan checks each block right before it compares it, while it is in the processor's cache.
        """
        for start in range(0, len(self._vectors), _GATHERED_VECTORS):
            block = self._vectors[start : start + _GATHERED_VECTORS]
            self._check_lengths(block, range(start, start + len(block)))
            yield block
        self._is_checked = True

    def _gathered(self, vertices: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the vectors of some vertices, after checking their length unless all were checked."""
        vectors: NDArray[np.float32] = self._vectors[vertices]
        if not self._is_checked:
            self._check_lengths(vectors, vertices)
        return vectors

    def _check_lengths(self, vectors: NDArray[np.float32], vertices: Sequence[int] | NDArray[np.integer]) -> None:
        """Raise :class:`SegmentDamaged` unless vectors have length 1. ``vertices`` gives their numbers."""
        squares = np.einsum("ij,ij->i", vectors, vectors)
        bad = np.flatnonzero(~(np.abs(squares - 1) <= 2 * LENGTH_TOLERANCE))
        if bad.size:
            raise SegmentDamaged(f"{self.folder / 'vectors'}.npy: vector {vertices[bad[0]]} has length "
                                 f"{np.sqrt(squares[bad[0]]):.4g}, not 1")

    def _walk_among(self, query: NDArray[np.float32], k: int, beam: int | None, wanted: NDArray[np.int64]) -> _Found:
        """Do what :meth:`_scan` does, for one query and by graph: ask for more vertices until ``k`` are ``wanted``."""
        k = min(k, len(wanted))
        reach = k * len(self._vectors) // max(1, len(wanted))
        while reach * SCANNED_PER_NEIGHBOUR < len(wanted) and BEAM_PER_ROW * reach <= MAX_BEAM:
            vertices, scores = (found[0] for found in self._walk(query[None], reach, beam))
            place = np.minimum(np.searchsorted(wanted, vertices), len(wanted) - 1)
            kept = np.flatnonzero(wanted[place] == vertices)
            if len(kept) >= k:
                return vertices[kept], scores[kept]
            reach *= 2
        return self._scan(query[None], k, wanted)[0]

    def _walk(
        self, queries: NDArray[np.float32], k: int, beam: int | None
    ) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
        """Return the ``k`` vertices (q, k) nearest to each query, best first, and their scores."""
        k = min(k, len(self._vectors))
        beam = max(DEFAULT_BEAM, BEAM_PER_ROW * k) if beam is None else max(beam, k)
        vertices, scores, short = self._graph.nearest(queries, k, min(beam, len(self._vectors)))
        if short:
            for i in np.flatnonzero(vertices[:, -1] < 0):
                vertices[i], scores[i] = self._scan(queries[i : i + 1], k)[0]
        return vertices, scores

    @cached_property
    def _graph(self) -> GraphSearch:
        """Open the graph. Two threads may both open it, which does no harm."""
        arrays = map_arrays(self.folder, self._record, GRAPH_ARRAY_TYPES)
        check_graph(arrays, len(self._vectors), self.dimension, self.folder)
        return GraphSearch(self._vectors, arrays)

    def _vertices_of(self, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the vertices that have at least one row in ``among``, ascending."""
        return np.flatnonzero(np.logical_or.reduceat(among, self._posting_indptr[:-1]))  # every vertex has a row

    def _rows_of(
        self, vertices: NDArray[np.int64], k: int, among: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first ``k`` rows of ``vertices``, and the index of each row's vertex among them."""
        starts = self._posting_indptr[vertices].astype(np.int64)
        lengths = self._posting_indptr[vertices + 1] - starts
        if among is None:
            lengths = np.minimum(lengths, k)
        posted = np.repeat(np.arange(len(vertices)), lengths)
        before = np.cumsum(lengths) - lengths
        rows = starts[posted] + np.arange(len(posted)) - before[posted]
        if among is not None:
            rows, posted = rows[among[rows]], posted[among[rows]]
        return rows[:k], posted[:k]


def _has_twice(sources: NDArray[np.int32], numbers: NDArray[np.int64]) -> bool:
    """Return True if a segment holds a window twice."""
    width = int(numbers.max()) + 1
    if (int(sources.max()) + 1) * width >= 2**62:
        order = np.lexsort((numbers, sources))
        return bool(((np.diff(numbers[order]) == 0) & (np.diff(sources[order]) == 0)).any())
    keys = sources.astype(np.int64) * width
    keys += numbers
    keys.sort()
    return bool((keys[1:] == keys[:-1]).any())
