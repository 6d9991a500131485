"""How well windows of a place are arranged as those of a pattern that is larger than a window. Uses no files.

A pattern is *matched* at a shift: each of its windows is looked for where the shift puts it, within half a window. A
grid of windows side by side needs that much. All windows share one shift in time and in frequency. Windows are compared
by their pixels, so positions and shifts count spectra and channels, whatever the width of a channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
"""(n, 2) first spectrum and first channel of each window."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A pattern matched at one shift."""

    score: float
    """Mean over the windows of the pattern of the best similarity there; 0 for a window that matches nothing."""
    matches: NDArray[np.int64]
    """(q,) index of the window that matches each window of the pattern; −1 for none."""


def arrangement_at(
    shift: Positions, pattern: Positions, found: Positions, similarity: NDArray[np.floating], shape: tuple[int, int]
) -> Arrangement:
    """Match a pattern with windows at one shift.

    Parameters
    ----------
    shift : (2,) int64
        Spectra and channels by which the pattern is moved.
    pattern : (q, 2) int64
        Windows of the pattern.
    found : (n, 2) int64
        Windows to match them with.
    similarity : (q, n) float
        Cosine of each pair; those below 0 count as 0.
    shape : (int, int)
        Spectra and channels of a window.
    """
    if not len(found):
        return Arrangement(0.0, np.full(len(pattern), -1))
    off = 2 * (found[None] - (pattern + shift)[:, None])
    is_there = ((-np.array(shape) <= off) & (off < shape)).all(axis=2)
    there = np.where(is_there, np.maximum(similarity, 0), 0)
    best = there.argmax(axis=1)
    scores = there[np.arange(len(pattern)), best]
    return Arrangement(float(scores.mean(dtype=np.float64)), np.where(scores > 0, best, -1))


@dataclass(frozen=True, slots=True)
class Votes:
    """Windows that resemble a window of a pattern. Each votes for a shift in its source."""

    source: NDArray[np.int64]
    """(v,) index of the source."""
    shift: Positions
    """(v, 2) position of the window, less that of the pattern's window."""
    query: NDArray[np.int64]
    """(v,) index of the pattern's window."""
    similarity: NDArray[np.floating]
    """(v,)"""


def ranked_shifts(votes: Votes, shape: tuple[int, int]) -> tuple[NDArray[np.int64], Positions]:
    """Order the shifts for which there is a vote by the similarity of all votes for them.

    Of the votes for one window of the pattern, the best counts. Votes are collected in cells of half a window, and a
    shift gets those of its own cell and of the cells around it, so none within half a window is missed.

    Parameters
    ----------
    votes : Votes
    shape : (int, int)
        Spectra and channels of a window.

    Returns
    -------
    source : (m,) int64
    shift : (m, 2) int64
        Each pair once, the one with most similarity first.
    """
    if not len(votes.source):
        return votes.source, votes.shift
    sources, source = np.unique(votes.source, return_inverse=True)
    half = np.maximum(np.array(shape) // 2, 1)
    cell = votes.shift // half
    cell -= cell.min(axis=0) - 1
    rows, columns = (cell.max(axis=0) + 2).tolist()
    key = (source * rows + cell[:, 0]) * columns + cell[:, 1]
    around = np.array([row * columns + column for row in (-1, 0, 1) for column in (-1, 0, 1)])
    keys, query = (key[None] + around[:, None]).ravel(), np.tile(votes.query, len(around))
    similarity = np.tile(np.maximum(votes.similarity, 0), len(around))
    order = np.lexsort((-similarity, query, keys))
    keys, query, similarity = keys[order], query[order], similarity[order]
    is_best = np.ones(len(keys), np.bool_)
    is_best[1:] = (keys[1:] != keys[:-1]) | (query[1:] != query[:-1])
    cells, starts = np.unique(keys[is_best], return_index=True)
    sums = np.add.reduceat(similarity[is_best].astype(np.float64), starts)
    shifts, first = np.unique(np.column_stack([source, votes.shift]), axis=0, return_index=True)
    best_first = np.argsort(-sums[np.searchsorted(cells, key[first])], kind="stable")
    return sources[shifts[best_first, 0]], shifts[best_first, 1:]
