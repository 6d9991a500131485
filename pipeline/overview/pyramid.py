"""Builds the levels of an overview from the cells of level 0, which come in pieces from low frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.overview.cells import Cells
from pipeline.overview.codes import MASKED, encode
from pipeline.overview.layout import OverviewLayout

MAXIMUM, MEAN = 0, 1
"""Place of the maximum and the mean of a cell in the codes."""


class Pyramid:
    """All levels of one overview.

    Only the last cell of each level is kept as sums: the next piece may add pixels to it. So an overview of any size
    is built in the memory of its codes.

    Parameters
    ----------
    layout : OverviewLayout
    """

    def __init__(self, layout: OverviewLayout) -> None:
        self._layout = layout
        self._codes = np.zeros(layout.shape, np.uint8)
        self._last: list[Cells | None] = [None] * layout.levels

    def add(self, cells: Cells) -> None:
        """Add cells of level 0. The first of them may be the last one of the piece before, with further pixels.

        Raises
        ------
        ValueError
            The cells are not behind those of earlier pieces, or not in the scan.
        """
        if cells.total.shape[1] != self._layout.rows or not len(cells.total):
            raise ValueError(f"cells of shape {cells.total.shape}, but the overview has {self._layout.rows} rows")
        last = self._last[0]
        if (last is not None and cells.first < last.first) or (
                not 0 <= cells.first <= self._layout.columns(0) - len(cells.total)):
            raise ValueError(f"cells {cells.first} to {cells.first + len(cells.total) - 1} are not behind the others, "
                             "or not in the scan")
        for level in range(self._layout.levels):
            self._add(level, cells)
            cells = cells.coarser()

    def _add(self, level: int, cells: Cells) -> None:
        last = self._last[level]
        if last is not None and last.first == cells.first:
            first = Cells.empty(cells.first, len(cells.total), self._layout.rows)
            first.merge(cells)
            first.merge(last)
            cells = first
        self._last[level] = Cells(cells.first + len(cells.total) - 1, cells.total[-1:], cells.largest[-1:],
                                  cells.count[-1:])
        at = self._layout.first(level) + cells.first
        _write_codes(cells, self._codes[at : at + len(cells.total)])

    def codes(self) -> NDArray[np.uint8]:
        """Return the codes of all levels, of :attr:`OverviewLayout.shape`. Cells that no piece had are masked."""
        return self._codes


def _write_codes(cells: Cells, into: NDArray[np.uint8]) -> None:
    """Write the codes of maximum and mean into an array (cells, 2, rows)."""
    with np.errstate(all="ignore"):  # 0 / 0 is NaN, which is masked
        into[:, MEAN] = encode(np.divide(cells.total, cells.count, dtype=np.float32))
    into[:, MAXIMUM] = encode(cells.largest)
    into[:, MAXIMUM][cells.count == 0] = MASKED
