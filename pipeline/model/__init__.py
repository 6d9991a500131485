"""The values that all packages share: headers, sources, windows, reports and hits."""

from pipeline.model.digits import Digits
from pipeline.model.hit import Hit, Match, OffPower, OnOff
from pipeline.model.result import CutOut, Described, Result
from pipeline.model.values import (
    MAX_DIMENSION,
    MJD_EPOCH,
    SECONDS_PER_DAY,
    TELESCOPES,
    CoarseLayout,
    CoarseOrigin,
    EncoderSpec,
    Header,
    Precision,
    Source,
    SourceReport,
    Status,
    Timing,
    ViewCounts,
    Window,
    WindowGrid,
)

__all__ = [
    "MAX_DIMENSION",
    "MJD_EPOCH",
    "SECONDS_PER_DAY",
    "TELESCOPES",
    "CoarseLayout",
    "CoarseOrigin",
    "CutOut",
    "Described",
    "Digits",
    "EncoderSpec",
    "Header",
    "Hit",
    "Match",
    "OffPower",
    "OnOff",
    "Precision",
    "Result",
    "Source",
    "SourceReport",
    "Status",
    "Timing",
    "ViewCounts",
    "Window",
    "WindowGrid",
]
