"""The gate: decides which windows hold a signal, at one false-alarm rate."""

from pipeline.gate.gate import (
    BOX_WIDTHS,
    MAX_EXCESS_PROBABILITY,
    MAX_MASKED_SHARE,
    Statistics,
    flat_windows_pass,
    images_pass,
    is_compiled,
    may_pass,
    measure,
    thresholds,
)

__all__ = [
    "BOX_WIDTHS",
    "MAX_EXCESS_PROBABILITY",
    "MAX_MASKED_SHARE",
    "Statistics",
    "flat_windows_pass",
    "images_pass",
    "is_compiled",
    "may_pass",
    "measure",
    "thresholds",
]
