"""The columns of a source group: one row for each kept window, and one row for each piece of band that was searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Timing, WindowGrid

Columns = Mapping[str, NDArray[np.generic]]
"""Arrays of equal length, by column name."""

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
"""Description of each column, which is stored with the source group."""

WINDOW_TYPES: Mapping[str, type[np.generic]] = {
    "number": np.int64, "cutout": np.uint8, "snr": np.float32, "best_width": np.uint16, "best_duration": np.uint16,
    "excess": np.float32, "masked": np.uint32, "level": np.float32, "spread": np.float32,
}
"""Type of each column that has one row per kept window."""
EXPOSURE_TYPES: Mapping[str, type[np.generic]] = {
    "coarse_channel": np.int32, "time_block": np.int32, "f_start_mhz": np.float64, "f_stop_mhz": np.float64,
    "windows_searched": np.int32, "windows_kept": np.int32, "windows_masked": np.int32, "noise_spectra": np.float32,
    "noise_is_measured": np.bool_, "row_gain": np.float32,
}
"""Type of each column that has one row per coarse channel and time block."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of scanning one coarse channel in one time block."""

    windows: Columns
    """Columns with one row per kept window (:data:`WINDOW_TYPES`)."""
    exposure: Columns
    """Columns with one row: what was searched, and how noisy it was (:data:`EXPOSURE_TYPES`)."""
    timing: Timing
    """Seconds spent on reading and scanning."""
    bytes_decoded: int
    """Bytes of float32 power that were decoded."""
    view: str = ""
    """Name of the averaged view (:mod:`pipeline.views`); empty for the plain view."""


def join_sides(above: ScanResult, below: ScanResult) -> ScanResult:
    """Join two scans of the same coarse channel and time block, for signals above and below the noise.

    Of a window that both scans kept, the one with the larger SNR is taken. A window counts as searched if either scan
    searched it.
    """
    both = {name: np.concatenate([above.windows[name], below.windows[name]]) for name in WINDOW_TYPES}
    order = np.lexsort((-np.asarray(both["snr"], np.float32), both["number"]))
    numbers = both["number"][order]
    first = order[np.concatenate([np.ones(min(1, len(order)), np.bool_), numbers[1:] != numbers[:-1]])]
    exposure = dict(above.exposure)
    exposure["windows_searched"] = np.maximum(above.exposure["windows_searched"], below.exposure["windows_searched"])
    exposure["windows_masked"] = np.minimum(above.exposure["windows_masked"], below.exposure["windows_masked"])
    exposure["windows_kept"] = np.array([len(first)], EXPOSURE_TYPES["windows_kept"])
    return ScanResult({name: column[first] for name, column in both.items()}, exposure, above.timing + below.timing,
                      above.bytes_decoded + below.bytes_decoded)


def empty_result(grid: WindowGrid) -> ScanResult:
    """Return the result for a band without windows to search: columns without rows."""
    shapes = {"cutout": (grid.integrations, grid.channels), "row_gain": (grid.integrations,)}

    def empty(types: Mapping[str, type[np.generic]]) -> Columns:
        return {name: np.zeros((0, *shapes.get(name, ())), dtype) for name, dtype in types.items()}

    return ScanResult(empty(WINDOW_TYPES), empty(EXPOSURE_TYPES), Timing(), 0)
