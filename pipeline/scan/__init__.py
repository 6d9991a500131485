"""From filterbank data to kept windows: brings together reader, window grid, flattening, gate and cutouts."""

from pipeline.scan.averaged_views import VIEW_FALSE_ALARM
from pipeline.scan.averaging import AveragedFile
from pipeline.scan.coarse_channels import scan, scan_channel
from pipeline.scan.codes import coarse_channel_codes
from pipeline.scan.columns import COLUMNS, EXPOSURE_TYPES, WINDOW_TYPES, Columns, ScanResult, empty_result
from pipeline.scan.cutting import cut_windows
from pipeline.scan.layout import tiling_of
from pipeline.scan.levels import levels_of_channels
from pipeline.scan.reading import read_groups
from pipeline.scan.unsearchable import why_unsearchable

__all__ = [
    "COLUMNS",
    "EXPOSURE_TYPES",
    "VIEW_FALSE_ALARM",
    "WINDOW_TYPES",
    "AveragedFile",
    "Columns",
    "ScanResult",
    "coarse_channel_codes",
    "cut_windows",
    "empty_result",
    "levels_of_channels",
    "read_groups",
    "scan",
    "scan_channel",
    "tiling_of",
    "why_unsearchable",
]
