"""Linear discriminant: the directions of feature space in which kinds differ most, relative to their members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.train.batches import NOISE_KIND

SHRINKAGE = 0.1
"""Variance that is added to each feature within kinds, relative to the mean one. It keeps rare features small."""
LENGTH = 4.0
"""Standard deviations within a kind that count as length 1."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Discriminant:
    """A linear map: features (n, f) @ kernel + bias."""

    kernel: Array
    """(f, d)."""
    bias: Array
    """(d,). Noise lies around 0."""


def fit_discriminant(blocks: Iterable[tuple[NDArray[Any], NDArray[Any]]], dimension: int) -> Discriminant:
    """Fit the linear discriminant of kinds. All kinds have the same weight.

    Parameters
    ----------
    blocks : iterable of ((n, f) array, (n,) array)
        Features of windows, and the numbers of their kinds, one of which is
        :data:`~pipeline.train.batches.NOISE_KIND`.
    dimension : int
        Number of directions; smaller than the number of kinds.

    Returns
    -------
    Discriminant
        The directions in descending order of separation; the largest number of each is positive. Along each, the
        standard deviation within kinds is 1 / :data:`LENGTH`.

    Raises
    ------
    ValueError
        There are too few kinds.
    """
    from scipy.linalg import eigh

    features, kinds = (np.concatenate(part) for part in zip(*blocks, strict=True))
    numbers, which = np.unique(kinds, return_inverse=True)
    if dimension >= len(numbers):
        raise ValueError(f"{len(numbers)} kinds have fewer than {dimension} directions between them")
    spread = features.std(axis=0, dtype=np.float64)
    scale = spread + 0.05 * features.std(dtype=np.float64)  # a feature that hardly varies stays small
    scaled = features / scale
    means = np.stack([scaled[which == number].mean(axis=0) for number in range(len(numbers))])
    apart = scaled - means[which]
    within = apart.T @ apart / (len(scaled) - len(numbers))
    within += SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    directions = eigh(np.cov(means.T), within)[1][:, ::-1][:, :dimension]  # within kinds, each has variance 1
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(dimension)])
    kernel = directions / scale[:, None] / LENGTH
    noise = means[numbers.tolist().index(NOISE_KIND)] * scale
    return Discriminant(kernel, -noise @ kernel)
