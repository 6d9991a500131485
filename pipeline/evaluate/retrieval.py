"""Retrieval on held-out sets: every signal searches for its family among the other signals and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics import Scores, rank, scores
from pipeline.evaluate.sets import LabelledSet, SetSpec, labelled_sets

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Function from cutouts (n, 16, 256) to unit vectors (n, d), such as :meth:`pipeline.encoders.Encoder.encode`."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Scores of one encoder on one set."""

    spec: SetSpec
    overall: Scores
    """Scores over all queries."""
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
    ranked = rank(encode(labelled.cutouts), labelled.labels)
    families = np.unique(ranked.labels).tolist()
    return Retrieval(labelled.spec, scores(ranked), {name: scores(ranked, [name]) for name in families})
