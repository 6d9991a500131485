"""Expansion of a query by its nearest look-alikes (alpha query expansion, arXiv 1711.02512).

One window shows a pattern together with noise and with whatever else is there. Its nearest look-alikes show the same
pattern with other noise. So a mean of these vectors resembles further look-alikes more than the query alone does.

The corpus is searched once, by the query's own vector. The windows that this search fetches are scored again with the
expanded vector. Vectors on disk stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Hit, Window
from pipeline.search.best_hits import first_fetch
from pipeline.search.chosen_windows import score_windows, vectors_of_windows
from pipeline.search.copies import Copies, do_overlap
from pipeline.search.limits import FullPlaces
from pipeline.search.merge import Merged, touch
from pipeline.search.nearest import Finder, Nearest, score_vectors
from pipeline.search.query import Query
from pipeline.search.request import SearchRequest
from pipeline.search.selection import Selection

LOOK_ALIKES = 2
"""Number of nearest windows that expand a query. With more, some sets find fewer right first hits."""
EXPONENT = 2.0
"""A look-alike weighs its cosine to this power; the query weighs 1."""


def expanded_vector(
    query: NDArray[np.float32], look_alikes: NDArray[np.float32], scores: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return the weighted mean of a query and its look-alikes, scaled to length 1.

    Parameters
    ----------
    query : (d,) float32
        Vector of any length but zero.
    look_alikes : (m, d) float32
        Vectors of length 1.
    scores : (m,) float
        Their cosines with the query. Negative ones count as 0.
    """
    weights = np.maximum(np.asarray(scores, np.float64), 0) ** EXPONENT
    total = query / np.linalg.norm(query.astype(np.float64)) + weights @ look_alikes.astype(np.float64)
    unit: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
    return unit


@dataclass(frozen=True, slots=True)
class Expansion:
    """An expanded query, and the windows that the search by its own vectors has fetched.

    It takes the place of a :class:`~pipeline.search.nearest.Finder` in a search for ``query``.
    """

    own: NDArray[np.float32]
    """(q, d) the query's own vectors."""
    query: Query
    """The query, with expanded vectors."""
    fetched: Nearest
    """Scored by the query's own vectors."""
    vectors: NDArray[np.float32]
    """(n, d) vectors of the windows in ``fetched``."""
    count: int
    """Number of windows that were asked for."""
    find: Finder
    """Searches the corpus."""

    def __call__(
        self, selection: Selection, vectors: NDArray[np.float32], k: int, *, exact: bool = False,
        careful: bool = False, full: FullPlaces | None = None,
    ) -> Nearest:
        """Score the fetched windows by ``vectors``. Search the corpus if more windows are wanted, or in other places.

        See :func:`pipeline.search.nearest.nearest`.
        """
        if full or k > self.count:
            return self.find(selection, vectors, k, exact=exact, careful=careful, full=full)
        return score_vectors(self.fetched.source, self.fetched.number, self.vectors, vectors,
                             max(k, len(self.fetched.score)))

    def with_both_scores(self, selection: Selection, hits: Sequence[Hit], found: Sequence[Merged]) -> tuple[Hit, ...]:
        """Give each hit the cosine with the query's own vector as its score, and that with the expanded one beside it.

        Parameters
        ----------
        hits, found : sequences of n
            Hits whose score is the cosine with the expanded vector, and what they were made of.
        """
        return tuple(replace(hit, score=self._cosine(selection, one), expanded=hit.score)
                     for hit, one in zip(hits, found, strict=True))

    def _cosine(self, selection: Selection, hit: Merged) -> float:
        """Return the cosine of a hit's best window with the query's own vector."""
        source, number = selection.position[hit.best.window.source_id], hit.best.window.number
        fetched = self.fetched
        same = (fetched.source == source) & (fetched.number == number) & (fetched.query == hit.best.query)
        if same.any():
            return float(fetched.score[same][0])
        own = self.own[hit.best.query : hit.best.query + 1]
        return float(score_windows(selection, source, np.array([number]), own).score[0])


def expansion_of(
    request: SearchRequest, query: Query, selection: Selection, find: Finder,
    may_expand: Callable[[str, int], bool] | None = None,
) -> Expansion | None:
    """Search by the query's own vectors, and expand each of them by the nearest windows that it finds.

    Returns None if the request does not ask for that, or if the arrangement of the query's windows counts.

    Windows that overlap the query, or their copies, expand nothing. Of look-alikes that touch or overlap, only the best
    one counts, because they show the same signal.

    Parameters
    ----------
    request : SearchRequest
    query : Query
    selection : Selection
        Windows that may be found. No others expand the query.
    find : Finder
        Searches the corpus.
    may_expand : callable, optional
        Tells of the source id and number of a window whether it may expand the query. By default, all may.
    """
    if not request.expand or query.description.arranged:
        return None
    count = min(first_fetch(request.k), selection.vector_count)
    fetched = find(selection, query.vectors, count, exact=request.exact, careful=request.careful)
    stored = _stored_vectors(selection, fetched)
    copies, vectors = Copies(selection.corpus, query), query.vectors.copy()
    for i in np.unique(fetched.query).tolist():
        rows = np.flatnonzero(fetched.query == i).tolist()
        chosen = _look_alikes(selection, copies, fetched, [row for row in rows if may_expand is None or may_expand(
            selection.source_ids[fetched.source[row]], int(fetched.number[row]))])
        vectors[i] = expanded_vector(query.vectors[i], stored[chosen], fetched.score[chosen])
    return Expansion(query.vectors, replace(query, vectors=vectors), fetched, stored, count, find)


def note_on_expansion(request: SearchRequest, query: Query) -> str:
    """Return a note if a query was to be expanded and was not; otherwise ""."""
    if not request.expand or not query.description.arranged:
        return ""
    return (f"the pattern is not expanded, because the arrangement of its {len(query.vectors)} windows counts; windows "
            "are expanded if each is searched for by itself")


def _stored_vectors(selection: Selection, found: Nearest) -> NDArray[np.float32]:
    """Return the unit vectors (n, d) of windows that were found."""
    dimension = selection.corpus.manifest.encoders[selection.encoder_key].dimension
    out = np.empty((len(found.source), dimension), np.float32)
    for source in np.unique(found.source).tolist():
        here = np.flatnonzero(found.source == source)
        out[here] = vectors_of_windows(selection, selection.source_ids[source], found.number[here])[1]
    return out


def _look_alikes(
    selection: Selection, copies: Copies, fetched: Nearest, rows: Sequence[int]
) -> list[int]:
    """Return those of some rows of ``fetched``, best first, that expand a query."""
    chosen: list[int] = []
    windows: list[Window] = []
    for row in rows:
        source_id = selection.source_ids[fetched.source[row]]
        window = selection.corpus.window(source_id, int(fetched.number[row]))
        if not copies.is_of_query(window) and not _any_beside(windows, window):
            chosen.append(row)
            windows.append(window)
        if len(chosen) == LOOK_ALIKES:
            break
    return chosen


def _any_beside(windows: Sequence[Window], window: Window) -> bool:
    return any(touch(other, window) or do_overlap(other, window) for other in windows)
