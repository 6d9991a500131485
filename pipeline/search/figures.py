"""What the hits of a search are worth: how many unrelated windows would score so by chance.

A hit gets its figures from its cosine, or from its re-ranked score (:mod:`pipeline.search.reranked`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter
from pipeline.index import products
from pipeline.model import Hit, Match
from pipeline.search.merge import Merged
from pipeline.search.query import NO_SIGNAL, Query
from pipeline.search.request import SearchRequest
from pipeline.search.sample import Sample, sample_of
from pipeline.search.selection import Selection
from pipeline.search.unrelated import unrelated_of
from pipeline.significance import Background, Chance, background_of_scores, false_shares
from pipeline.support.text import counted

MIN_APART = 1000
"""Minimum number of sampled windows of scans at other times. If there are fewer, those near in time count, too."""


Scores = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Products of the vectors of a query with simulated signals (q, n), and with the sample of a corpus (q, m)."""
QUERIES_AT_ONCE = 64
"""Queries whose products are computed together."""
_THREAD = ThreadPoolExecutor(1, "products")


def scores_of(selection: Selection, queries: Sequence[Query]) -> Iterator[Scores | None]:
    """Return for each query what :func:`background_of` compares; None where it says why nothing can be compared.

    A thread computes it while windows are searched for. What needs the interpreter's lock is left to the caller,
    because two threads that need it delay each other.
    """
    groups = [queries[first : first + QUERIES_AT_ONCE] for first in range(0, len(queries), QUERIES_AT_ONCE)]
    coming = [_THREAD.submit(_scores_of, selection, group) for group in groups[:1]]

    def computed() -> Iterator[Scores | None]:
        for i in range(len(groups)):
            ready = coming.pop().result()
            coming.extend(_THREAD.submit(_scores_of, selection, group) for group in groups[i + 1 : i + 2])
            yield from ready

    return computed()


def _scores_of(selection: Selection, queries: Sequence[Query]) -> Sequence[Scores | None]:
    """Return what :func:`scores_of` gives for the queries of one group."""
    unrelated = unrelated_of(selection.corpus, selection.encoder_key).vectors
    if unrelated is None or any(unrelated.shape[1] != query.vectors.shape[1] for query in queries):
        return [None] * len(queries)
    simulated, sampled = _products(unrelated, sample_of(selection), queries)
    ends = np.cumsum([len(query.vectors) for query in queries])[:-1]
    return list(zip(np.split(simulated, ends), np.split(sampled, ends), strict=True))


def _products(unrelated: NDArray[np.float32], sample: Sample, queries: Sequence[Query]) -> Scores:
    directions = directions_of(np.concatenate([query.vectors for query in queries]))
    return products(unrelated, directions), products(sample.vectors, directions)


def directions_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (q, d) of queries with length 1: those of the store are rounded to float16, so theirs is about 1.
    """
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def background_of(
    selection: Selection, query: Query, searched: int, known: Scores | None = None
) -> Background:
    """Compare a query with the sampled windows of a corpus, and with unrelated simulated signals.

    The sample covers all windows of the resolutions that are searched, whether or not they pass the filters. It is
    drawn at the first search of an open corpus, and kept.

    Parameters
    ----------
    selection : Selection
    query : Query
    searched : int
        Number of windows that the search may find.
    known : Scores, optional
        What :func:`scores_of` gives for the query. Default: it is computed.
    """
    key = selection.encoder_key
    if NO_SIGNAL in query.description.note:
        return Background(searched, reason="the gate sees no signal in the query, and only signals are compared with")
    made = unrelated_of(selection.corpus, key)
    unrelated = made.vectors
    if unrelated is None:
        return Background(searched, reason=made.reason)
    if unrelated.shape[1] != query.vectors.shape[1]:
        return Background(searched, reason=f"the simulated signals have {unrelated.shape[1]} numbers each, and the "
                                           f"vectors of {key} have {query.vectors.shape[1]}")
    sample = sample_of(selection)
    is_apart = sample.apart_from(query.regions, MIN_APART)
    simulated, scores = _products(unrelated, sample, [query]) if known is None else known
    if not is_apart.all():
        scores = np.compress(is_apart, scores, axis=1)
    if not query.description.arranged and len(scores) > 1:
        simulated, scores = simulated.max(axis=0, keepdims=True), scores.max(axis=0, keepdims=True)
    return background_of_scores(searched, list(simulated), list(scores))


def with_chance(
    hits: Sequence[Hit], found: Sequence[tuple[Merged, Match | None]], background: Background
) -> tuple[Hit, ...]:
    """Give each hit its figures, from the windows that it was merged of."""
    return tuple(
        _with(hit, background.chance_of_arranged(dict(merged.cosines)) if merged.cosines
              else background.chance_of(hit.score if background.reranked is None or hit.reranked is None
                                        else hit.reranked), background.searched)
        for hit, (merged, _) in zip(hits, found, strict=True))


def _with(hit: Hit, chance: Chance | None, searched: int) -> Hit:
    if chance is None:
        return hit
    return replace(hit, expected=chance.expected, expected_low=chance.low, expected_high=chance.high,
                   extrapolated=chance.extrapolated, p=min(1.0, chance.expected / searched))


def over_views(hits: Sequence[Hit], views: int, searched: int) -> tuple[Hit, ...]:
    """Return hits of searches through several views with figures for all of these.

    Each view has a chance of its own to give a hit as good, so the expected number is that in the view of the hit,
    times the number of views.

    Parameters
    ----------
    searched : int
        Number of windows searched through all views.
    """
    return tuple(hit if hit.expected is None or hit.expected_low is None or hit.expected_high is None else
                 replace(hit, expected=views * hit.expected, expected_low=views * hit.expected_low,
                         expected_high=views * hit.expected_high, p=min(1.0, views * hit.expected / searched))
                 for hit in hits)


def note_on_left_out(hits: Sequence[Hit], chosen: Sequence[Hit]) -> str:
    """Return a note that says how many hits :func:`kept` left out; an empty text for none."""
    count = len(hits) - len(chosen)
    return f"{counted(count, 'hit')} left out because of the limits of score or chance" if count else ""


def kept(hits: Sequence[Hit], request: SearchRequest, reason: str) -> tuple[Hit, ...]:
    """Return the hits that a request asks for by their score and by chance, with q if it asks for that.

    q is measured among all hits, before any is left out.

    Parameters
    ----------
    reason : str
        Why hits have no expected number; empty if they have one.

    Raises
    ------
    ParameterError
        The request has a limit of the expected number, or asks for q, and hits have no expected number.
    """
    if reason and (request.expected_below is not None or request.q):
        name = "q" if request.expected_below is None else "expected_below"
        raise ParameterError(f"{parameter(name)} cannot be used: {reason}")
    expected = [np.inf if hit.expected is None else hit.expected for hit in hits]
    if request.q:
        hits = [replace(hit, q=share) for hit, share in zip(hits, false_shares(expected), strict=True)]
    least, most = request.min_score, request.expected_below
    chosen = [hit for hit, number in zip(hits, expected, strict=True)
              if (least is None or hit.score >= least) and (most is None or number <= most)]
    return tuple(hit if hit.rank == rank else replace(hit, rank=rank) for rank, hit in enumerate(chosen, start=1))
