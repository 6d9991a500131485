"""From filterbank data to kept windows: where reader, grid, flattening, gate and cutouts meet."""

from pipeline.scan.coarse_channels import cut_windows, scan, scan_channel
from pipeline.scan.columns import COLUMNS, EXPOSURE_TYPES, WINDOW_TYPES, Columns, Scanned, nothing
from pipeline.scan.layout import tiling_of
from pipeline.scan.reading import read_groups

__all__ = [
    "COLUMNS",
    "EXPOSURE_TYPES",
    "WINDOW_TYPES",
    "Columns",
    "Scanned",
    "cut_windows",
    "nothing",
    "read_groups",
    "scan",
    "scan_channel",
    "tiling_of",
]
