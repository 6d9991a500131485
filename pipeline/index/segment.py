"""An open segment: immutable vectors, the windows they belong to, and searches for the nearest of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.index.exact import checked_queries, cosine, exact_neighbors
from pipeline.index.folder import ARRAY_TYPES, GRAPH_ARRAY_TYPES, map_arrays, read_record, verify_arrays
from pipeline.index.graph import (
    PYNNDESCENT_VERSION,
    GraphSearch,
    check_graph,
    is_indptr,
    within,
)

DEFAULT_EPSILON = 0.1
"""How much farther than the worst neighbour found so far the search still looks: a share of its distance."""
CAREFUL_EPSILON = 0.2
"""For searches that would rather take one and a half times as long than miss a neighbour in a hundred."""
MIN_BEAM = 32
"""Neighbours the graph search keeps at least: with as few as ten it gets stuck too early."""
MAX_BEAM = 1 << 14
"""… and at most; for more, scanning is as fast. Beyond 32,767 the library's 16-bit heap never returns."""
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

    def __init__(self, folder: Path, record: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.folder = folder
        self.source_ids: tuple[str, ...] = tuple(record["source_ids"])
        """Sources whose windows are here; ``row_source`` counts in this order."""
        self.rows: int = record["rows"]
        """Windows in the segment."""
        self.dimension: int = record["dimension"]
        self._record = record
        self._vectors: NDArray[np.float32] = arrays["vectors"]
        self._posting_indptr = arrays["posting_indptr"]
        self._row_source = arrays["row_source"]
        self._row_number = arrays["row_number"]
        self._graph: GraphSearch | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map a segment's arrays into memory, having checked their sizes, types, shapes and rows.

        Raises
        ------
        CorpusDamaged
            A file is missing or is not what was written; the message names it.
        CorpusMismatch
            It was written by a newer version of this program.
        """
        record = read_record(folder)
        arrays = map_arrays(folder, record, ARRAY_TYPES)
        rows, count = record["rows"], record["vectors"]
        sources = arrays["row_source"]
        checks = {
            "vectors": arrays["vectors"].shape == (count, record["dimension"]),
            "posting_indptr": is_indptr(arrays["posting_indptr"], count, rows),
            "row_source": len(sources) == rows and within(sources, len(record["source_ids"])),
            "row_number": len(arrays["row_number"]) == rows,
        }
        for name, is_sound in checks.items():
            if not is_sound:
                raise CorpusDamaged(f"{folder / name}.npy: does not fit a segment of {count} vectors and "
                                    f"{rows} rows; rebuild the index")
        return cls(folder, record, arrays)

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

    def verify(self) -> None:
        """Read all files and compare their digests, else raise :class:`CorpusDamaged` naming the file."""
        verify_arrays(self.folder, self._record)

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        exact: bool = False,
        epsilon: float = DEFAULT_EPSILON,
        among: NDArray[np.bool_] | None = None,
    ) -> Neighbors:
        """Find the ``k`` rows nearest to each query by cosine.

        Scores are computed from the stored vectors: by the graph or by a scan, a row has the same score, and
        a query gets the same answer in any company. The first search by the graph loads pynndescent, which
        takes seconds; a scan never does.

        Parameters
        ----------
        queries
            (q, d), any length but zero.
        k
            Rows a query. Equal scores: in the order of the stored vectors, rows of one by source and number.
        exact
            Scan every vector.
        epsilon
            Reach of the graph search: ``DEFAULT_EPSILON``, ``CAREFUL_EPSILON`` or what you like.
        among
            (rows,) True for the rows that may be found; by default all. Where they are few, they are scanned.

        Raises
        ------
        QueryError
            A query is zero, not finite or of another dimension, or ``k`` is below 1; nothing was searched.
        CorpusDamaged
            The graph's arrays are not what was written.
        CorpusMismatch
            The graph was built with another pynndescent.
        """
        checked = checked_queries(queries, k, self.dimension)
        wanted = None if among is None else self._vertices_of(among)
        if exact or not self.has_graph or k > MAX_BEAM:
            found = self._scan(checked, k, wanted)
        elif wanted is None:
            found = [self._walk(query, k, epsilon) for query in checked]
        else:
            found = [self._walk_among(query, k, epsilon, wanted) for query in checked]
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

    def _walk_among(self, query: NDArray[np.float32], k: int, epsilon: float, wanted: NDArray[np.int64]) -> _Found:
        """Return what :meth:`_scan` does, for one query: by the graph, asked for more until ``k`` are wanted ones."""
        k = min(k, len(wanted))
        reach = k * len(self._vectors) // max(1, len(wanted))
        while reach * SCANNED_MEANWHILE < len(wanted):
            vertices, scores = self._walk(query, reach, epsilon)
            place = np.minimum(np.searchsorted(wanted, vertices), len(wanted) - 1)
            kept = np.flatnonzero(wanted[place] == vertices)
            if len(kept) >= k:
                return vertices[kept], scores[kept]
            reach *= 2
        return self._scan(query[None], k, wanted)[0]

    def _walk(self, query: NDArray[np.float32], k: int, epsilon: float) -> _Found:
        """Return what :meth:`_scan` does, for one query, as far as the graph leads to it."""
        wanted = min(k, len(self._vectors))
        with self._lock:  # the library's search writes into scratch space of its own
            if self._graph is None:
                self._graph = self._load_graph()
            found = self._graph.nearest(query, min(max(k, MIN_BEAM), len(self._vectors)), epsilon)
        if len(found) < wanted:  # stranded in a small piece of the graph
            return self._scan(query[None], k)[0]
        vertices = np.sort(found).astype(np.int64)
        scores = cosine(self._vectors[vertices], query)
        best = np.argsort(-scores, kind="stable")[:wanted]
        return vertices[best], scores[best]

    def _load_graph(self) -> GraphSearch:
        state = self._record["graph"]
        if state["pynndescent"] != PYNNDESCENT_VERSION:
            raise CorpusMismatch(f"{self.folder}: built with pynndescent {state['pynndescent']}, not "
                                 f"{PYNNDESCENT_VERSION}; rebuild the index or search with exact=True")
        arrays = map_arrays(self.folder, self._record, GRAPH_ARRAY_TYPES)
        check_graph(arrays, len(self._vectors), self.dimension, self.folder)
        return GraphSearch(self._vectors, arrays, state)

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
