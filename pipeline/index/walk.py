"""The compiled walk along a segment's graph. A search needs numba for this module alone.

The walk starts with the vertices of one leaf of the tree. It keeps the ``beam`` nearest vertices that it has seen. In
each step it visits the neighbours of the nearest kept vertex that it has not expanded yet, until all kept vertices are
expanded. Several threads may walk at the same time, each with its own marks. Neither a lock nor Python's GIL is held.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.support.compiled import njit
from pipeline.support.simd import prefetch

CLOSENESS = 1e-6
"""Squared distances in float32 that differ by less than this, plus a ten-thousandth, may be in the wrong order."""

_fast = njit(cache=True, nogil=True, fastmath=True)


@njit(inline="always")  # type: ignore[untyped-decorator]
def _row(numbers: NDArray[np.float32], row: int, dimension: int) -> NDArray[np.float32]:
    """Return a row of a flat matrix. Loops over such a slice are vectorised; loops over computed indices are not."""
    first = int(row) * dimension
    return numbers[first : first + dimension]


@njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]
def _leaf(
    query: NDArray[np.float32], planes: NDArray[np.float32], offsets: NDArray[np.float32],
    children: NDArray[np.int32], plane_of: NDArray[np.int32],
) -> int:
    """Return the leaf of the tree in which a query lies."""
    dimension = query.shape[0]
    node = 0
    while children[node, 0] > 0:
        plane = _row(planes, plane_of[node], dimension)
        margin = offsets[node]
        for t in range(dimension):
            margin += query[t] * plane[t]
        node = children[node, 0] if margin > 0 else children[node, 1]
    return node


@_fast  # type: ignore[untyped-decorator]
def walk(
    queries: NDArray[np.float32], beam: int, numbers: NDArray[np.float32], graph_indptr: NDArray[np.int32],
    graph_indices: NDArray[np.int32], planes: NDArray[np.float32], offsets: NDArray[np.float32],
    children: NDArray[np.int32], plane_of: NDArray[np.int32], most_at_once: int, marks: NDArray[np.uint8],
    vertices: NDArray[np.int32], scores: NDArray[np.float32],
) -> int:
    """Fill ``vertices`` and ``scores`` (q, k), best first; equal scores are in the order of vertices.

    If a query finds fewer vertices, its last entries are −1 and −inf. Returns the number of such queries.

    Parameters
    ----------
    queries
        (q, d) of length 1.
    beam
        Number of vertices kept, at least k.
    numbers
        (n·d,) the vectors of length 1, one after another.
    graph_indptr, graph_indices
        Neighbours of each vertex, in compressed rows.
    planes, offsets, children, plane_of
        The tree, see :data:`pipeline.index.folder.GRAPH_ARRAY_TYPES`, and the index of each node's plane.
    most_at_once
        Larger of two numbers: the most neighbours of any vertex, and the most vertices of any leaf.
    marks
        (n + 1,) for this thread only. The last entry grows with each query. A vertex is marked if its entry equals the
        last entry.
    """
    dimension = queries.shape[1]
    pool = np.empty(beam, np.uint64)
    pending = np.empty(most_at_once + 3, np.int64)
    distances = np.empty(4, np.float32)
    short = 0
    for q in range(len(queries)):
        query = queries[q]
        if marks[-1] == 255:
            marks[:] = 0
        marks[-1] += 1
        mark = marks[-1]
        node = _leaf(query, planes, offsets, children, plane_of)
        count = 0
        for vertex in range(-children[node, 0], -children[node, 1]):
            marks[vertex] = mark
            pending[count] = vertex
            count += 1
        size, _ = _admit(query, numbers, pending, count, distances, pool, 0)
        at = 0
        while at < size:
            if pool[at] & np.uint64(1):  # expanded already
                at += 1
                continue
            vertex = int((pool[at] & np.uint64(0xFFFFFFFF)) >> np.uint64(1))
            pool[at] |= np.uint64(1)
            count = 0
            for edge in range(graph_indptr[vertex], graph_indptr[vertex + 1]):
                neighbour = graph_indices[edge]
                if marks[neighbour] != mark:
                    marks[neighbour] = mark
                    first = int(neighbour) * dimension
                    for line in range(first, first + dimension, 16):
                        prefetch(numbers, line)
                    pending[count] = neighbour
                    count += 1
            size, changed = _admit(query, numbers, pending, count, distances, pool, size)
            at = min(at, changed)
        _score(query, numbers, pool, size, distances, vertices[q], scores[q])
        short += size < vertices.shape[1]
    return short


@njit(fastmath=True, inline="always")  # type: ignore[untyped-decorator]  # called, a tenth slower
def _admit(
    query: NDArray[np.float32], numbers: NDArray[np.float32], pending: NDArray[np.int64], count: int,
    distances: NDArray[np.float32], pool: NDArray[np.uint64], size: int,
) -> tuple[int, int]:
    """Add vertices to the sorted pool. Return its new size and the first position that changed.

    An entry holds, from the highest bit: the squared distance as float32, whose bits sort like the number; the vertex;
    and one bit that is set once the walk has expanded the vertex.
    """
    dimension = query.shape[0]
    bits = distances.view(np.uint32)
    changed = len(pool)
    pending[count : count + 3] = pending[max(0, count - 1)]  # padding, as four are processed at a time
    for start in range(0, count, 4):
        a, b = _row(numbers, pending[start], dimension), _row(numbers, pending[start + 1], dimension)
        c, d = _row(numbers, pending[start + 2], dimension), _row(numbers, pending[start + 3], dimension)
        to_a = to_b = to_c = to_d = np.float32(0)
        for t in range(dimension):
            value = query[t]
            apart = value - a[t]
            to_a += apart * apart
            apart = value - b[t]
            to_b += apart * apart
            apart = value - c[t]
            to_c += apart * apart
            apart = value - d[t]
            to_d += apart * apart
        distances[0], distances[1], distances[2], distances[3] = to_a, to_b, to_c, to_d
        for i in range(min(4, count - start)):
            entry = np.uint64(bits[i]) << np.uint64(32) | np.uint64(pending[start + i]) << np.uint64(1)
            if size == len(pool):
                if entry >= pool[size - 1]:
                    continue
                place = size - 1
            else:
                place = size
                size += 1
            while place and pool[place - 1] > entry:
                pool[place] = pool[place - 1]
                place -= 1
            pool[place] = entry
            changed = min(changed, place)
    return size, changed


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _score(
    query: NDArray[np.float32], numbers: NDArray[np.float32], pool: NDArray[np.uint64], size: int,
    distances: NDArray[np.float32], vertices: NDArray[np.int32], scores: NDArray[np.float32],
) -> None:
    """Fill in the best vertices of the pool by :func:`pipeline.index.exact.cosine`: the same sums in the same order."""
    vertices[:] = -1
    scores[:] = -np.inf
    wanted = min(len(vertices), size)
    if not wanted:
        return
    dimension = query.shape[0]
    own = 0.0
    for t in range(dimension):
        own += np.float64(query[t]) * np.float64(query[t])
    bits = distances.view(np.uint32)
    bits[0] = pool[wanted - 1] >> np.uint64(32)
    distances[0] = distances[0] * np.float32(1.0001) + np.float32(CLOSENESS)
    limit = np.uint64(bits[0])
    for i in range(size):
        if pool[i] >> np.uint64(32) > limit:
            break
        vertex = int((pool[i] & np.uint64(0xFFFFFFFF)) >> np.uint64(1))
        product = length = 0.0
        row = _row(numbers, vertex, dimension)
        for t in range(dimension):
            number = np.float64(row[t])
            product += number * np.float64(query[t])
            length += number * number
        score = np.float32(product / np.sqrt(length * own))
        place = min(i, wanted)
        while place and (scores[place - 1] < score or (scores[place - 1] == score and vertices[place - 1] > vertex)):
            place -= 1
        for j in range(wanted - 1, place, -1):
            scores[j], vertices[j] = scores[j - 1], vertices[j - 1]
        if place < wanted:
            scores[place], vertices[place] = score, vertex
