"""Retrieval on held-out sets: every signal searches for its family among the other signals and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics import Scores, rank, scores
from pipeline.evaluate.sets import LabelledSet, SetSpec, labelled_sets
from pipeline.search.expand import LOOK_ALIKES, expanded_vector

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Function from cutouts (n, 16, 256) to unit vectors (n, d), such as :meth:`pipeline.encoders.Encoder.encode`."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Scores of one encoder on one set."""

    spec: SetSpec
    overall: Scores
    """Scores over all queries."""
    expanded: Scores
    """The same with each query expanded, as ``search --expand`` does."""
    by_family: Mapping[str, Scores]
    """Family → scores over its queries."""


def evaluate_retrieval(
    encode: Encode, sets: Sequence[LabelledSet] | None = None, *, seed: int = 0
) -> list[Retrieval]:
    """Measure retrieval on held-out sets.

    Parameters
    ----------
    encode : callable
        Encoder to measure.
    sets : sequence of LabelledSet, optional
        Sets to search; by default :data:`~pipeline.evaluate.sets.SETS`, simulated from ``seed``.
    seed : int
        Seed of the default sets.

    Returns
    -------
    list of Retrieval
        One for each set.
    """
    return [evaluate_set(encode, one) for one in (labelled_sets(seed=seed) if sets is None else sets)]


def evaluate_set(encode: Encode, labelled: LabelledSet) -> Retrieval:
    """Measure retrieval on one set."""
    vectors = encode(labelled.cutouts)
    ranked = rank(vectors, labelled.labels)
    expanded = rank(vectors, labelled.labels, asked=expand_queries(vectors, vectors))
    families = np.unique(ranked.labels).tolist()
    return Retrieval(labelled.spec, scores(ranked), scores(expanded),
                     {name: scores(ranked, [name]) for name in families})


def expand_queries(asked: NDArray[np.float32], searched: NDArray[np.float32]) -> NDArray[np.float32]:
    """Expand each vector by its nearest look-alikes among others, as ``search --expand`` does.

    Parameters
    ----------
    asked, searched : (n, d) float32
        Unit vectors of the same windows, as queries and as windows that are found. No window expands itself.

    Returns
    -------
    (n, d) float32
    """
    out = np.empty_like(asked)
    for i, query in enumerate(asked):
        scores_of_query = searched @ query
        scores_of_query[i] = -np.inf
        nearest = np.argsort(-scores_of_query)[: min(LOOK_ALIKES, len(searched) - 1)]
        out[i] = expanded_vector(query, searched[nearest], scores_of_query[nearest])
    return out
