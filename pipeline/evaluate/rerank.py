"""Where a second look helps: retrieval in the vectors' order, in the correlation's, and in that of both."""

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
"""The retrieval sets made smaller: a second look takes its time."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """How the second look fares on one set, behind one encoder."""

    spec: SetSpec
    vectors: Scores
    """Without it."""
    correlation: Scores
    """The vectors' best in the order of their correlation alone."""
    both: Scores
    """As ``search --rerank`` orders them."""


def evaluate_rerank(
    encode: Encode,
    sets: Sequence[LabelledSet] | None = None,
    *,
    seed: int = 0,
    drift: bool = False,
    mirror: bool = False,
    weight: float = WEIGHT,
) -> list[Reranked]:
    """Measure retrieval with and without a second look at the best :data:`MIN_REORDERED_HITS` windows.

    Parameters
    ----------
    encode : callable
        Encoder that finds the best windows.
    sets : sequence of LabelledSet, optional
        By default :data:`RERANK_SETS`, simulated from ``seed``.
    drift, mirror : bool
        Allow for other drifts, for frequency reversed.
    weight : float
        Of the correlation in the order of both.
    """
    drifts = DRIFTS if drift else (0.0,)
    return [_rerank_one(encode, one, drifts, mirror, weight)
            for one in (labelled_sets(RERANK_SETS, seed) if sets is None else sets)]


def _rerank_one(
    encode: Encode, one: LabelledSet, drifts: Sequence[float], mirror: bool, weight: float
) -> Reranked:
    vectors = encode(one.cutouts)
    # the rows of noise stay as they are: noise looks for nothing
    by_correlation = np.tile(np.arange(len(vectors)), (len(vectors), 1))
    by_both = by_correlation.copy()
    for query in np.flatnonzero(one.labels != NOISE).tolist():
        similarity = vectors @ vectors[query]
        similarity[query] = -np.inf
        order = np.argsort(-similarity, kind="stable")
        pool = order[: min(MIN_REORDERED_HITS, len(order) - 1)]
        found = correlate(one.cutouts[query], one.cutouts[pool], drifts=drifts, mirror=mirror).correlation
        by_correlation[query] = _in_front(order, found)
        by_both[query] = _in_front(order, fused(similarity[pool], found, weight))
    return Reranked(one.spec, scores(rank(vectors, one.labels)), scores(rank_order(by_correlation, one.labels)),
                    scores(rank_order(by_both, one.labels)))


def _in_front(order: NDArray[np.int64], score: NDArray[np.floating]) -> NDArray[np.int64]:
    """Put the first windows of an order, of which there are new scores, into the order of these."""
    first = order[: len(score)]
    return np.concatenate([first[np.argsort(-score, kind="stable")], order[len(score):]])
