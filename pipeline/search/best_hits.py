"""From the nearest windows to hits: neighbours that found the same thing are one.

Nearest windows are fetched only so many at a time, and a hit's neighbours may not be among them. So these are looked up
in the corpus: what is a hit, and what is merged into it, depends neither on how many were fetched nor on ``k``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.tiling import Tiling
from pipeline.model import Window
from pipeline.search.limits import AtMost, Full
from pipeline.search.merge import Candidate, Merged, merge
from pipeline.search.nearest import Finder, Nearest, nearest, scores_of
from pipeline.search.query import Query
from pipeline.search.selection import Searched

FEWEST = 50
A_HIT = 4
"""Windows fetched at first: at least so many, and so many a hit."""
REACH = 32
"""Neighbours looked up at once, to either side of a hit's windows."""
MOST_MERGED = 1000
"""A hit of so many windows is not followed any further: where everything looks alike, there is no end to it."""


def best_hits(
    searched: Searched, query: Query, k: int, *, exact: bool = False, careful: bool = False,
    at_most: AtMost | None = None, find: Finder = nearest,
) -> list[Merged]:
    """Return the ``k`` best hits, fewer only where there are not so many.

    Parameters
    ----------
    at_most : AtMost, optional
        Hits that one place may give. Where some have given theirs, deeper rounds look in the others alone.
    find : Finder
        Finds the nearest windows, here or elsewhere.
    """
    at_most, full = at_most or AtMost(), Full()
    candidates = _Candidates(searched, query)
    fetch = max(FEWEST, A_HIT * k)
    while True:
        fetch = min(fetch, searched.scope.count)
        found = find(searched, query.vectors, fetch, exact=exact, careful=careful, full=full)
        candidates.add(found)
        is_all = len(found.score) < fetch or fetch == searched.scope.count
        # what scores below the last one fetched may have betters that were not
        floor = -np.inf if is_all else found.score[-1]
        sure = [hit for hit in candidates.merged(k, at_most) if hit.best.score >= floor]
        picked, _, full = at_most.pick(sure, k, window_of)
        if is_all or len(picked) == k:
            return picked
        fetch *= 2


def window_of(hit: Merged) -> Window:
    """Return where a hit is."""
    return hit.best.window


class _Candidates:
    """Windows that may become hits, those of the query itself left out."""

    def __init__(self, searched: Searched, query: Query) -> None:
        self._searched, self._query = searched, query
        self._known: dict[tuple[str, int], Candidate] = {}
        self._surveyed: set[tuple[str, int]] = set()

    def add(self, found: Nearest) -> bool:
        """Add windows; tell whether any is new."""
        before = len(self._known)
        for source, number, score, query in zip(found.source, found.number, found.score, found.query, strict=True):
            source_id = self._searched.scope.source_ids[source]
            if (source_id, int(number)) not in self._known:
                window = self._searched.corpus.window(source_id, int(number))
                if self._query.region is None or not self._query.region.overlaps(window):
                    self._known[source_id, int(number)] = Candidate(float(score), window, int(query))
        return len(self._known) > before

    def merged(self, k: int, at_most: AtMost) -> list[Merged]:
        """Merge, having looked up all stored windows that could belong to the ``k`` hits to be picked.

        A hit that is passed over is followed only where it may take windows from another: over the edge of a full MHz.
        """
        while True:
            merged = merge(list(self._known.values()))
            picked, seen, _ = at_most.pick(merged, k, window_of)
            is_picked = {id(hit) for hit in picked}
            unsurveyed: dict[str, list[int]] = {}
            for hit in merged[:seen]:
                if len(hit.others) < MOST_MERGED and (id(hit) in is_picked or self._crosses_mhz(hit)):
                    names = {(hit.best.window.source_id, number) for number in (hit.best.window.number, *hit.others)}
                    for source_id, number in names - self._surveyed:
                        unsurveyed.setdefault(source_id, []).append(number)
                    self._surveyed |= names
            # a list, not a generator: every source is to be surveyed
            if not any([self._survey(source_id, np.array(numbers)) for source_id, numbers in unsurveyed.items()]):
                return merged

    def _crosses_mhz(self, hit: Merged) -> bool:
        """Tell whether the windows of a hit begin in more than one MHz."""
        source_id = hit.best.window.source_id
        begins = (self._known[source_id, number].window.f_start_mhz for number in (hit.best.window.number, *hit.others))
        return len({math.floor(f_mhz) for f_mhz in begins}) > 1

    def _survey(self, source_id: str, numbers: NDArray[np.int64]) -> bool:
        """Add the stored windows around some of a source; tell whether any is new."""
        around = _around(numbers, self._searched.corpus.tiling(source_id)).tolist()
        fresh = np.array([number for number in around if (source_id, number) not in self._known], np.int64)
        position = self._searched.position[source_id]
        return self.add(scores_of(self._searched, position, fresh, self._query.vectors))


def _around(numbers: NDArray[np.int64], tiling: Tiling) -> NDArray[np.int64]:
    """Numbers of the windows within reach of others: in frequency, and in the time blocks before, at and after."""
    grid = tiling.grid
    reach = max(REACH, -(-grid.channels // grid.step))
    blocks, places = np.divmod(numbers, tiling.windows_per_block)
    blocks = (blocks[:, None] + np.arange(-1, 2))[:, :, None]
    places = (places[:, None] + np.arange(-reach, reach + 1))[:, None, :]
    inside = (blocks >= 0) & (blocks < tiling.n_blocks) & (places >= 0) & (places < tiling.windows_per_block)
    return np.unique((blocks * tiling.windows_per_block + places)[inside])
