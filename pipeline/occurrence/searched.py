"""What was searched for signals: rectangles of frequency and time in each scan, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.tiling import Tiling
from pipeline.model import SECONDS_PER_DAY, Header

Array = NDArray[np.float64]
MhzRanges = Sequence[tuple[float, float]]
HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class SearchedScan:
    """The part of a scan that was searched: rectangles of frequency and time that do not overlap."""

    scan_id: str
    header: Header
    f_start_mhz: Array
    """(m,) lower edge of each rectangle."""
    f_stop_mhz: Array
    """(m,)"""
    begin_mjd: Array
    """(m,) begin of each rectangle, UTC."""
    end_mjd: Array
    """(m,)"""
    share: Array
    """(m,) share of the rectangle that was searched. The rest is masked, or between windows."""
    windows: Array
    """(m,) number of windows searched. It is no whole number where a part of a rectangle was cut off."""
    noise_spectra: Array
    """(m,) N: one pixel of noise is the mean of N exponentially distributed values."""

    @classmethod
    def of(cls, scan_id: str, tiling: Tiling, column: Callable[[str], NDArray[Any]]) -> Self:
        """Make it of the exposure of a source.

        Parameters
        ----------
        scan_id : str
        tiling : Tiling
        column : callable
            Returns a column of the exposure by its name: (m,) one value for each coarse channel and time block.
        """
        header, grid = tiling.header, tiling.grid
        block = column("time_block").astype(np.int64)
        first = np.array([tiling.spectrum_of(int(one)) + tiling.shared_spectra(int(one)) for one in block])
        stop = np.array([tiling.spectrum_of(int(one)) + grid.integrations for one in block])
        begin, end = (header.tstart_mjd + spectra.astype(np.float64) * header.tsamp_s / SECONDS_PER_DAY
                      for spectra in (first, stop))
        searched = column("windows_searched").astype(np.float64)
        share = searched / np.maximum(searched + column("windows_masked"), 1) * min(1.0, grid.channels / grid.step)
        made = cls(scan_id, header, column("f_start_mhz").astype(np.float64), column("f_stop_mhz").astype(np.float64),
                   begin, end, share, searched, column("noise_spectra").astype(np.float64))
        return made._rows(searched > 0)

    def _rows(self, chosen: NDArray[np.bool_]) -> Self:
        return replace(self, f_start_mhz=self.f_start_mhz[chosen], f_stop_mhz=self.f_stop_mhz[chosen],
                       begin_mjd=self.begin_mjd[chosen], end_mjd=self.end_mjd[chosen], share=self.share[chosen],
                       windows=self.windows[chosen], noise_spectra=self.noise_spectra[chosen])

    def within(self, ranges_mhz: MhzRanges, after_mjd: float | None, before_mjd: float | None) -> Self:
        """Return the part in some ranges of frequency that do not overlap, and in blocks that begin in a time."""
        begins = self.begin_mjd
        after = -np.inf if after_mjd is None else after_mjd
        before = np.inf if before_mjd is None else before_mjd
        kept = self._rows((begins >= after) & (begins < before))
        pieces = [kept._clipped(low, high) for low, high in ranges_mhz]

        def joined(name: str) -> Array:
            return np.concatenate([np.empty(0), *(getattr(piece, name) for piece in pieces)])

        return replace(kept, f_start_mhz=joined("f_start_mhz"), f_stop_mhz=joined("f_stop_mhz"),
                       begin_mjd=joined("begin_mjd"), end_mjd=joined("end_mjd"), share=joined("share"),
                       windows=joined("windows"), noise_spectra=joined("noise_spectra"))

    def _clipped(self, low: float, high: float) -> Self:
        start, stop = np.maximum(self.f_start_mhz, low), np.minimum(self.f_stop_mhz, high)
        part = np.maximum(stop - start, 0) / (self.f_stop_mhz - self.f_start_mhz)
        return replace(self, f_start_mhz=start, f_stop_mhz=stop, windows=self.windows * part)._rows(part > 0)

    @property
    def middle_mjd(self) -> Array:
        """(m,) middle of each rectangle in time, UTC."""
        return (self.begin_mjd + self.end_mjd) / 2

    @property
    def exposure_mhz_h(self) -> Array:
        """(m,) bandwidth × time of each rectangle that was searched, in MHz h."""
        hours = (self.end_mjd - self.begin_mjd) * HOURS_PER_DAY
        return (self.f_stop_mhz - self.f_start_mhz) * hours * self.share

    def holds(self, f_mhz: Array, mjd: Array) -> NDArray[np.bool_]:
        """Tell which points (n,) of frequency and time lie in a rectangle."""
        held = np.zeros(len(f_mhz), np.bool_)
        for i in range(len(self.share)):
            held |= ((f_mhz >= self.f_start_mhz[i]) & (f_mhz < self.f_stop_mhz[i])
                     & (mjd >= self.begin_mjd[i]) & (mjd < self.end_mjd[i]))
        return held


def allowed_ranges(only_mhz: MhzRanges, not_mhz: MhzRanges) -> list[tuple[float, float]]:
    """Return the ranges of frequency that conditions leave, in order and without overlap.

    Parameters
    ----------
    only_mhz : sequence of (low, high)
        Ranges that are allowed; none for all frequencies.
    not_mhz : sequence of (low, high)
        Ranges that are left out.
    """
    ends = sorted({-np.inf, np.inf, *(end for one in (*only_mhz, *not_mhz) for end in one)})
    allowed = only_mhz or [(-np.inf, np.inf)]
    out: list[tuple[float, float]] = []
    for low, high in pairwise(ends):
        is_allowed = any(a <= low and high <= b for a, b in allowed)
        if is_allowed and not any(a <= low and high <= b for a, b in not_mhz):
            if out and out[-1][1] == low:
                low = out.pop()[0]
            out.append((float(low), float(high)))
    return out
