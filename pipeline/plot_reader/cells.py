"""Channels and spectra of a waterfall, found in its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIMITS = (0.5, 0.4, 0.35, 0.3, 0.2, 0.1)
"""Shares of the largest change from which on a change is an edge, where no lines are exactly alike."""
NEAR, ENDS = 3, 8
"""Lines around an edge in which a blurred picture has no other one; and lines at both ends that a frame may blur, as in
the blocks of a JPEG."""
MIN_MET = 0.7
"""Share of the expected edges that must be seen."""
MIN_SIZE = 1.2
"""Minimum size in pixels of cells that are counted. The ends of the axes are not known well enough for smaller ones."""
MAX_OFF, MAX_OFF_SHARE = 1.0, 0.05
"""Maximum distance between an edge and where it is expected, in pixels and as a share of a cell."""
MIN_EDGES = 3
MAX_CUT = 0.4
"""Share of a cell up to which what is left at an end is no cell of its own: where a frame is, is known to half a pixel.
"""


@dataclass(frozen=True, slots=True)
class Cells:
    """Even cells along an axis of a picture."""

    count: int
    size: float
    """Lines of pixels in a cell."""
    begin: float
    """Line at which the first cell begins. It is negative if that is hidden."""

    def means(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of the inner lines of each cell along the first axis, without masked pixels.

        Parameters
        ----------
        values : (lines, across) float32
            NaN where pixels are masked.

        Returns
        -------
        (count, across) float32
            NaN where all pixels are masked, and where the middle of a cell is hidden.
        """
        begins = self.begin + np.arange(self.count) * self.size
        first = np.clip(np.floor(begins + self.size / 4 + 0.5), 0, len(values) - 1).astype(np.int64)
        stop = np.clip(np.floor(begins + 3 * self.size / 4 + 0.5), first + 1, len(values)).astype(np.int64)
        known = np.isfinite(values)
        zero = np.zeros((1, values.shape[1]))
        sums = np.concatenate([zero, np.cumsum(np.where(known, values, 0), axis=0, dtype=np.float64)])
        counts = np.concatenate([zero, np.cumsum(known, axis=0)])
        with np.errstate(invalid="ignore"):
            means = ((sums[stop] - sums[first]) / (counts[stop] - counts[first])).astype(np.float32)
        middles = begins + self.size / 2
        means[(middles < 0) | (middles > len(values))] = np.nan
        return np.asarray(means, np.float32)


def find_cells(pixels: NDArray[np.uint8], hidden: tuple[float, float]) -> Cells | None:
    """Find the cells along the first axis of a picture whose cells have sharp edges.

    Parameters
    ----------
    pixels : (lines, across, 3) uint8
    hidden : (float, float)
        Pixels that are covered before the first line and behind the last one.

    Returns
    -------
    Cells or None
        None if cells have no edges: they are as small as pixels, or blurred.
    """
    change = np.abs(np.diff(pixels.astype(np.int16), axis=0)).mean(axis=(1, 2))
    if len(change) <= 2 * ENDS or change.max() == 0:
        return None
    inner = change.copy()
    inner[:ENDS] = inner[-ENDS:] = 0
    highest = np.max([np.roll(inner, shift) for shift in range(-NEAR, NEAR + 1)], axis=0)
    is_peak, most = (inner == highest) & (inner > 0), inner.max()
    for edges in (change > 0, inner > 0, *(is_peak & (inner > limit * most) for limit in LIMITS)):
        found = _even_cells((np.flatnonzero(edges) + 1).astype(np.float64), len(pixels), hidden)
        if found is not None:
            return found
    return None


def _even_cells(edges: NDArray[np.float64], length: int, hidden: tuple[float, float]) -> Cells | None:
    """Return the cells between edges, if they are even and larger than a pixel."""
    if not MIN_EDGES <= len(edges) <= length / MIN_SIZE:
        return None
    steps = np.diff(edges)
    size = float(steps.mean() if np.median(steps) < 3 else np.median(steps))
    for _ in range(3):  # neighbours that look alike have no edge between them: such steps are of several cells
        of_step = np.where(steps <= math.ceil(size), 1.0, np.maximum(np.rint(steps / size), 1))
        numbers = np.concatenate([[0.0], np.cumsum(of_step)])
        size, first = np.polyfit(numbers, edges, 1).tolist()
    off = np.abs(numbers * size + first - edges).max()
    if off > max(MAX_OFF, MAX_OFF_SHARE * size) or len(edges) < MIN_MET * (numbers[-1] + 1):
        return None
    last = numbers[-1] * size + first
    before, behind = (math.ceil(rest / size - MAX_CUT) for rest in (first + hidden[0], length - last + hidden[1]))
    return Cells(before + round(numbers[-1]) + behind, size, first - before * size)


def resampled(values: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Average or repeat the cells of an array so that it has another shape. The whole array is covered.

    Parameters
    ----------
    values : (T, F) array
        NaN where cells are masked.
    shape : (int, int)
        Wanted numbers of rows and columns.
    """
    for axis, count in enumerate(shape):
        values = np.moveaxis(_resampled(np.moveaxis(values, axis, 0), count), 0, axis)
    return values


def _resampled(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    if count == len(values):
        return values
    known = np.isfinite(values)
    edges = np.linspace(0, len(values), count + 1)
    whole = np.minimum(edges.astype(np.int64), len(values) - 1)
    part = (edges - whole)[:, None]

    def between(cells: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.concatenate([np.zeros((1, cells.shape[1])), np.cumsum(cells, axis=0)])
        return np.diff(sums[whole] + part * cells[whole], axis=0)

    with np.errstate(invalid="ignore", divide="ignore"):
        weight = between(known.astype(np.float64))
        return np.where(weight > 1e-9, between(np.where(known, values, 0.0)) / weight, np.nan)
