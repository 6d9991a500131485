"""Counts of occurrences along an axis, divided by what was searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.occurrence.axes import Axis, Bin
from pipeline.occurrence.intervals import rate_interval, share_interval
from pipeline.occurrence.searched import SearchedScan

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Windows of one scan that show what is counted, by frequency."""

    f_start_mhz: Floats
    """(n,) lower edge of each window."""
    f_stop_mhz: Floats
    """(n,)"""
    mjd: Floats
    """(n,) middle of each window in time, UTC."""

    @property
    def middle_mhz(self) -> Floats:
        """(n,) middle of each window in frequency."""
        return (self.f_start_mhz + self.f_stop_mhz) / 2

    def rows(self, chosen: NDArray[Any]) -> Occurrences:
        """Return some of the windows, chosen by their indices or by a mask."""
        return Occurrences(self.f_start_mhz[chosen], self.f_stop_mhz[chosen], self.mjd[chosen])

    def first_of_emitters(self, gap_mhz: float) -> NDArray[np.bool_]:
        """Tell which windows (n,), by frequency, begin an emitter.

        Windows belong to one emitter if no gap between them, in frequency, is wider than ``gap_mhz``. Time does not
        matter: an emitter counts once in a scan.
        """
        if not len(self.mjd):
            return np.zeros(0, np.bool_)
        reached = np.maximum.accumulate(self.f_stop_mhz)[:-1]
        return np.concatenate([[True], self.f_start_mhz[1:] - reached > gap_mhz])


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen, and what was searched, in one bin."""

    bin: Bin
    scans: int
    """Number of scans of which a part was searched here."""
    scans_with: int
    """Number of these in which it was seen here."""
    emitters: int
    """Number of emitters; an emitter counts once in each scan."""
    exposure_mhz_h: float
    """Bandwidth × time that was searched, in MHz h. 0: not observed."""

    @property
    def is_observed(self) -> bool:
        """True if anything was searched."""
        return self.exposure_mhz_h > 0

    @property
    def share(self) -> tuple[float, float, float] | None:
        """Share of the scans in which it was seen, and its exact interval of 95 %; None if nothing was searched."""
        if not self.is_observed:
            return None
        return self.scans_with / self.scans, *share_interval(self.scans_with, self.scans)

    @property
    def rate_per_mhz_h(self) -> tuple[float, float, float] | None:
        """Emitters per MHz h, and the exact Poisson interval of 95 %; None if nothing was searched."""
        if not self.is_observed:
            return None
        return self.emitters / self.exposure_mhz_h, *rate_interval(self.emitters, self.exposure_mhz_h)

    def to_json(self) -> dict[str, Any]:
        """Return a flat record. Shares and rates are null where nothing was searched."""
        names = ("share", "share_low", "share_high", "rate_per_mhz_h", "rate_low", "rate_high")
        figures = (*(self.share or (None,) * 3), *(self.rate_per_mhz_h or (None,) * 3))
        rounded = {name: None if one is None else _six_digits(one) for name, one in zip(names, figures, strict=True)}
        every = {"bin": self.bin.label, "start": self.bin.start, "stop": self.bin.stop, "observed": self.is_observed,
                 "scans": self.scans, "scans_with": self.scans_with, "emitters": self.emitters,
                 "exposure_mhz_h": _six_digits(self.exposure_mhz_h), **rounded}
        return {name: every[name] for name in ROW_COLUMNS}


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")


ROW_COLUMNS = ("bin", "start", "stop", "observed", "scans", "scans_with", "share", "share_low", "share_high",
               "emitters", "exposure_mhz_h", "rate_per_mhz_h", "rate_low", "rate_high")
"""Keys of a row in JSON; columns of CSV."""


def tally_along(
    axis: Axis, scans: Sequence[SearchedScan], seen: Mapping[str, Occurrences], gap_mhz: float
) -> tuple[Row, ...]:
    """Count along an axis.

    Parameters
    ----------
    axis : Axis
        Its bins hold all rectangles of ``scans``.
    scans : sequence of SearchedScan
    seen : mapping
        Id of a scan → its windows that count, by frequency. All lie in what was searched of it.
    gap_mhz : float
        Widest gap within an emitter, in MHz.
    """
    exposure = np.zeros(len(axis.bins))
    n_scans, n_with, emitters = (np.zeros(len(axis.bins), np.int64) for _ in range(3))
    for scan in scans:
        here = scan.exposure_mhz_h @ axis.weights(scan)
        exposure += here
        n_scans += here > 0
        if (windows := seen.get(scan.scan_id)) is not None and len(windows.mjd):
            places = axis.places(scan, windows.middle_mhz, windows.mjd)
            n_with[np.unique(places)] += 1
            np.add.at(emitters, places[windows.first_of_emitters(gap_mhz)], 1)
    return tuple(Row(*values) for values in zip(axis.bins, n_scans.tolist(), n_with.tolist(), emitters.tolist(),
                                                exposure.tolist(), strict=True))


def total(scans: Sequence[SearchedScan], seen: Mapping[str, Occurrences], gap_mhz: float) -> Row:
    """Count over all that was searched, as :func:`tally_along` does."""
    searched = [scan for scan in scans if len(scan.share)]
    found = [windows for scan in searched if (windows := seen.get(scan.scan_id)) is not None and len(windows.mjd)]
    return Row(Bin("all"), len(searched), len(found), sum(int(one.first_of_emitters(gap_mhz).sum()) for one in found),
               float(sum(scan.exposure_mhz_h.sum() for scan in searched)))
