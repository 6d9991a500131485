"""How many digits the places of windows need, so that windows of a product can be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pipeline.model.values import SECONDS_PER_DAY, Window

_MAX_DIGITS = 11
"""Of a date: float64 resolves 10⁻¹¹ days."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Digits after the point of frequencies, times and dates: enough to tell one channel and one spectrum apart."""

    mhz: int = 6
    seconds: int = 0
    mjd: int = 5

    @classmethod
    def of(cls, windows: Iterable[Window]) -> Self:
        """Return the digits for some windows, which may be of several products. Without any, those of the fine one."""
        every = list(windows)
        if not every:
            return cls()
        channel_mhz = min((one.f_stop_mhz - one.f_start_mhz) / (one.channel_stop - one.channel_start) for one in every)
        spectrum_s = min((one.t_stop_s - one.t_start_s) / (one.spectrum_stop - one.spectrum_start) for one in every)
        return cls(_digits(channel_mhz, 6), _digits(spectrum_s, 0), _digits(spectrum_s / SECONDS_PER_DAY, 5))

    def frequencies(self, window: Window) -> str:
        """Return the ends of a window in MHz."""
        return f"{window.f_start_mhz:.{self.mhz}f}–{window.f_stop_mhz:.{self.mhz}f}"

    def times(self, window: Window) -> str:
        """Return begin and end of a window, in seconds from the begin of the file."""
        return f"{window.t_start_s:.{self.seconds}f}–{window.t_stop_s:.{self.seconds}f}"

    def date(self, window: Window) -> str:
        """Return the MJD of the begin of a window."""
        return f"{window.mjd:.{self.mjd}f}"


def _digits(step: float, least: int) -> int:
    """Return the digits after the point that tell apart numbers which differ by ``step``."""
    if not 0 < step < math.inf:
        return least
    return min(max(least, math.ceil(-math.log10(step) - 1e-6)), _MAX_DIGITS)
