"""Finds the windows nearest to several queries at once, so that each vector of the corpus is read once for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.search.limits import FullPlaces
from pipeline.search.nearest import Finder, Nearest, lists_of_nearest
from pipeline.search.selection import Selection

MORE_AT_ONCE = 2
"""How many times as many windows are found for each query as its search asks for first. If it asks for more, because
several of these windows are one hit, the corpus need not be read again for it alone."""


@dataclass(frozen=True, slots=True)
class FoundTogether:
    """A :class:`~pipeline.search.nearest.Finder` that knows the nearest windows of some vectors already."""

    known: Mapping[bytes, Nearest]
    """Bytes of a vector → its nearest windows, best first."""
    count: int
    """Number of windows that were asked for."""
    selection: Selection
    exact: bool
    careful: bool
    find: Finder
    """Answers what is not known."""

    def __call__(
        self, selection: Selection, vectors: NDArray[np.float32], k: int, *, exact: bool = False,
        careful: bool = False, full: FullPlaces | None = None,
    ) -> Nearest:
        """Do what :func:`pipeline.search.nearest.nearest` does."""
        same = selection is self.selection and (exact, careful) == (self.exact, self.careful)
        found = [self.known.get(vector.tobytes()) for vector in vectors] if same and not full else []
        best = Nearest.none()
        for i, one in enumerate(found):
            if one is None or min(k, selection.vector_count) > self.count:
                break
            best = best.best_with(replace(one, query=np.full(len(one.query), i)), k)
        else:
            if found:
                return best
        return self.find(selection, vectors, k, exact=exact, careful=careful, full=full)


def find_together(
    selection: Selection, vectors: Sequence[NDArray[np.float32]], count: int, find: Finder, *, exact: bool,
    careful: bool,
) -> FoundTogether:
    """Find the nearest windows of each of some vectors.

    Parameters
    ----------
    vectors : sequence of (d,) float32
    count : int
        Windows to find for each.
    find : Finder
        Answers what is asked beyond this.
    """
    together = np.stack(vectors)
    lists = list(lists_of_nearest(selection, together, count, exact=exact, careful=careful))
    found = Nearest(*(np.concatenate([getattr(one, name) for one in lists])
                      for name in ("source", "number", "score", "query"))) if lists else Nearest.none()
    by_query = np.argsort(found.query, kind="stable")
    ends = np.searchsorted(found.query[by_query], np.arange(len(together) + 1))
    known = {}
    for i, vector in enumerate(together):
        rows = by_query[ends[i] : ends[i + 1]]
        of_query = Nearest(found.source[rows], found.number[rows], found.score[rows], found.query[rows])
        known[vector.tobytes()] = Nearest.none().best_with(of_query, count)
    return FoundTogether(known, min(count, selection.vector_count), selection, exact, careful, find)
