"""From the nearest windows to hits: neighbouring windows that show the same signal become one hit.

The nearest windows are fetched in rounds. A round may miss neighbours of a hit, and windows of other sources that hold
the same pixels, so these are looked up in the corpus. Therefore neither the hits nor their merged windows depend on how
many windows a round fetches, or on ``k``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from pipeline.grid.tiling import Tiling
from pipeline.model import Window
from pipeline.search.chosen_windows import score_windows_of, stored_between
from pipeline.search.copies import Copies
from pipeline.search.limits import FullPlaces, HitLimits
from pipeline.search.merge import MAX_SCORE_DIFFERENCE, Candidate, Merged, merge
from pipeline.search.nearest import Finder, Nearest, nearest
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

Wants = Callable[[Merged], bool]
"""Tells whether a hit is wanted."""


def best_hits(
    selection: Selection, query: Query, k: int, *, exact: bool = False, careful: bool = False,
    limits: HitLimits | None = None, find: Finder = nearest, wants: Wants | None = None,
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
    wants : callable, optional
        Tells whether a hit is wanted. By default, all are.

    Returns
    -------
    list of Merged
        By descending score.
    """
    limits, full = limits or HitLimits(), FullPlaces()
    candidates = _Candidates(selection, query, wants)
    fetch = first_fetch(k)
    while True:
        fetch = min(fetch, selection.vector_count)
        found = find(selection, query.vectors, fetch, exact=exact, careful=careful, full=full)
        candidates.add(found)
        is_all = len(found.score) < fetch or fetch == selection.vector_count
        # windows that were not fetched may score more than anything below the last fetched one
        floor = -np.inf if is_all else found.score[-1]
        sure = [hit for hit in candidates.merged(k, limits) if hit.best.score >= floor]
        picked, _, full = limits.pick(sure, k, place_of, wants)
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

    def __init__(self, selection: Selection, query: Query, wants: Wants | None) -> None:
        self._selection, self._query, self._wants = selection, query, wants
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
            picked, seen, _ = limits.pick(merged, k, place_of, self._wants)
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
            # a list, not a generator: every hit must be looked up
            is_new = [self._survey(unsurveyed, least), *[self._look_up_copies(hit.best.window) for hit in picked]]
            if not any(is_new):
                return merged

    def _crosses_mhz(self, hit: Merged) -> bool:
        """Tell whether the windows of a hit begin in more than one MHz."""
        source_id = hit.best.window.source_id
        begins = (self._known[source_id, number].window.f_start_mhz for number in (hit.best.window.number, *hit.others))
        return len({math.floor(f_mhz) for f_mhz in begins}) > 1

    def _survey(self, numbers: Mapping[str, Sequence[int]], least: float) -> bool:
        """Add the stored windows around some windows; tell whether any of them is new.

        Windows that score less than ``least`` are left out: no hit merges them.

        Parameters
        ----------
        numbers : mapping
            Source id → window numbers.
        """
        corpus = self._selection.corpus
        return self._add_stored({
            source_id: stored_between(self._selection, source_id, spans_around(some, corpus.tiling(source_id)))
            for source_id, some in numbers.items()}, least)

    def _look_up_copies(self, window: Window) -> bool:
        """Add the stored windows of other sources that may hold the pixels of a window; tell whether any is new."""
        name = window.source_id, window.number
        if name in self._looked_up:
            return False
        self._looked_up.add(name)
        return self._add_stored({source_id: self._copies.stored_at(source_id, window).tolist()
                                 for source_id in self._copies.elsewhere(window)
                                 if source_id in self._selection.position})

    def _add_stored(self, numbers: Mapping[str, Iterable[int]], least: float = -np.inf) -> bool:
        """Add those of some windows of some sources that are stored; tell whether any of them is new."""
        unknown = {self._selection.position[source_id]: np.array(sorted(new), np.int64)
                   for source_id, some in numbers.items()
                   if (new := [number for number in some if (source_id, number) not in self._known])}
        found = score_windows_of(self._selection, unknown, self._query.vectors)
        return self.add(found.first(int(np.count_nonzero(found.score >= least))))


def spans_around(numbers: Sequence[int], tiling: Tiling) -> list[tuple[int, int]]:
    """Return spans of window numbers: within reach of others in frequency, in the same and adjacent time blocks."""
    grid, in_block, last = tiling.grid, tiling.windows_per_block, tiling.n_blocks - 1
    reach = max(NEIGHBOUR_REACH, -(-grid.channels // grid.step))
    places = [divmod(number, in_block) for number in numbers]
    return [(near * in_block + max(0, place - reach), near * in_block + min(in_block, place + reach + 1))
            for block, place in places for near in range(max(0, block - 1), min(last, block + 1) + 1)]
