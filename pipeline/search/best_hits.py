"""From the nearest windows to hits: neighbouring windows that show the same signal become one hit.

The nearest windows are fetched in rounds. A round may miss neighbours of a hit, and windows of other sources that hold
the same pixels, so these are looked up in the corpus. Therefore neither the hits nor their merged windows depend on how
many windows a round fetches, or on ``k``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.tiling import Tiling
from pipeline.model import Window
from pipeline.search.copies import Copies
from pipeline.search.limits import FullPlaces, HitLimits
from pipeline.search.merge import MAX_SCORE_DIFFERENCE, Candidate, Merged, merge
from pipeline.search.nearest import Finder, Nearest, nearest, score_windows
from pipeline.search.query import Query
from pipeline.search.selection import Selection

MIN_FETCHED_WINDOWS = 50
"""Minimum number of windows fetched in the first round."""
FETCHED_PER_HIT = 4
"""Windows fetched in the first round per requested hit."""
NEIGHBOUR_REACH = 32
"""Neighbours looked up on either side of each window of a hit, in frequency."""
MAX_MERGED_WINDOWS = 1000
"""Number of merged windows from which the neighbours of a hit are no longer fetched. Without this limit, merging would
not end where all windows look alike."""


def best_hits(
    selection: Selection, query: Query, k: int, *, exact: bool = False, careful: bool = False,
    limits: HitLimits | None = None, find: Finder = nearest,
) -> list[Merged]:
    """Return the ``k`` best hits, or all if there are fewer.

    Parameters
    ----------
    selection : Selection
    query : Query
    k : int
    exact, careful : bool
        See :func:`pipeline.search.nearest.nearest`.
    limits : HitLimits, optional
        Limits per file and per MHz. Later rounds skip places that have reached theirs.
    find : Finder
        Finds the nearest windows, in this process or elsewhere.

    Returns
    -------
    list of Merged
        By descending score.
    """
    limits, full = limits or HitLimits(), FullPlaces()
    candidates = _Candidates(selection, query)
    fetch = first_fetch(k)
    while True:
        fetch = min(fetch, selection.vector_count)
        found = find(selection, query.vectors, fetch, exact=exact, careful=careful, full=full)
        candidates.add(found)
        is_all = len(found.score) < fetch or fetch == selection.vector_count
        # windows that were not fetched may score more than anything below the last fetched one
        floor = -np.inf if is_all else found.score[-1]
        sure = [hit for hit in candidates.merged(k, limits) if hit.best.score >= floor]
        picked, _, full = limits.pick(sure, k, place_of)
        if is_all or len(picked) == k:
            return picked
        fetch *= 2


def first_fetch(k: int) -> int:
    """Return how many windows are fetched in the first round, if there are as many."""
    return max(MIN_FETCHED_WINDOWS, FETCHED_PER_HIT * k)


def place_of(hit: Merged) -> tuple[float, Sequence[str]]:
    """Return where a hit begins in MHz, and the ids of the sources that it was found in."""
    return hit.best.window.f_start_mhz, hit.source_ids


class _Candidates:
    """Windows that may become hits. Windows that overlap the query are left out, and so are their copies."""

    def __init__(self, selection: Selection, query: Query) -> None:
        self._selection, self._query = selection, query
        self._copies = Copies(selection.corpus, query)
        self._known: dict[tuple[str, int], Candidate] = {}
        self._surveyed: set[tuple[str, int]] = set()
        self._looked_up: set[tuple[str, int]] = set()

    def add(self, found: Nearest) -> bool:
        """Add windows; tell whether any of them is new."""
        before = len(self._known)
        for source, number, score, query in zip(found.source, found.number, found.score, found.query, strict=True):
            source_id = self._selection.source_ids[source]
            if (source_id, int(number)) not in self._known:
                window = self._selection.corpus.window(source_id, int(number))
                if not (self._copies.is_of_query(window) or self._query.covers(window)):
                    self._known[source_id, int(number)] = Candidate(float(score), window, int(query))
        return len(self._known) > before

    def merged(self, k: int, limits: HitLimits) -> list[Merged]:
        """Merge the candidates, after looking up all stored windows that could belong to the ``k`` picked hits.

        If the limits exclude a hit, its neighbours are looked up only if it crosses the edge of a MHz. Only then may it
        take windows from another hit.
        """
        while True:
            merged = self._copies.join(merge(list(self._known.values())), self._known)
            picked, seen, _ = limits.pick(merged, k, place_of)
            is_picked = {id(hit) for hit in picked}
            unsurveyed: dict[str, list[int]] = {}
            least = np.inf
            for hit in merged[:seen]:
                if len(hit.others) < MAX_MERGED_WINDOWS and (id(hit) in is_picked or self._crosses_mhz(hit)):
                    names = {(hit.best.window.source_id, number) for number in (hit.best.window.number, *hit.others)}
                    for source_id, number in names - self._surveyed:
                        unsurveyed.setdefault(source_id, []).append(number)
                    self._surveyed |= names
                    least = min(least, hit.best.score - MAX_SCORE_DIFFERENCE)
            # lists, not generators: every source must be surveyed, and every hit looked up
            is_new = [self._survey(source_id, np.array(numbers), least) for source_id, numbers in unsurveyed.items()]
            is_new += [self._look_up_copies(hit.best.window) for hit in picked]
            if not any(is_new):
                return merged

    def _crosses_mhz(self, hit: Merged) -> bool:
        """Tell whether the windows of a hit begin in more than one MHz."""
        source_id = hit.best.window.source_id
        begins = (self._known[source_id, number].window.f_start_mhz for number in (hit.best.window.number, *hit.others))
        return len({math.floor(f_mhz) for f_mhz in begins}) > 1

    def _survey(self, source_id: str, numbers: NDArray[np.int64], least: float) -> bool:
        """Add the stored windows around some windows of a source; tell whether any of them is new.

        Windows that score less than ``least`` are left out: no hit merges them.
        """
        around = _numbers_around(numbers, self._selection.corpus.tiling(source_id))
        return self._add_stored(source_id, around, least)

    def _look_up_copies(self, window: Window) -> bool:
        """Add the stored windows of other sources that may hold the pixels of a window; tell whether any is new."""
        name = window.source_id, window.number
        if name in self._looked_up:
            return False
        self._looked_up.add(name)
        return any([self._add_stored(source_id, self._copies.stored_at(source_id, window))
                    for source_id in self._copies.elsewhere(window) if source_id in self._selection.position])

    def _add_stored(self, source_id: str, numbers: NDArray[np.int64], least: float = -np.inf) -> bool:
        """Add those of some windows of a source that are stored; tell whether any of them is new."""
        unknown = np.array([number for number in numbers.tolist() if (source_id, number) not in self._known], np.int64)
        position = self._selection.position[source_id]
        found = score_windows(self._selection, position, unknown, self._query.vectors)
        return self.add(found.first(int(np.count_nonzero(found.score >= least))))


def _numbers_around(numbers: NDArray[np.int64], tiling: Tiling) -> NDArray[np.int64]:
    """Return the numbers of windows near others: within reach in frequency, in the same and adjacent time blocks."""
    grid = tiling.grid
    reach = max(NEIGHBOUR_REACH, -(-grid.channels // grid.step))
    blocks, places = np.divmod(numbers, tiling.windows_per_block)
    blocks = (blocks[:, None] + np.arange(-1, 2))[:, :, None]
    places = (places[:, None] + np.arange(-reach, reach + 1))[:, None, :]
    inside = (blocks >= 0) & (blocks < tiling.n_blocks) & (places >= 0) & (places < tiling.windows_per_block)
    return np.unique((blocks * tiling.windows_per_block + places)[inside])
