"""From the nearest windows to hits: neighbours that found the same thing are one.

Nearest windows are fetched only so many at a time, and a hit's neighbours may not be among them. So these are looked up
in the corpus: what is a hit, and what is merged into it, depends neither on how many were fetched nor on ``k``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.search.merge import Candidate, Merged, merge
from pipeline.search.nearest import Nearest, Scope, nearest, scores_of
from pipeline.search.opened import OpenCorpus
from pipeline.search.query import Query
from pipeline.windows import Tiling

FEWEST = 50
A_HIT = 4
"""Windows fetched at first: at least so many, and so many a hit."""
REACH = 32
"""Neighbours looked up at once, to either side of a hit's windows."""
MOST_MERGED = 1000
"""A hit of so many windows is not followed any further: where everything looks alike, there is no end to it."""


def best_hits(corpus: OpenCorpus, query: Query, scope: Scope, k: int, *, exact: bool = False) -> list[Merged]:
    """Return the ``k`` best hits, fewer where there are not so many."""
    fetch = max(FEWEST, A_HIT * k)
    while True:
        fetch = min(fetch, scope.count)
        found = nearest(corpus, scope, query.vectors, fetch, exact=exact)
        candidates = _Candidates(corpus, query, scope)
        candidates.add(found)
        if fetch == scope.count:
            return merge(candidates.all)[:k]
        # what scores below the last one fetched may have betters that were not
        sure = [hit for hit in candidates.merged(k) if hit.best.score >= found.score[-1]]
        if len(sure) >= k:
            return sure[:k]
        fetch *= 2


class _Candidates:
    """Windows that may become hits, those of the query itself left out."""

    def __init__(self, corpus: OpenCorpus, query: Query, scope: Scope) -> None:
        self._corpus, self._query, self._scope = corpus, query, scope
        self._position = {source_id: i for i, source_id in enumerate(scope.source_ids)}
        self._known: dict[tuple[str, int], Candidate] = {}
        self._surveyed: set[tuple[str, int]] = set()

    @property
    def all(self) -> list[Candidate]:
        """All of them."""
        return list(self._known.values())

    def add(self, found: Nearest) -> bool:
        """Add windows; tell whether any is new."""
        before = len(self._known)
        for source, number, score, query in zip(found.source, found.number, found.score, found.query, strict=True):
            source_id = self._scope.source_ids[source]
            if (source_id, int(number)) not in self._known:
                window = self._corpus.window(source_id, int(number))
                if self._query.region is None or not self._query.region.overlaps(window):
                    self._known[source_id, int(number)] = Candidate(float(score), window, int(query))
        return len(self._known) > before

    def merged(self, k: int) -> list[Merged]:
        """Merge, having looked up all stored windows that could belong to the ``k`` best hits."""
        while True:
            merged = merge(self.all)
            unsurveyed: dict[str, list[int]] = {}
            for hit in merged[:k]:
                if len(hit.others) < MOST_MERGED:
                    names = {(hit.best.window.source_id, number) for number in (hit.best.window.number, *hit.others)}
                    for source_id, number in names - self._surveyed:
                        unsurveyed.setdefault(source_id, []).append(number)
                    self._surveyed |= names
            # a list, not a generator: every source is to be surveyed
            if not any([self._survey(source_id, np.array(numbers)) for source_id, numbers in unsurveyed.items()]):
                return merged

    def _survey(self, source_id: str, numbers: NDArray[np.int64]) -> bool:
        """Add the stored windows around some of a source; tell whether any is new."""
        around = _around(numbers, self._corpus.tiling(source_id)).tolist()
        fresh = np.array([number for number in around if (source_id, number) not in self._known], np.int64)
        position = self._position[source_id]
        return self.add(scores_of(self._corpus, self._scope, position, fresh, self._query.vectors))


def _around(numbers: NDArray[np.int64], tiling: Tiling) -> NDArray[np.int64]:
    """Numbers of the windows within reach of others: in frequency, and in the time blocks before, at and after."""
    grid = tiling.grid
    reach = max(REACH, -(-grid.channels // grid.step))
    blocks, places = np.divmod(numbers, tiling.windows_per_block)
    blocks = (blocks[:, None] + np.arange(-1, 2))[:, :, None]
    places = (places[:, None] + np.arange(-reach, reach + 1))[:, None, :]
    inside = (blocks >= 0) & (blocks < tiling.n_blocks) & (places >= 0) & (places < tiling.windows_per_block)
    return np.unique((blocks * tiling.windows_per_block + places)[inside])
