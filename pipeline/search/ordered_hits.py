"""The best hits of a request, in the order that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pipeline.model import Match
from pipeline.search.arranged_hits import arranged_hits
from pipeline.search.best_hits import Wants, best_hits, place_of
from pipeline.search.merge import Merged
from pipeline.search.nearest import Finder
from pipeline.search.query import Query
from pipeline.search.request import SearchRequest
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus

_Reorder = Callable[[Sequence[Merged]], "Sequence[tuple[Merged, Match | None]]"]


def ordered_hits(
    corpus: OpenCorpus, query: Query, selection: Selection, request: SearchRequest, find: Finder,
    wants: Wants | None = None,
) -> list[tuple[Merged, Match | None]]:
    """Return the best hits by cosine, put into another order if the request asks for one.

    Each has its alignment with the query, if the request compares hits pixel by pixel. ``wants`` tells whether a hit is
    wanted; by default, all are.
    """
    k, limits, reorder = request.k, request.limits, _reorder(corpus, query, request)
    search = partial(arranged_hits if query.description.arranged else best_hits, selection, query,
                     exact=request.exact, careful=request.careful, find=find, wants=wants)
    if reorder is None:
        return [(hit, None) for hit in search(k, limits=limits)]
    from pipeline.search.reorder import MIN_REORDERED_HITS

    pool = search(max(k, MIN_REORDERED_HITS))
    if limits:
        # of 2k hits within the limits, at least k can be picked, however they are ordered
        within_limits = search(2 * k, limits=limits)
        pool = list({(hit.best.window.source_id, hit.best.window.number): hit
                     for hit in (*within_limits, *pool)}.values())
        pool.sort(key=lambda hit: (-hit.best.score, hit.best.window.source_id, hit.best.window.number))
    return limits.pick(reorder(pool), k, lambda found: place_of(found[0]))[0]


def _reorder(corpus: OpenCorpus, query: Query, request: SearchRequest) -> _Reorder | None:
    """Return the function that orders hits by more than their cosine; None if the request does not ask for that.

    It is imported only when needed, because it imports scipy.
    """
    if request.rerank:
        from pipeline.search.reorder import compare_cutouts

        return partial(compare_cutouts, corpus, query, drift=request.rerank_drift, mirror=request.rerank_mirror)
    if request.near_frequency:
        from pipeline.search.reorder import order_by_nearness

        return lambda hits: [(hit, None) for hit in order_by_nearness(query, hits, request.near_frequency)]
    return None
