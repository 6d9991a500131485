"""Which cells of a routed segment each query is to be asked of: those near it, and more where few rows may be found.

It depends on the query and on what may be found alone, never on what was found elsewhere: cells can be asked anywhere,
in any order, and together give one answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import SegmentEntry
from pipeline.index import distances
from pipeline.search.limits import Full
from pipeline.search.selection import Searched

Routes = Mapping[str, NDArray[np.int64]]
"""Id of a cell → the queries that it is asked, ascending. Cells that are not named are not asked."""


def routes_of(
    searched: Searched, vectors: NDArray[np.float32], k: int, *, careful: bool = False, full: Full | None = None
) -> Routes:
    """Choose the cells for each of some vectors (q, d) of which the ``k`` nearest rows are wanted.

    Those within a margin of the nearest (:mod:`pipeline.index.cells`). Where filters leave few rows in these, what is
    nearest is farther away: cells are added, the nearest first, until as many rows as there are in them may be found.
    """
    routes: dict[str, NDArray[np.int64]] = {}
    cells_of: dict[str, list[SegmentEntry]] = {}
    for entry in searched.scope.segments:
        if entry.routed_id:
            cells_of.setdefault(entry.routed_id, []).append(entry)
    for routed_id, cells in cells_of.items():
        routes |= _routes(searched, routed_id, cells, vectors, k, careful, full)
    return routes


def asked_of(entry: SegmentEntry, routes: Routes | None, first: int, stop: int) -> NDArray[np.int64]:
    """Return which of the queries from ``first`` up to ``stop`` a segment is asked; without routes, all."""
    if routes is None or not entry.routed_id:
        return np.arange(first, stop)
    asked = routes.get(entry.id, np.empty(0, np.int64))
    return asked[(asked >= first) & (asked < stop)]


def _routes(
    searched: Searched, routed_id: str, cells: Sequence[SegmentEntry], vectors: NDArray[np.float32], k: int,
    careful: bool, full: Full | None,
) -> Routes:
    routing, filled = searched.corpus.routing(routed_id)
    far = distances(vectors, routing.centroids)[:, filled]
    near = far <= far.min(axis=1, keepdims=True) + routing.margins[careful]
    counts = np.array([cell.count for cell in cells])

    @cache
    def findable(place: int) -> int:
        _, passes = searched.rows_of_segment(cells[place], full)
        return int(counts[place]) if passes is None else int(passes.sum())

    asked: list[list[int]] = [[] for _ in cells]
    for query in range(len(vectors)):
        wanted, found = max(k, int(counts[near[query]].sum())), 0
        for place in np.argsort(far[query], kind="stable"):
            if found >= wanted and not near[query, place]:
                break
            asked[place].append(query)
            found += findable(int(place))
    return {cell.id: np.array(queries) for cell, queries in zip(cells, asked, strict=True) if queries}
