"""How much labels help: retrieval by a query alone, and refined by windows that were found and labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.sets import HELD_OUT, INTERFERENCE_SETS, SETS
from pipeline.search.direction import direction_of
from pipeline.simulate import NOISE

LABELS = (1, 5, 10, 20)
"""Numbers of labelled windows."""
REFINE_SETS = tuple(replace(spec, signals=1024, noise=1024, unrelated=0, kinds=25)
                    for spec in (SETS[0], SETS[1], SETS[-1], *INTERFERENCE_SETS[:2]))
"""Sets with enough windows of each family that some are left after twenty were labelled."""
MAX_QUERIES, MIN_LEFT, SHOWN = 60, 2, 10
"""Maximum number of queries of a set; minimum number of right windows that must be left; hits that count for P@10."""


@dataclass(frozen=True, slots=True)
class RefineScores:
    """Scores on one set with one number of labels. Labelled windows do not count."""

    name: str
    labels: int
    queries: int
    plain: float
    """Mean average precision of the query alone."""
    plain_at_10: float
    """Share of right windows among its first ten."""
    refined: float
    """Mean average precision with the labelled windows as examples."""
    refined_at_10: float


def evaluate_refine(
    name: str, vectors: NDArray[np.float32], labels: NDArray[np.str_], *, seed: int = 0
) -> list[RefineScores]:
    """Measure retrieval with and without labels.

    Half of the labelled windows are the best hits of the query. The others rank from twice their number on.

    Parameters
    ----------
    name : str
        Name of the set.
    vectors : (n, d) float32
        Unit vectors of its windows.
    labels : (n,) str
        Family of each; ``noise`` for a window without a signal.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 31])
    queries = rng.permutation(np.flatnonzero(labels != NOISE))[:MAX_QUERIES].tolist()
    found = []
    for count in LABELS:
        rows = [one for query in queries if (one := _compare(vectors, labels == labels[query], query, count))]
        means = np.mean(rows, axis=0) if rows else np.full(4, np.nan)
        found.append(RefineScores(name, count, len(rows), *means.tolist()))
    return found


def _compare(
    vectors: NDArray[np.float32], is_right: NDArray[np.bool_], query: int, count: int
) -> tuple[float, float, float, float] | None:
    """Return average precision and P@10 of a query, and the same refined; None if too few right windows are left."""
    scores = vectors @ vectors[query]
    order = np.argsort(-np.where(np.arange(len(scores)) == query, -np.inf, scores), kind="stable")
    shown = np.concatenate([order[: count - count // 2], order[2 * count : 2 * count + count // 2]])
    rest = np.delete(np.arange(len(scores)), [*shown, query])
    if np.count_nonzero(is_right[rest]) < MIN_LEFT:
        return None
    like = vectors[[query, *shown[is_right[shown]]]]
    refined = vectors @ direction_of(like, vectors[shown[~is_right[shown]]], vectors).vector
    return *_precision(scores[rest], is_right[rest]), *_precision(refined[rest], is_right[rest])


def _precision(scores: NDArray[np.float32], is_right: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the average precision, and the share of right windows among the first ten."""
    right = is_right[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float((precision * right).sum() / right.sum()), float(right[:SHOWN].mean())


def names_of(scores: Sequence[RefineScores]) -> list[str]:
    """Return the names of the sets, each once, in their order."""
    return list(dict.fromkeys(one.name for one in scores))
