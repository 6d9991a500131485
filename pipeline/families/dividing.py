"""Divides groups that a few links hold together. Uses no files.

A few windows between two emitters are enough to join them. So the windows of a group are put in the order of the second
eigenvector of their graph, which brings windows with many links between them near each other. The *cut weight* at a
place of this order is the weight of all links that lead across it. In a group of one emitter it rises to one peak and
falls again. Where it falls to a small share of the peaks on both sides, the group is divided.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_VALLEY = 0.35
"""Largest cut weight at which a group is divided, as a share of the lower one of the peaks on both sides."""
MIN_PART = 5
"""Smallest number of windows of a part. Between fewer, the cut weight depends on single links."""
_MAX_ROUNDS, _MAX_DENSE, _MAX_ITERATIONS = 20, 200, 300


def divided(weights: Any, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide groups where they hang together by few links, and the parts again, until none can be divided.

    Parameters
    ----------
    weights : (n, n) sparse symmetric matrix
        Weights of the links.
    groups : (n,) int64
        Group of each vector, from 0.

    Returns
    -------
    (n,) int64
        Group of each vector, from 0. Each is connected.
    """
    from scipy.sparse.csgraph import connected_components

    is_open = np.ones(len(groups), np.bool_)
    weights = _within(weights, groups)
    for _ in range(_MAX_ROUNDS):
        inside, order, starts = _side_by_side(weights, groups)
        parts, changed = _parts(inside, starts, is_open[order])
        if not changed.any():
            break
        groups, is_open = np.empty_like(parts), np.empty_like(changed)
        groups[order], is_open[order] = parts, changed
        weights = _within(weights, groups)
        groups = connected_components(weights, directed=False)[1].astype(np.int64)
    return groups


def _within(weights: Any, groups: NDArray[np.int64]) -> Any:
    """Return the weights of links inside groups."""
    from scipy.sparse import csr_matrix

    links = weights.tocoo()
    is_inside = groups[links.row] == groups[links.col]
    return csr_matrix((links.data[is_inside], (links.row[is_inside], links.col[is_inside])), shape=weights.shape)


def _side_by_side(
    weights: Any, groups: NDArray[np.int64]
) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
    """Return the weights with the groups one after the other, their order, and where each starts."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1, append=groups.max() + 1))
    return weights[order][:, order].tocsr(), order, starts


def _parts(
    inside: Any, starts: NDArray[np.int64], is_open: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the part of each vector, and whether its group was divided. Groups that are not open stay as they are."""
    parts, changed = np.empty(len(is_open), np.int64), np.zeros(len(is_open), np.bool_)
    count = 0
    for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        parts[first:last] = count
        count += 1
        if last - first < 2 * MIN_PART or not is_open[first]:
            continue
        one = inside[first:last, first:last]
        order = np.argsort(_second_eigenvector(one), kind="stable")
        for place in _valleys(_cut_weights(one, order)):
            parts[first + order[place:]] = count
            count += 1
            changed[first:last] = True
    return parts, changed


def _second_eigenvector(weights: Any) -> NDArray[np.float64]:
    """Return the second eigenvector (n,) of the random walk along the links of a connected graph."""
    from scipy.linalg import eigh
    from scipy.sparse import diags
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    scale = 1 / np.sqrt(np.maximum(np.asarray(weights.sum(axis=1)).ravel(), 1e-9))
    walk, count = diags(scale) @ weights.astype(np.float64) @ diags(scale), len(scale)
    if count <= _MAX_DENSE:
        vector = eigh(walk.toarray(), subset_by_index=[count - 2, count - 2])[1][:, 0]
    else:
        try:
            values, vectors = eigsh(walk, 2, which="LA", tol=1e-3, v0=np.cos(np.arange(count)), maxiter=_MAX_ITERATIONS)
        except ArpackNoConvergence:  # links so even that no place stands out
            return np.zeros(count)
        vector = vectors[:, np.argmin(values)]
    return np.asarray(vector * scale, np.float64)


def _cut_weights(weights: Any, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weight (n − 1,) of the links that lead across each place between two neighbours of an order (n,)."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    links = weights.tocoo()
    low, high = np.minimum(place[links.row], place[links.col]), np.maximum(place[links.row], place[links.col])
    opened, closed = (np.bincount(ends, links.data, len(order)) for ends in (low, high))
    return np.asarray(np.cumsum(opened - closed)[:-1], np.float64)


def _valleys(cut: NDArray[np.float64]) -> list[int]:
    """Return the places at which an order is divided, ascending: a part begins at each."""
    found, todo = [], [(0, len(cut) + 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2 * MIN_PART:
            continue
        here = cut[first : last - 1]
        peak = np.minimum(np.maximum.accumulate(here), np.maximum.accumulate(here[::-1])[::-1])
        share = (here / np.maximum(peak, 1e-12))[MIN_PART - 1 : len(here) - MIN_PART + 1]
        at = int(np.argmin(share))
        if share[at] <= MAX_VALLEY:
            place = first + MIN_PART + at
            found.append(place)
            todo += [(first, place), (place, last)]
    return sorted(found)
