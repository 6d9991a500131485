"""How occurrences are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import ParameterError, parameter
from pipeline.occurrence import AXES, AxisName


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceSettings:
    """How occurrences are counted.

    Raises
    ------
    ParameterError
        A value cannot be used.
    """

    by: Sequence[AxisName] = ("frequency", "date", "hour", "target")
    """Axes: ``frequency``, ``date``, ``hour`` (UTC), ``local hour`` (local mean solar time) and ``target``."""
    bin_mhz: float | None = None
    """Width of the bins of frequency, in MHz. Default: a round number that gives at most 24 bins."""
    bin_days: int | None = None
    """Width of the bins of date, in days. Default: as for ``bin_mhz``."""
    emitter_khz: float = 10.0
    """Windows of a scan with gaps of at most this, in kHz, or of the width of a window, are one emitter."""
    with_query: bool = False
    """Also count the query itself, and the scan that it is from. By default, neither counts: the query was chosen
    because it is there, so it says nothing about how often it is there."""

    def __post_init__(self) -> None:
        for axis in self.by:
            if axis not in AXES:
                raise ParameterError(f"{parameter('by')} takes {', '.join(AXES)}; got {axis!r}")
        for name in ("bin_mhz", "bin_days"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ParameterError(f"{parameter(name)} must be above 0, got {value}")
        if not 0 <= self.emitter_khz < math.inf:
            raise ParameterError(f"{parameter('emitter_khz')} must be 0 or more, got {self.emitter_khz}")
