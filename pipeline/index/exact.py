"""Exact nearest neighbours by cosine, with numpy only. Vectors are processed in blocks, which do not change the result.

The float32 matrix product only proposes candidates, because its last bits depend on the shape of a block. The scores
that decide, and that are returned, come from :func:`cosine`, which looks at one vector and one query at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import CorpusDamaged, QueryError

BLOCK_NUMBERS = 1 << 22
"""Maximum number of float32 values in a block and its scores together: 16 MB."""

FEW_QUERIES = 4
"""Largest number of queries whose products are computed one after the other, by products that use one core.

BLAS uses all cores for a large product, and its threads wait for one another in loops. For one query and 16,000
vectors, that takes 0.2 ms on an idle machine and 20 ms on a busy one. In parts, it takes 0.4 ms on one core, always."""
ONE_CORE_NUMBERS = 9000
"""Numbers of a matrix whose product with a vector BLAS computes on one core: OpenBLAS shares out 9,216 and more."""
_PRODUCTS = threading.Lock()
"""Lock for products by BLAS. Threads that start some at the same time block one another, and take ten times as long."""

Vectors = NDArray[np.floating] | Iterable[NDArray[np.floating]]


def exact_neighbors(
    vectors: Vectors, queries: ArrayLike, k: int, *, unit_length: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the ``k`` nearest vectors of each query by cosine. The result is exact.

    Parameters
    ----------
    vectors
        (n, d) array of any float type, memory-mapped or not; or an iterable of such blocks, in order.
    queries
        (q, d) of any length except zero.
    k
        Number of neighbours per query.
    unit_length
        True if all vectors have length 1, which saves a pass over them.

    Returns
    -------
    rows, scores
        (q, k) int64 and float32, best first; equal scores are in ascending order of rows. If there are fewer than ``k``
        vectors, the last entries are −1 and −inf.

    Raises
    ------
    QueryError
        A query is zero, not finite or of another dimension, or ``k`` is below 1.
    CorpusDamaged
        A vector is zero or not finite. This is not checked if ``unit_length``.
    """
    if isinstance(vectors, np.ndarray):
        checked = checked_queries(queries, k, vectors.shape[1])
        blocks = _cut(vectors, max(1024, BLOCK_NUMBERS // (vectors.shape[1] + len(checked))))
    else:
        checked = checked_queries(queries, k)
        blocks = iter(vectors)
    rows = np.full((len(checked), k), -1, dtype=np.int64)
    scores = np.full((len(checked), k), -np.inf, dtype=np.float32)
    start = 0
    for block in blocks:
        _merge_block(np.asarray(block, dtype=np.float32), start, checked, rows, scores, unit_length)
        start += len(block)
    return rows, scores


def cosine(vectors: NDArray[np.floating], query: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the cosine of each row of ``vectors`` (n, d) with ``query`` (d,): (n,) float32.

    The sums run in float64 from the first number to the last. Products of float32 are exact in float64. So a pair has
    the same score in any batch and in any program.
    """
    wide, direction = vectors.astype(np.float64), query.astype(np.float64)
    lengths = np.sqrt(_sums(wide * wide) * _sums((direction * direction)[None]))
    scores: NDArray[np.float32] = (_sums(wide * direction) / lengths).astype(np.float32)
    return scores


def products(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the product (q, n) of some queries (q, d) with each of some vectors (n, d).

    Unlike :func:`cosine`, its last bits may differ from one processor to another.
    """
    out = np.empty((len(queries), len(vectors)), np.float32)
    if len(queries) <= FEW_QUERIES:
        some = max(1, ONE_CORE_NUMBERS // max(1, vectors.shape[1]))
        whole = len(vectors) // some * some
        parts = vectors[:whole].reshape(-1, some, vectors.shape[1])
        for query, row in zip(queries, out, strict=True):
            np.matmul(parts, query, out=row[:whole].reshape(-1, some))
            np.matmul(vectors[whole:], query, out=row[whole:])
    else:
        with _PRODUCTS:
            np.matmul(queries, vectors.T, out=out)
    return out


def _sums(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum each row (n, d) from left to right. ``numpy.sum`` would use another order."""
    sums: NDArray[np.float64] = np.cumsum(rows, axis=1)[:, -1]
    return sums


def checked_queries(queries: ArrayLike, k: int, dimension: int | None = None) -> NDArray[np.float32]:
    """Return ``queries`` as (q, d) float32 of length 1, or raise :class:`QueryError`."""
    if k < 1:
        raise QueryError(f"k must be at least 1, got {k}")
    wide = np.asarray(queries, dtype=np.float64)
    if wide.ndim != 2:
        raise QueryError(f"queries must be an array of shape (queries, numbers), got {wide.shape}")
    if dimension is not None:
        _check_dimension(wide.shape[1], dimension)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    if not ((lengths > 0) & (lengths < np.inf)).all():
        if (bad := np.flatnonzero(~np.isfinite(wide).all(axis=1))).size:
            raise QueryError(f"query {bad[0]} holds NaN or infinity")
        bad = np.flatnonzero(~((lengths > 0) & (lengths < np.inf)))
        raise QueryError(f"query {bad[0]} has length {lengths[bad[0]]}: it has no direction to compare")
    unit: NDArray[np.float32] = (wide / lengths[:, None]).astype(np.float32)
    return unit


def _check_dimension(query: int, vectors: int) -> None:
    if query != vectors:
        raise QueryError(f"a query has {query} numbers, the vectors to search have {vectors}: "
                         "they come from different encoders")


def _cut(vectors: NDArray[np.floating], size: int) -> Iterator[NDArray[np.floating]]:
    return (vectors[start:start + size] for start in range(0, len(vectors), size))


def _merge_block(
    block: NDArray[np.float32],
    start: int,
    queries: NDArray[np.float32],
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    unit_length: bool,
) -> None:
    """Merge the vectors of ``block``, which begins at row ``start``, into the best (q, k) so far, in place."""
    _check_dimension(queries.shape[1], block.shape[1])
    k = rows.shape[1]
    with np.errstate(invalid="ignore"):  # vectors that are not finite are reported below
        rough = products(block, queries)
    if not unit_length:
        lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
        if (bad := np.flatnonzero(~((lengths > 0) & np.isfinite(lengths)))).size:
            raise CorpusDamaged(f"vector {start + bad[0]} is zero or not finite")
        rough /= lengths
    # Rounding error of two compared cosines, with u = 2⁻²⁴: each has d·u for the product and d·u/2 for the length.
    slack = np.float32(3 * (block.shape[1] + 8) * 2.0**-24)
    floors = scores[:, -1] - slack
    for i in np.flatnonzero(rough.max(axis=1, initial=-np.inf) >= floors):
        candidates = np.flatnonzero(rough[i] >= floors[i])
        if candidates.size > k:
            near = rough[i, candidates]
            candidates = candidates[near >= np.partition(near, -k)[-k] - slack]
        both_rows = np.concatenate([rows[i], candidates + start])
        both_scores = np.concatenate([scores[i], cosine(block[candidates], queries[i])])
        # a stable sort keeps earlier rows first among equal scores
        best = np.argsort(-both_scores, kind="stable")[:k]
        rows[i], scores[i] = both_rows[best], both_scores[best]
