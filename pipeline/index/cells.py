"""Cells: vectors are divided among centroids by k-means, so that a search need look only near its query. Pure.

A vector is in the cell whose centroid it has the largest product with. That must come out the same on every machine and
in any company, for one cell can be built anew without the others: centroids are rounded to multiples of 2⁻¹², vectors
are of float16, so products are multiples of 2⁻³⁶ and their sums exact in float64, in whatever order they are added.

Which cells to ask: of a query q and a vector v within r of it, let a be the centroid nearest to q and b that of v's
cell. Then d(q, b) ≤ r + d(v, b) ≤ r + d(v, a) ≤ 2r + d(q, a). So all cells within a *margin* of 2r of the nearest hold
everything within r; most of what is a little farther is in them, too. What margin is needed depends on the encoder and
on what was observed: it is measured (:func:`margins_of`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.index.exact import cosine

SAMPLE = 256
"""Vectors a cell that k-means looks at."""
ROUNDS = 12
"""Of k-means: later ones move little."""
MOST = 2.0
"""A cell of so many times the mean is split."""
NEAREST = 10
"""Neighbours of a query that margins are measured by."""
SHARES = (0.98, 0.995)
"""Of these neighbours, how many are in the cells asked by default, and by a careful search."""
_GRID = 2.0**12
_SPLITS = 8  # halvings of one cell
_BLOCK_NUMBERS = 1 << 22  # products held at once


def train_cells(sample: NDArray[np.floating], count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return centroids (m, d), of length 1 but for rounding, that divide a sample (n, d) of unit vectors.

    There are about ``count``, more where large cells were split, fewer than that only of fewer vectors.
    """
    rng = np.random.default_rng(seed)
    sample = sample.astype(np.float32)
    centroids = _k_means(sample, min(count, len(sample)), rng)
    most = max(MOST * len(sample) / count, 1)
    for _ in range(_SPLITS):
        cells = _nearest(sample, centroids)
        large = np.flatnonzero(np.bincount(cells, minlength=len(centroids)) > most)
        if not len(large):
            break
        halves = [_k_means(sample[cells == cell], 2, rng) for cell in large]
        centroids = np.concatenate([np.delete(centroids, large, axis=0), *halves])
    rounded: NDArray[np.float32] = (np.round(centroids * _GRID) / _GRID).astype(np.float32)
    return np.unique(rounded, axis=0)  # equal vectors cannot be split


def cells_of(vectors: NDArray[np.float16], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the cell of each vector (n, d): exact, equal products going to the first."""
    wide = centroids.T.astype(np.float64)
    cells = np.empty(len(vectors), np.int64)
    step = max(1, _BLOCK_NUMBERS // (wide.shape[0] + wide.shape[1]))
    for start in range(0, len(vectors), step):
        cells[start : start + step] = (vectors[start : start + step].astype(np.float64) @ wide).argmax(axis=1)
    return cells


def distances(queries: NDArray[np.floating], centroids: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far each unit query (q, d) is from each centroid, along the chord: (q, m), as of equal lengths."""
    cosines = np.stack([cosine(centroids, query) for query in queries]).astype(np.float64)
    return np.sqrt(np.maximum(2 - 2 * cosines, 0))


def margins_of(
    centroids: NDArray[np.float32], queries: NDArray[np.float32], scores: Sequence[NDArray[np.float32]],
    cells: Sequence[int]
) -> tuple[float, ...]:
    """Measure how far beyond the nearest cell the neighbours of some vectors lie, for each of :data:`SHARES`.

    Parameters
    ----------
    queries : (q, d)
        Vectors that are in the cells.
    scores : one (q, NEAREST + 1) a cell
        The best that each of the queries finds in it, itself among them; −inf where there are fewer.
    cells : sequence of int
        Which cell each is of.
    """
    width = NEAREST + 1
    together = np.concatenate(scores, axis=1)
    best = np.argsort(-together, axis=1, kind="stable")[:, 1:width]  # the first is the query itself
    far = distances(queries, centroids)
    beyond = np.take_along_axis(far, np.asarray(cells)[best // width], axis=1) - far.min(axis=1, keepdims=True)
    beyond = beyond[np.isfinite(np.take_along_axis(together, best, axis=1))]
    return tuple(float(np.quantile(beyond, share, method="higher")) if len(beyond) else 0.0 for share in SHARES)


def _k_means(vectors: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Lloyd's algorithm on the sphere, from vectors drawn at random; an empty cell is given another one."""
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
