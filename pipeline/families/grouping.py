"""Groups vectors that look alike: mutual neighbours whose smoothed vectors agree. Uses no files.

Two windows are *mutual neighbours* if each is among the nearest ones of the other. Each vector is replaced by a mean of
itself and its mutual neighbours, twice. Noise averages out in this mean, while vectors of different emitters stay
apart. Mutual neighbours whose means nearly coincide belong to one group, and so do their neighbours. Then groups that
only a few mutual neighbours hold together are divided.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.families.dividing import divided
from pipeline.index import neighbours_within

NEIGHBOURS = 30
"""Number of nearest vectors of each vector that may be its mutual neighbours."""
STEPS = 2
"""How many times vectors are smoothed."""
POWER = 4
"""A neighbour's weight in the mean is its cosine to this power."""
MIN_COSINE = 0.985
"""Smallest cosine of two smoothed vectors of one group."""
MIN_MEMBERS = 3
"""Smallest number of windows of a family. Two windows that look alike may do so by chance."""
NONE = 0
"""Number of the group of a window that is in none."""
_PAIRS_AT_ONCE = 1 << 17


def group(vectors: NDArray[np.float32]) -> NDArray[np.int32]:
    """Divide vectors into groups.

    Parameters
    ----------
    vectors : (n, d) float32
        Vectors of length 1. Equal ones are in one group.

    Returns
    -------
    (n,) int32
        Group of each vector, 1 to the number of groups, the largest group first; :data:`NONE` for a vector in no group
        of at least :data:`MIN_MEMBERS`.
    """
    if not len(vectors):
        return np.zeros(0, np.int32)
    distinct, inverse = _distinct(vectors)
    if len(distinct) == 1:
        return _largest_first(inverse)
    near = _mutual(*neighbours_within(distinct, min(NEIGHBOURS, len(distinct) - 1)))
    return _largest_first(divided(near, _components(near, smoothed(distinct, near)))[inverse])


def _distinct(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the distinct vectors, and for each row its place among them.

    Copies would fill each other's lists of neighbours.
    """
    half = np.ascontiguousarray(vectors.astype(np.float16)) + np.float16(0)
    rows = half.view(np.dtype((np.void, half.shape[1] * half.dtype.itemsize))).reshape(-1)
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return vectors[first[order]], place[inverse.reshape(-1)]


def _mutual(rows: NDArray[np.int32], cosines: NDArray[np.float32]) -> Any:
    """Return the weights of mutual neighbours as a sparse symmetric matrix (n, n)."""
    from scipy.sparse import csr_matrix

    count = len(rows)
    is_near = (rows >= 0) & (cosines > 0)
    ends = np.concatenate([[0], np.cumsum(is_near.sum(axis=1))])
    near = csr_matrix((cosines[is_near] ** POWER, rows[is_near], ends), shape=(count, count))
    near.sort_indices()
    both = near.minimum(near.T.tocsr())  # 0 where only one is a neighbour of the other
    both.eliminate_zeros()
    return both


def smoothed(vectors: NDArray[np.float32], near: Any) -> NDArray[np.float32]:
    """Return the vectors (n, d) after :data:`STEPS` steps of smoothing over the sparse weights ``near``."""
    mean = vectors
    for _ in range(STEPS):
        mean = near @ mean + mean
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    return mean


def _components(near: Any, means: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the connected component of each vector, along neighbours whose means nearly coincide."""
    from scipy.sparse import csr_matrix, triu
    from scipy.sparse.csgraph import connected_components

    pairs = triu(near, 1).tocoo()
    agree = np.empty(len(pairs.row), np.bool_)
    for first in range(0, len(agree), _PAIRS_AT_ONCE):
        here = slice(first, first + _PAIRS_AT_ONCE)
        agree[here] = np.einsum("ij,ij->i", means[pairs.row[here]], means[pairs.col[here]]) >= MIN_COSINE
    links = csr_matrix((np.ones(int(agree.sum()), np.bool_), (pairs.row[agree], pairs.col[agree])), shape=near.shape)
    labels: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return labels


def _largest_first(labels: NDArray[np.int64]) -> NDArray[np.int32]:
    """Number the groups that have enough members from 1 on, the largest first; of equal sizes, the earliest first."""
    counts = np.bincount(labels)
    first = np.full(len(counts), len(labels))
    np.minimum.at(first, labels, np.arange(len(labels)))
    kept = np.flatnonzero(counts >= MIN_MEMBERS)
    kept = kept[np.lexsort((first[kept], -counts[kept]))]
    number = np.full(len(counts), NONE, np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    return number[labels]
