"""Cells of an overview: sums, maxima and counts of their pixels, before they become codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.overview.layout import CELL_CHANNELS, FACTOR, OverviewLayout

LOWEST = np.float32(-np.inf)
"""Maximum of no pixels."""


@dataclass(frozen=True, slots=True)
class Cells:
    """What is known about neighbouring cells of one level. Cells without pixels have a count of 0."""

    first: int
    """Column of the first cell."""
    total: NDArray[np.float32]
    """(cells, rows): sum of (power / baseline − 1) over the valid pixels, in standard deviations of the noise."""
    largest: NDArray[np.float32]
    """(cells, rows): maximum over the same pixels; −inf without pixels."""
    count: NDArray[np.uint32]
    """(cells, rows): number of these pixels."""

    @classmethod
    def empty(cls, first: int, cells: int, rows: int) -> Self:
        """Return cells that have no pixels yet."""
        shape = (cells, rows)
        return cls(first, np.zeros(shape, np.float32), np.full(shape, LOWEST), np.zeros(shape, np.uint32))

    def merge(self, other: Cells) -> None:
        """Add the pixels of other cells to these cells, which must include all of the others."""
        into = slice(other.first - self.first, other.first - self.first + len(other.total))
        self.total[into] += other.total
        np.maximum(self.largest[into], other.largest, out=self.largest[into])
        self.count[into] += other.count

    def coarser(self) -> Cells:
        """Return the cells of the next level that these cells are in. Outer ones may be incomplete."""
        first, stop = self.first // FACTOR, -(-(self.first + len(self.total)) // FACTOR)
        whole = self
        if (first * FACTOR, (stop - first) * FACTOR) != (self.first, len(self.total)):
            whole = Cells.empty(first * FACTOR, (stop - first) * FACTOR, self.total.shape[1])
            whole.merge(self)
        parts = [slice(k, None, FACTOR) for k in range(FACTOR)]  # part k holds every fourth cell, from cell k on
        return Cells(first, reduce(np.add, [whole.total[part] for part in parts]),
                     reduce(np.maximum, [whole.largest[part] for part in parts]),
                     reduce(np.add, [whole.count[part] for part in parts]))


def cells_of_channels(layout: OverviewLayout, start: int, stop: int) -> Cells:
    """Return cells without pixels for the ascending channels [start, stop) of a scan."""
    first = start // CELL_CHANNELS
    return Cells.empty(first, -(-stop // CELL_CHANNELS) - first, layout.rows)
