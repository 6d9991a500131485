"""Resolution classes: sources whose windows can be compared, because their pixels have about the same size."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np

from pipeline.model import Header

CLASS_TOLERANCE = 0.01
"""Largest relative difference in channel width and sampling time within one resolution class."""
_MAX_SHOWN = 100


def class_of(header: Header, classes: Collection[str]) -> str:
    """Return the nearest of ``classes``, else a new one (:meth:`pipeline.catalogue.Manifest.resolution_of`)."""
    width_hz, tsamp_s = header.channel_width_mhz * 1e6, header.tsamp_s

    def difference(known: str) -> float:
        known_hz, known_s = class_numbers(known)
        return max(abs(width_hz / known_hz - 1), abs(tsamp_s / known_s - 1))

    nearest = min(sorted(classes), key=difference, default=None)
    if nearest is not None and difference(nearest) < CLASS_TOLERANCE:
        return nearest
    return f"{_four_digits(width_hz)}Hz-{_four_digits(tsamp_s)}s"


def _four_digits(value: float) -> str:
    return np.format_float_positional(value, precision=4, unique=False, fractional=False, trim="-")


def class_numbers(resolution: str) -> tuple[float, float]:
    """Return channel width in Hz and sampling time in seconds of a resolution class; ``ValueError`` if it is none."""
    match = re.fullmatch(r"([0-9]{1,40}(?:\.[0-9]{1,40})?)Hz-([0-9]{1,40}(?:\.[0-9]{1,40})?)s", resolution)
    if match is None or not (float(match[1]) and float(match[2])):
        raise ValueError(f"{resolution[:_MAX_SHOWN]!r} is no resolution class")
    return float(match[1]), float(match[2])
