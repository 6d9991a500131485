"""Columns of a source group: what scanning writes, one row a kept window or one row a piece of searched band."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Timing, WindowGrid

Columns = Mapping[str, NDArray[np.generic]]

COLUMNS = {
    "number": "window number",
    "cutout": "uint8 codes of asinh log power, see pipeline.grid.cutouts",
    "snr": "largest box sum, in standard deviations of that box's noise",
    "best_width": "channels of that box",
    "best_duration": "spectra of that box",
    "excess": "sum of -ln(p) over improbable pixels",
    "masked": "masked pixels",
    "level": "power at the baseline, in the file's unit",
    "spread": "relative standard deviation of one pixel of noise",
    "coarse_channel": "coarse channel, from low frequency",
    "time_block": "block of spectra",
    "f_start_mhz": "lower edge of the lowest window searched",
    "f_stop_mhz": "upper edge of the highest window searched",
    "windows_searched": "windows searched, kept or not",
    "windows_kept": "windows kept",
    "windows_masked": "windows left out because most of their pixels are dead",
    "noise_spectra": "N: exponentials averaged in one pixel of noise",
    "noise_is_measured": "true where the data contradicted the header's N",
    "row_gain": "gain of each spectrum relative to the median one; 0 for a dead one",
}
"""What the columns of a source group hold, in words."""

WINDOW_TYPES: Mapping[str, type[np.generic]] = {
    "number": np.int64, "cutout": np.uint8, "snr": np.float32, "best_width": np.uint16, "best_duration": np.uint16,
    "excess": np.float32, "masked": np.uint32, "level": np.float32, "spread": np.float32,
}
EXPOSURE_TYPES: Mapping[str, type[np.generic]] = {
    "coarse_channel": np.int32, "time_block": np.int32, "f_start_mhz": np.float64, "f_stop_mhz": np.float64,
    "windows_searched": np.int32, "windows_kept": np.int32, "windows_masked": np.int32, "noise_spectra": np.float32,
    "noise_is_measured": np.bool_, "row_gain": np.float32,
}


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one read of a source gave."""

    windows: Columns
    """One row a kept window: number, cutout, snr, best_width, best_duration, excess, masked, level, spread."""
    exposure: Columns
    """One row a coarse channel and time block: what was searched there, and how noisy it was."""
    timing: Timing
    bytes_decoded: int


def nothing(grid: WindowGrid) -> Scanned:
    """Return what a band gives in which no window is to be searched: columns without rows."""
    shapes = {"cutout": (grid.integrations, grid.channels), "row_gain": (grid.integrations,)}

    def empty(types: Mapping[str, type[np.generic]]) -> Columns:
        return {name: np.zeros((0, *shapes.get(name, ())), dtype) for name, dtype in types.items()}

    return Scanned(empty(WINDOW_TYPES), empty(EXPOSURE_TYPES), Timing(), 0)
