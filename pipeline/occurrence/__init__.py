"""How often, when and where something was seen, divided by what was searched. Opens no corpus and no file."""

from pipeline.occurrence.axes import AXES, Axis, AxisName, Bin, axis_of, has_local_time
from pipeline.occurrence.intervals import rate_interval, share_interval
from pipeline.occurrence.result import AXIS_COLUMNS, Occurrence, bands_of
from pipeline.occurrence.searched import SearchedScan, allowed_ranges
from pipeline.occurrence.sensitivity import Sensitivity, sensitivity_of
from pipeline.occurrence.tally import Occurrences, Row, tally_along, total

__all__ = [
    "AXES",
    "AXIS_COLUMNS",
    "Axis",
    "AxisName",
    "Bin",
    "Occurrence",
    "Occurrences",
    "Row",
    "SearchedScan",
    "Sensitivity",
    "allowed_ranges",
    "axis_of",
    "bands_of",
    "has_local_time",
    "rate_interval",
    "sensitivity_of",
    "share_interval",
    "tally_along",
    "total",
]
