"""Cells: k-means divides vectors among centroids, so that a search reads only the cells near its query. No disk here.

A vector belongs to the cell whose centroid has the largest product with it. This must not depend on the machine or on
the other vectors, because a single cell can be rebuilt. So centroids are rounded to multiples of 2⁻¹², and vectors are
float16. Products are then multiples of 2⁻³⁶, and their sums in float64 are exact in any order.

Which cells to read: let a vector v lie within r of a query q. Let a be the centroid nearest to q, and b the centroid of
v's cell. Then d(q, b) ≤ r + d(v, b) ≤ r + d(v, a) ≤ 2r + d(q, a). So the cells within a *margin* of 2r of the nearest
centroid hold every vector within r. They also hold most vectors that are slightly farther away. The margin that is
needed depends on the encoder and on the observations, so it is measured (:func:`margins_of`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.index.exact import cosine

SAMPLE_PER_CELL = 256
"""Number of vectors per cell in the sample for k-means."""
ROUNDS = 12
"""Rounds of k-means. Further rounds change little."""
MAX_CELL_RATIO = 2.0
"""A cell is split if it is larger than this multiple of the mean."""
NEIGHBOURS = 10
"""Number of neighbours per query that margins are measured with."""
SHARES = (0.98, 0.995)
"""Share of these neighbours that must lie in the cells that are read, for a normal and for a careful search."""
_GRID = 2.0**12
_MAX_SPLITS = 8  # rounds in which large cells are split
_BLOCK_NUMBERS = 1 << 22  # products in memory at once


def train_cells(sample: NDArray[np.floating], count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return centroids (m, d) that divide a sample (n, d) of unit vectors. Their length is 1 up to rounding.

    There are about ``count`` centroids: more if large cells were split, fewer if the sample has fewer vectors.
    """
    rng = np.random.default_rng(seed)
    sample = sample.astype(np.float32)
    centroids = _k_means(sample, min(count, len(sample)), rng)
    most = max(MAX_CELL_RATIO * len(sample) / count, 1)
    for _ in range(_MAX_SPLITS):
        cells = _nearest(sample, centroids)
        large = np.flatnonzero(np.bincount(cells, minlength=len(centroids)) > most)
        if not len(large):
            break
        halves = [_k_means(sample[cells == cell], 2, rng) for cell in large]
        centroids = np.concatenate([np.delete(centroids, large, axis=0), *halves])
    rounded: NDArray[np.float32] = (np.round(centroids * _GRID) / _GRID).astype(np.float32)
    return np.unique(rounded, axis=0)  # equal vectors cannot be split


def cells_of(vectors: NDArray[np.float16], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the cell (n,) of each vector (n, d). The result is exact; among equal products, the first cell wins."""
    wide = centroids.T.astype(np.float64)
    cells = np.empty(len(vectors), np.int64)
    step = max(1, _BLOCK_NUMBERS // (wide.shape[0] + wide.shape[1]))
    for start in range(0, len(vectors), step):
        cells[start : start + step] = (vectors[start : start + step].astype(np.float64) @ wide).argmax(axis=1)
    return cells


def distances(queries: NDArray[np.floating], centroids: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the Euclidean distances (q, m) between unit queries (q, d) and centroids, whose length is taken as 1."""
    cosines = np.stack([cosine(centroids, query) for query in queries]).astype(np.float64)
    return np.sqrt(np.maximum(2 - 2 * cosines, 0))


def margins_of(
    centroids: NDArray[np.float32], queries: NDArray[np.float32], scores: Sequence[NDArray[np.float32]],
    cells: Sequence[int]
) -> tuple[float, ...]:
    """Measure how much farther than the nearest cell the neighbours' cells are, for each of :data:`SHARES`.

    Parameters
    ----------
    centroids : (m, d)
    queries : (q, d)
        Vectors that are in the cells.
    scores : sequence of (q, NEIGHBOURS + 1)
        For each searched cell, the best scores of each query in it. A query also finds itself. Missing scores are −inf.
    cells : sequence of int
        Number of each searched cell.

    Returns
    -------
    tuple of float
        A margin of distance for each of :data:`SHARES`.
    """
    width = NEIGHBOURS + 1
    together = np.concatenate(scores, axis=1)
    best = np.argsort(-together, axis=1, kind="stable")[:, 1:width]  # the first is the query itself
    far = distances(queries, centroids)
    beyond = np.take_along_axis(far, np.asarray(cells)[best // width], axis=1) - far.min(axis=1, keepdims=True)
    beyond = beyond[np.isfinite(np.take_along_axis(together, best, axis=1))]
    return tuple(float(np.quantile(beyond, share, method="higher")) if len(beyond) else 0.0 for share in SHARES)


def _k_means(vectors: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Run Lloyd's algorithm on the sphere, from vectors drawn at random. An empty cell gets a random vector."""
    centroids = vectors[rng.choice(len(vectors), count, replace=False)]
    for _ in range(ROUNDS):
        cells = _nearest(vectors, centroids)
        order = np.argsort(cells, kind="stable")
        filled, starts = np.unique(cells[order], return_index=True)
        centroids = vectors[rng.choice(len(vectors), count)]
        centroids[filled] = np.add.reduceat(vectors[order], starts, axis=0)
        centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), np.float32(1e-12))
    return centroids


def _nearest(vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    step = max(1, _BLOCK_NUMBERS // len(centroids))
    return np.concatenate([(vectors[start : start + step] @ centroids.T).argmax(axis=1)
                           for start in range(0, len(vectors), step)])
