"""The direction in which vectors look like some examples and unlike others. Plain arithmetic on vectors.

The score of a window is the cosine of its vector with this direction. So everything that searches for a vector also
searches for a direction: exact scans, graphs, cells and clusters.

The direction is the sum of two, each of length 1: a difference of means, and the weights of a logistic regression. The
sum finds more than either, and a regression alone finds less than the difference if there are few examples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.support.one_core import blas_on_one_core

MIN_FITTED = 5
"""Number of examples from which a logistic regression is fitted, too. Fewer give the difference of two means alone."""
UNLIKE_WEIGHT, FITTED_UNLIKE_WEIGHT = 0.25, 0.5
"""Weight of the mean of the unlike examples in this difference, alone and beside a regression."""
WEAK_WEIGHT = 0.05
"""Weight of a sampled window, which probably is unlike, in the regression. An example weighs 1."""
WEAK_SAMPLES = 1024
"""Number of sampled windows."""
PENALTY = 0.1
"""Weight of the squared length of the direction in the regression."""
_MAX_STEPS, _TOLERANCE = 25, 1e-4
_MAX_EXPONENT = 30.0


@dataclass(frozen=True, slots=True)
class Direction:
    """A direction, and the score at which the two kinds of examples part."""

    vector: NDArray[np.float32]
    """(d,) of length 1."""
    border: float
    """Cosine with the direction halfway between the means of the two kinds of examples."""
    is_fitted: bool
    """True if a logistic regression is a part of it."""


def direction_of(
    like: NDArray[np.float32], unlike: NDArray[np.float32], sample: NDArray[np.float32]
) -> Direction:
    """Find the direction in which vectors look like some examples and unlike others.

    Parameters
    ----------
    like : (p, d) float32
        Unit vectors of examples, at least one.
    unlike : (n, d) float32
    sample : (m, d) float32
        Unit vectors of any windows, of which few are alike: weak examples of what is unlike. At most
        :data:`WEAK_SAMPLES` of them are used, always the same.
    """
    with blas_on_one_core():
        return _direction_of(like.astype(np.float64), unlike.astype(np.float64), sample)


def _direction_of(
    alike: NDArray[np.float64], others: NDArray[np.float64], sample: NDArray[np.float32]
) -> Direction:
    weak = sample[np.random.default_rng(0).permutation(len(sample))[:WEAK_SAMPLES]].astype(np.float64)
    is_fitted = len(alike) + len(others) >= MIN_FITTED
    vector = _difference(alike, others, FITTED_UNLIKE_WEIGHT if is_fitted else UNLIKE_WEIGHT)
    if is_fitted:
        weights = _regression(
            np.concatenate([alike, others, weak]),
            np.concatenate([np.ones(len(alike)), np.zeros(len(others) + len(weak))]),
            np.concatenate([np.ones(len(alike) + len(others)), np.full(len(weak), WEAK_WEIGHT)]))
        vector = _unit(vector + _unit(weights))
    apart = others if len(others) else weak
    border = float((alike @ vector).mean() + (apart @ vector).mean()) / 2 if len(apart) else 0.0
    return Direction(vector.astype(np.float32), border, is_fitted)


def _difference(
    like: NDArray[np.float64], unlike: NDArray[np.float64], unlike_weight: float
) -> NDArray[np.float64]:
    """Return the mean of the examples that are alike, less a part of the mean of the others, with length 1."""
    mean = _unit(like.mean(axis=0))
    return _unit(mean - unlike_weight * unlike.mean(axis=0)) if len(unlike) else mean


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a vector with length 1; one that is zero as it is."""
    length = float(np.linalg.norm(vector))
    return vector / length if length > _TOLERANCE else vector


def _regression(
    vectors: NDArray[np.float64], is_like: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit a logistic regression by Newton's method; return its weights (d,) without the offset.

    Parameters
    ----------
    vectors : (n, d)
    is_like, weights : (n,)
        1 for what is alike, else 0; and how much each example counts.
    """
    wide = np.column_stack([vectors, np.ones(len(vectors))])
    penalty = np.full(wide.shape[1], PENALTY)
    penalty[-1] = 1e-6  # the offset is free; this keeps the equations solvable
    found = np.zeros(wide.shape[1])
    for _ in range(_MAX_STEPS):
        share = 1 / (1 + np.exp(-np.clip(wide @ found, -_MAX_EXPONENT, _MAX_EXPONENT)))
        slope = wide.T @ (weights * (share - is_like)) + penalty * found
        curvature = wide.T @ (wide * (weights * share * (1 - share))[:, None]) + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        found -= step
        if np.abs(step).max() < _TOLERANCE:
            break
    return found[:-1]
