"""Figures of re-ranked hits: how many unrelated windows have such a re-ranked score by chance.

The unrelated signals are re-ranked for the query by the same function as the hits: the nearest of them are compared
with it pixel by pixel. The corpus raises the numbers by the factor that its cosines show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.index import products
from pipeline.search.figures import directions_of
from pipeline.search.query import Query
from pipeline.search.request import SearchRequest
from pipeline.search.selection import Selection
from pipeline.search.unrelated import unrelated_cutouts, unrelated_of
from pipeline.significance import Background, Null, Tail

COMPARED = 600
"""Number of unrelated signals that are compared pixel by pixel, those with the highest cosines. The others have no
correlation. Where it was measured, all 6,000 gave the same figures, and took ten times as long."""


def with_reranked(
    background: Background, request: SearchRequest, query: Query, selection: Selection
) -> Background:
    """Return the background of a search with the null of re-ranked scores.

    It stays as it is if the request does not ask for re-ranking, if nothing is known about chance, if the arrangement
    of the query's windows counts, or if these have another shape than the unrelated signals.
    """
    if not request.rerank or background.reason or query.description.arranged:
        return background
    unrelated, cutouts = unrelated_of(selection.corpus, selection.encoder_key).vectors, unrelated_cutouts()
    if unrelated is None or query.cutouts.shape[1:] != cutouts.shape[1:]:
        return background
    cosines = products(unrelated, directions_of(query.vectors)).T
    scores = reranked_scores(query.cutouts, cosines, cutouts, drift=request.rerank_drift, mirror=request.rerank_mirror)
    return replace(background, reranked=Null(Tail.of(scores), background.nulls[0].excess))


def reranked_scores(
    queries: NDArray[np.uint8], cosines: NDArray[np.float32], cutouts: NDArray[np.uint8], *, drift: bool = False,
    mirror: bool = False, compared: int = COMPARED,
) -> NDArray[np.float32]:
    """Re-rank windows as :func:`pipeline.search.reorder.compare_cutouts` does.

    Parameters
    ----------
    queries : (q, T, F) uint8
        Cutouts of the query.
    cosines : (n, q) float32
        Cosine of each window with each of them. A window is compared with the nearest one.
    cutouts : (n, T, F) uint8
    drift, mirror : bool
        Allow for other drifts, and for reversed frequency.
    compared : int
        Number of windows that are compared, those with the highest cosines. The correlation of the others counts as 0.

    Returns
    -------
    (n,) float32
        Re-ranked scores.
    """
    from pipeline.search.correlate import DRIFTS, correlate, fused

    nearest, best = cosines.argmax(axis=1), cosines.max(axis=1)
    chosen = np.argsort(-best, kind="stable")[:compared]
    correlation = np.zeros(len(best))
    drifts: Sequence[float] = DRIFTS if drift else (0.0,)
    for one in np.unique(nearest[chosen]).tolist():
        rows = chosen[nearest[chosen] == one]
        correlation[rows] = correlate(queries[one], cutouts[rows], drifts=drifts, mirror=mirror).correlation
    return fused(best, correlation).astype(np.float32)


def note_on_figures(request: SearchRequest, background: Background) -> str:
    """Return a note if hits are ordered by another score than the one that their figures belong to; otherwise ""."""
    if background.reason or background.reranked is not None:
        return ""
    if request.rerank:
        return "expected numbers are those of the score before re-ranking"
    if request.expand:
        return "expected numbers are those of the score, not of expanded"
    return "expected numbers are those of the score, without nearness in frequency" if request.near_frequency else ""
