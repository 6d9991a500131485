"""The overview of a scan: maximum and mean of its noise-normalised power in ever larger cells, for pictures of it."""

from pipeline.overview.cells import Cells, cells_of_channels
from pipeline.overview.codes import DROPPED_BITS, MASKED, code_table, decode, encode
from pipeline.overview.layout import (
    CELL_CHANNELS,
    FACTOR,
    MAX_ROWS,
    SUFFIX,
    OverviewLayout,
    overview_name,
    scan_of_overview,
)
from pipeline.overview.pyramid import MAXIMUM, MEAN, Pyramid

__all__ = [
    "CELL_CHANNELS",
    "DROPPED_BITS",
    "FACTOR",
    "MASKED",
    "MAXIMUM",
    "MAX_ROWS",
    "MEAN",
    "SUFFIX",
    "Cells",
    "OverviewLayout",
    "Pyramid",
    "cells_of_channels",
    "code_table",
    "decode",
    "encode",
    "overview_name",
    "scan_of_overview",
]
