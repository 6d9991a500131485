"""The nearest neighbours of every vector of a set within the set."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from pipeline.index.exact import exact_neighbors
from pipeline.index.graph import METRIC, building, load_pynndescent

MAX_COMPARED_VECTORS = 20_000
"""Largest number of vectors that are all compared with each other, which takes seconds. More need compiled code."""
_QUERIES_AT_ONCE = 1024


def neighbours_within(
    vectors: NDArray[np.float32], k: int, *, seed: int = 0
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the ``k`` vectors nearest to each of some distinct unit vectors (n, d), itself left out.

    Up to :data:`MAX_COMPARED_VECTORS` vectors are compared with each other. More are searched by descent, which misses
    a few neighbours, and compiles for a minute when a machine does it first.

    Returns
    -------
    rows, cosines : (n, k) int32 and float32
        Best first. If there are fewer than ``k`` others, or if fewer were found, the last entries are −1 and −inf.

    Raises
    ------
    ConfigError
        The installed version of pynndescent is not the supported one.
    """
    if len(vectors) <= max(MAX_COMPARED_VECTORS, k + 1):
        return _compared(vectors, k)
    neighbour_graph = load_pynndescent()
    with building(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Failed to correctly find n_neighbors", UserWarning)
        graph = neighbour_graph(np.ascontiguousarray(vectors, np.float32), metric=METRIC, n_neighbors=k,
                                random_state=seed)
    rows, squares = graph._neighbor_graph  # the squared distances to the neighbours, without the vector itself
    cosines = np.where(rows < 0, -np.inf, 1 - squares / 2).astype(np.float32)
    return rows.astype(np.int32), cosines


def _compared(vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    rows = np.full((len(vectors), k), -1, np.int32)
    cosines = np.full((len(vectors), k), -np.inf, np.float32)
    for first in range(0, len(vectors), _QUERIES_AT_ONCE):
        found, scores = exact_neighbors(vectors, vectors[first : first + _QUERIES_AT_ONCE], k + 1, unit_length=True)
        here = slice(first, first + len(found))
        is_other = found != np.arange(first, first + len(found))[:, None]
        is_other[is_other.all(axis=1), -1] = False  # the vector itself is not among them: a copy came first
        rows[here], cosines[here] = found[is_other].reshape(-1, k), scores[is_other].reshape(-1, k)
    return rows, cosines
