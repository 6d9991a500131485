"""Linear discriminant: the directions of feature space in which kinds differ most, relative to their members."""

from __future__ import annotations

from collections import Counter
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
    """Fit the linear discriminant of kinds. All kinds have the same weight. Blocks are read one by one.

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
    counts: Counter[int] = Counter()
    sums: dict[int, Array] = {}
    products = np.zeros(())
    for block, kinds in blocks:
        features = block.astype(np.float64)
        products = products + features.T @ features
        for kind in np.unique(kinds).tolist():
            chosen = features[kinds == kind]
            counts[kind] += len(chosen)
            sums[kind] = sums.get(kind, 0) + chosen.sum(axis=0)
    if dimension >= len(sums):
        raise ValueError(f"{len(sums)} kinds have fewer than {dimension} directions between them")
    sizes, means = np.array([counts[kind] for kind in sums]), np.stack([sums[kind] / counts[kind] for kind in sums])
    scale = _spread(products, sizes @ means, sizes.sum())
    within = products - (means.T * sizes) @ means
    within /= (sizes.sum() - len(sizes)) * np.outer(scale, scale)
    within += SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    directions = _directions(np.cov((means / scale).T), within, dimension)
    kernel = directions / scale[:, None] / LENGTH
    return Discriminant(kernel, -sums[NOISE_KIND] / counts[NOISE_KIND] @ kernel)


def _spread(products: Array, total: Array, count: int) -> Array:
    """Return the standard deviation (f,) of each feature, raised so that one that hardly varies stays small.

    Parameters
    ----------
    products : (f, f)
        Sums of the products of two features.
    total : (f,)
        Sum of each feature.
    count : int
        Number of windows.
    """
    mean, squares = total / count, np.diag(products) / count
    spread: Array = np.sqrt(np.maximum(squares - mean**2, 0)) + 0.05 * np.sqrt(squares.mean() - mean.mean() ** 2)
    return spread


def _directions(between: Array, within: Array, dimension: int) -> Array:
    """Return the directions (f, dimension) of most variance between kinds, each of variance 1 within kinds."""
    from scipy.linalg import eigh

    size = len(within)
    found: Array = eigh(between, within, subset_by_index=[size - dimension, size - 1])[1][:, ::-1]
    found *= np.sign(found[np.abs(found).argmax(axis=0), np.arange(dimension)])
    return found
