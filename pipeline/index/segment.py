"""An open segment: immutable vectors, the windows they belong to, and searches for the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import SegmentDamaged
from pipeline.index.exact import checked_queries, exact_neighbors
from pipeline.index.folder import ARRAY_TYPES, GRAPH_ARRAY_TYPES, map_arrays, read_record, verify_arrays
from pipeline.index.graph import (
    GraphSearch,
    check_graph,
    is_indptr,
    within,
)

DEFAULT_BEAM = 96
"""Nearest vectors that a walk along the graph keeps: it looks around from each of them."""
CAREFUL_BEAM = 192
"""For searches that would rather take twice as long than miss a neighbour in a hundred."""
BEAM_A_ROW = 3
"""… and at least so many for each row asked for."""
MAX_BEAM = 1 << 12
"""… and at most; for more, scanning is as fast."""
SCANNED_MEANWHILE = 30
"""Vectors that are scanned in the time in which the graph finds one neighbour more (100,000 × 128: 0.1 and 3 µs)."""
_GATHERED = 1 << 13  # vectors copied at once to be scanned


_Found = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The nearest rows of each query, best first; −1 and −inf where there are fewer than asked for."""

    row_source: NDArray[np.int32]
    """(q, k) positions in the segment's ``source_ids``."""
    row_number: NDArray[np.int64]
    """(q, k) window numbers."""
    score: NDArray[np.float32]
    """(q, k) cosine, descending."""


