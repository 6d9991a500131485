"""Does a signal find its kind? Every signal of a held-out set looks for its family among the others and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics import Scores, rank, scores
from pipeline.evaluate.sets import LabelledSet, SetSpec, labelled_sets

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Cutouts (n, 16, 256) to unit vectors (n, d): :meth:`pipeline.encoders.Encoder.encode`, or anything like it."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How one encoder fares on one set."""

    spec: SetSpec
    overall: Scores
    by_family: Mapping[str, Scores]


def evaluate_retrieval(
    encode: Encode, sets: Sequence[LabelledSet] | None = None, *, seed: int = 0
) -> list[Retrieval]:
    """Measure retrieval on held-out sets.

    Parameters
    ----------
    encode : callable
        Encoder under test.
    sets : sequence of LabelledSet, optional
        By default :data:`~pipeline.evaluate.sets.SETS`, simulated from ``seed``.
    """
    return [retrieval_of(encode, one) for one in (labelled_sets(seed=seed) if sets is None else sets)]


def retrieval_of(encode: Encode, labelled: LabelledSet) -> Retrieval:
    """Measure retrieval on one set."""
    ranked = rank(encode(labelled.cutouts), labelled.labels)
    families = np.unique(ranked.labels).tolist()
    return Retrieval(labelled.spec, scores(ranked), {name: scores(ranked, [name]) for name in families})
