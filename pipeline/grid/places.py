"""Where many windows of one source are: :meth:`Tiling.locate` and :meth:`Tiling.window` for whole arrays of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.tiling import Tiling


@dataclass(frozen=True, slots=True)
class Places:
    """Positions of windows of one source, one entry for each window."""

    block: NDArray[np.int64]
    """(n,) time block."""
    spectrum: NDArray[np.int64]
    """(n,) first spectrum."""
    coarse: NDArray[np.int64]
    """(n,) coarse channel."""
    channel: NDArray[np.int64]
    """(n,) first channel. Channel 0 of the source has the lowest frequency."""

    @classmethod
    def of(cls, tiling: Tiling, numbers: NDArray[np.int64]) -> Places:
        """Find the positions of window numbers (n,), which must be those of windows of the source."""
        first_positions, starts, stops = _pieces(tiling)
        block, place = np.divmod(numbers, tiling.windows_per_block)
        # pieces without windows share their first position with the next one: "right" takes the last of them
        coarse = np.searchsorted(first_positions, place, side="right") - 1
        regular = starts[coarse] + (place - first_positions[coarse]) * tiling.grid.step
        return cls(block, first_spectra(tiling, numbers), coarse,
                   np.minimum(regular, stops[coarse] - tiling.grid.channels))


@lru_cache(maxsize=1024)
def _pieces(tiling: Tiling) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the first position, first channel and end of each coarse channel. A search asks for them often."""
    pieces = range(tiling.n_coarse)
    starts, stops = np.array([tiling.coarse_span(i) for i in pieces]).T
    return np.array([tiling.first_position(i) for i in pieces]), starts, stops


def first_spectra(tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first spectrum of each window (n,)."""
    spectra: NDArray[np.int64] = np.minimum(numbers // tiling.windows_per_block * tiling.grid.integrations,
                                            tiling.header.nsamples - tiling.grid.integrations)
    return spectra


def first_channels(tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first channel of each window (n,). Channel 0 of the source has the lowest frequency."""
    return Places.of(tiling, numbers).channel


def offsets_in(tiling: Tiling, i: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first channel, counted in coarse channel ``i``, of each window at the positions (n,) in it."""
    start, stop = tiling.coarse_span(i)
    offsets: NDArray[np.int64] = np.minimum(positions * tiling.grid.step, stop - start - tiling.grid.channels)
    return offsets
