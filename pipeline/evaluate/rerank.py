"""Retrieval with and without re-ranking: in the order of the vectors, of the correlation, and of both combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics import Scores, rank, rank_order, scores
from pipeline.evaluate.retrieval import Encode
from pipeline.evaluate.sets import SETS, LabelledSet, SetSpec, labelled_sets
from pipeline.search.correlate import DRIFTS, WEIGHT, correlate, fused
from pipeline.search.reorder import MIN_REORDERED_HITS
from pipeline.simulate import NOISE

RERANK_SETS = tuple(replace(spec, signals=160, kinds=20, noise=1024) for spec in SETS)
"""The retrieval sets with fewer windows, because re-ranking is slow."""


@dataclass(frozen=True, slots=True)
class RerankScores:
    """Scores on one set with one encoder."""

    spec: SetSpec
    vectors: Scores
    """Without re-ranking."""
    correlation: Scores
    """With the best windows re-ranked by their correlation with the query only."""
    both: Scores
    """With the best windows re-ranked as by ``search --rerank``."""


def evaluate_rerank(
    encode: Encode,
    sets: Sequence[LabelledSet] | None = None,
    *,
    seed: int = 0,
    drift: bool = False,
    mirror: bool = False,
    weight: float = WEIGHT,
) -> list[RerankScores]:
    """Measure retrieval with and without re-ranking of the best :data:`MIN_REORDERED_HITS` windows.

    Parameters
    ----------
    encode : callable
        Encoder that finds the best windows.
    sets : sequence of LabelledSet, optional
        Sets to search; by default :data:`RERANK_SETS`, simulated from ``seed``.
    seed : int
        Seed of the default sets.
    drift : bool
        Also correlate with the query at other drifts.
    mirror : bool
        Also correlate with the query reversed in frequency.
    weight : float
        Weight of the correlation when both orders are combined.

    Returns
    -------
    list of RerankScores
        One for each set.
    """
    drifts = DRIFTS if drift else (0.0,)
    return [_rerank_one(encode, one, drifts, mirror, weight)
            for one in (labelled_sets(RERANK_SETS, seed) if sets is None else sets)]


def _rerank_one(
    encode: Encode, one: LabelledSet, drifts: Sequence[float], mirror: bool, weight: float
) -> RerankScores:
    vectors = encode(one.cutouts)
    # rows of noise keep a dummy order, because noise is never a query
    by_correlation = np.tile(np.arange(len(vectors)), (len(vectors), 1))
    by_both = by_correlation.copy()
    for query in np.flatnonzero(one.labels != NOISE).tolist():
        similarity = vectors @ vectors[query]
        similarity[query] = -np.inf
        order = np.argsort(-similarity, kind="stable")
        pool = order[: min(MIN_REORDERED_HITS, len(order) - 1)]
        found = correlate(one.cutouts[query], one.cutouts[pool], drifts=drifts, mirror=mirror).correlation
        by_correlation[query] = _reorder_first(order, found)
        by_both[query] = _reorder_first(order, fused(similarity[pool], found, weight))
    return RerankScores(one.spec, scores(rank(vectors, one.labels)), scores(rank_order(by_correlation, one.labels)),
                    scores(rank_order(by_both, one.labels)))


def _reorder_first(order: NDArray[np.int64], score: NDArray[np.floating]) -> NDArray[np.int64]:
    """Sort the first windows of an order by new scores, highest first; the others keep their places."""
    first = order[: len(score)]
    return np.concatenate([first[np.argsort(-score, kind="stable")], order[len(score):]])