class Segment:
    """Vectors of some sources and, unless they are few, a graph over them. Threads may share it."""

    def __init__(
        self, folder: Path, record: dict[str, Any], arrays: dict[str, NDArray[Any]], source_ids: tuple[str, ...]
    ) -> None:
        self.folder = folder
        self.source_ids = source_ids
        """Sources whose windows are here; ``row_source`` counts in this order."""
        self.rows: int = record["rows"]
        """Windows in the segment."""
        self.dimension: int = record["dimension"]
        self._record = record
        self._vectors: NDArray[np.float32] = arrays["vectors"]
        self._posting_indptr = arrays["posting_indptr"]
        self._row_source = arrays["row_source"]
        self._row_number = arrays["row_number"]

    @classmethod
    def open(cls, folder: Path, source_ids: tuple[str, ...] | None = None) -> Self:
        """Map a segment's arrays into memory, having checked their sizes, types, shapes and rows.

        Parameters
        ----------
        source_ids
            Of a cell, which does not name its sources itself: those of its routed segment.

        Raises
        ------
        SegmentDamaged
            A file is missing or is not what was written; the message names it.
        CorpusMismatch
            It was written by a newer version of this program.
        """
        record = read_record(folder)
        arrays = map_arrays(folder, record, ARRAY_TYPES)
        rows, count = record["rows"], record["vectors"]
        sources = arrays["row_source"]
        if source_ids is None:
            source_ids = tuple(record["source_ids"])
        checks = {
            "vectors": arrays["vectors"].shape == (count, record["dimension"]),
            "posting_indptr": is_indptr(arrays["posting_indptr"], count, rows),
            "row_source": len(sources) == rows and within(sources, len(source_ids)),
            "row_number": len(arrays["row_number"]) == rows,
        }
        for name, is_sound in checks.items():
            if not is_sound:
                raise SegmentDamaged(f"{folder / name}.npy: does not fit a segment of {count} vectors and "
                                    f"{rows} rows")
        return cls(folder, record, arrays, source_ids)

    @property
    def has_graph(self) -> bool:
        """False where the vectors are so few that they are always scanned."""
        return self._record["graph"] is not None

    @property
    def row_source(self) -> NDArray[np.int32]:
        """(rows,) whose window each row is: positions in ``source_ids``."""
        return self._row_source

    @property
    def row_number(self) -> NDArray[np.int64]:
        """(rows,) window numbers."""
        return self._row_number

    @property
    def distinct_vectors(self) -> int:
        """Vectors that are left when equal ones count once."""
        return len(self._vectors)

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the unit vectors (n, d) of rows, in any order."""
        of_one_type = rows.astype(self._posting_indptr.dtype)  # else all the other array is made of this one's
        return self._vectors[np.searchsorted(self._posting_indptr, of_one_type, side="right") - 1]

    def verify(self) -> None:
        """Read all files and compare their digests, else raise :class:`SegmentDamaged` naming the file."""
        verify_arrays(self.folder, self._record)

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

        Scores are computed from the stored vectors: by the graph or by a scan, a row has the same score, and
        a query gets the same answer in any company. The first search by the graph loads numba, which takes a
        moment; a scan never does.

        Parameters
        ----------
        queries
            (q, d), any length but zero.
        k
            Rows a query. Equal scores: in the order of the stored vectors, rows of one by source and number.
        exact
            Scan every vector.
        beam
            Effort of the graph search, such as ``CAREFUL_BEAM``; default: ``DEFAULT_BEAM``, and ``BEAM_A_ROW`` a row.
        among
            (rows,) True for the rows that may be found; by default all. Where they are few, they are scanned.

        Raises
        ------
        QueryError
            A query is zero, not finite or of another dimension, or ``k`` is below 1; nothing was searched.
        SegmentDamaged
            The graph's arrays are not what was written.
        """
        checked = checked_queries(queries, k, self.dimension)
        wanted = None if among is None else self._vertices_of(among)
        if exact or not self.has_graph or BEAM_A_ROW * k > MAX_BEAM:
            found = self._scan(checked, k, wanted)
        elif wanted is None:
            vertices, scores = self._walk(checked, k, beam)
            if self.rows == len(self._vectors) and vertices.shape[1] == k:  # a row each: what follows, at once
                return Neighbors(self._row_source[vertices], self._row_number[vertices], scores)
            found = list(zip(vertices, scores, strict=True))
        else:
            found = [self._walk_among(query, k, beam, wanted) for query in checked]
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
        """Return at most ``k`` nearest vertices of each query, of all or of those wanted, best first, with scores."""
        if wanted is None:
            vertices, scores = exact_neighbors(self._vectors, queries, min(k, len(self._vectors)), unit_length=True)
        elif not len(wanted):
            return [(wanted, np.empty(0, np.float32))] * len(queries)
        else:
            blocks = (self._vectors[wanted[i : i + _GATHERED]] for i in range(0, len(wanted), _GATHERED))
            places, scores = exact_neighbors(blocks, queries, min(k, len(wanted)), unit_length=True)
            vertices = wanted[places]
        return list(zip(vertices, scores, strict=True))

    def _walk_among(self, query: NDArray[np.float32], k: int, beam: int | None, wanted: NDArray[np.int64]) -> _Found:
        """Return what :meth:`_scan` does, for one query: by the graph, asked for more until ``k`` are wanted ones."""
        k = min(k, len(wanted))
        reach = k * len(self._vectors) // max(1, len(wanted))
        while reach * SCANNED_MEANWHILE < len(wanted) and BEAM_A_ROW * reach <= MAX_BEAM:
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
        """Return ``k`` vertices (q, k) near each query, of all, best first, and their scores."""
        k = min(k, len(self._vectors))
        beam = max(DEFAULT_BEAM, BEAM_A_ROW * k) if beam is None else max(beam, k)
        vertices, scores, short = self._graph.nearest(queries, k, min(beam, len(self._vectors)))
        if short:
            for i in np.flatnonzero(vertices[:, -1] < 0):
                vertices[i], scores[i] = self._scan(queries[i : i + 1], k)[0]
        return vertices, scores

    @cached_property
    def _graph(self) -> GraphSearch:
        """Open the graph; two threads may open the same: both are good."""
        arrays = map_arrays(self.folder, self._record, GRAPH_ARRAY_TYPES)
        check_graph(arrays, len(self._vectors), self.dimension, self.folder)
        return GraphSearch(self._vectors, arrays)

    def _vertices_of(self, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the vertices that have a row among some, ascending."""
        return np.flatnonzero(np.logical_or.reduceat(among, self._posting_indptr[:-1]))  # each has a row

    def _rows_of(
        self, vertices: NDArray[np.int64], k: int, among: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first ``k`` rows posted under ``vertices``, and under which of them each stands."""
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
