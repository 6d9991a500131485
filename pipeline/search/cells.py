"""Choice of the cells of a routed segment that each query is compared with.

A query is compared with the cells near it. More cells are added where filters leave few rows in these. The choice
depends only on the query and on the rows that may be found, never on results from other cells. So cells can be
searched anywhere and in any order, and the answer is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import SegmentEntry
from pipeline.index import distances
from pipeline.search.limits import FullPlaces
from pipeline.search.selection import Selection

Routes = Mapping[str, NDArray[np.int64]]
"""Id of a cell → indices of the queries that are compared with it, ascending. Cells that are missing are skipped."""


def routes_of(
    selection: Selection, vectors: NDArray[np.float32], k: int, *, careful: bool = False,
    full: FullPlaces | None = None,
) -> Routes:
    """Choose cells for each query, to find its ``k`` nearest rows.

    Cells within a margin of the nearest one are chosen (:mod:`pipeline.index.cells`). Filters may leave few rows in
    these, and the nearest rows are then farther away. So the next nearest cells are added until the
    number of rows that may be found in the chosen cells is that of all rows in the cells within the margin.

    Parameters
    ----------
    vectors : (q, d) float32
        Queries.
    k : int
        Rows wanted per query.
    careful : bool
        Use the wider margin.
    full : FullPlaces, optional
        Places to skip.
    """
    routes: dict[str, NDArray[np.int64]] = {}
    cells_of: dict[str, list[SegmentEntry]] = {}
    for entry in selection.segments:
        if entry.routed_id:
            cells_of.setdefault(entry.routed_id, []).append(entry)
    for routed_id, cells in cells_of.items():
        routes |= _routes(selection, routed_id, cells, vectors, k, careful, full)
    return routes


def queries_for(entry: SegmentEntry, routes: Routes | None, first: int, stop: int) -> NDArray[np.int64]:
    """Return the indices, from ``first`` up to ``stop``, of queries to compare with a segment.

    Without routes, and for a segment that is no cell, these are all.
    """
    if routes is None or not entry.routed_id:
        return np.arange(first, stop)
    chosen = routes.get(entry.id, np.empty(0, np.int64))
    return chosen[(chosen >= first) & (chosen < stop)]


def _routes(
    selection: Selection, routed_id: str, cells: Sequence[SegmentEntry], vectors: NDArray[np.float32], k: int,
    careful: bool, full: FullPlaces | None,
) -> Routes:
    """Choose cells of one routed segment."""
    routing, filled = selection.corpus.routing(routed_id)
    far = distances(vectors, routing.centroids)[:, filled]
    near = far <= far.min(axis=1, keepdims=True) + routing.margins[careful]
    counts = np.array([cell.count for cell in cells])

    @cache
    def count_findable(cell: int) -> int:
        _, passes = selection.rows_of_segment(cells[cell], full)
        return int(counts[cell]) if passes is None else int(passes.sum())

    chosen: list[list[int]] = [[] for _ in cells]
    for query in range(len(vectors)):
        wanted, found = max(k, int(counts[near[query]].sum())), 0
        for cell in np.argsort(far[query], kind="stable"):
            if found >= wanted and not near[query, cell]:
                break
            chosen[cell].append(query)
            found += count_findable(int(cell))
    return {cell.id: np.array(queries) for cell, queries in zip(cells, chosen, strict=True) if queries}
