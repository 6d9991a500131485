"""Axes along which occurrence is counted: frequency, date, hour of day, and target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.model import MJD_EPOCH
from pipeline.occurrence.searched import HOURS_PER_DAY, SearchedScan

AxisName = Literal["frequency", "date", "hour", "local hour", "target"]
AXES: tuple[AxisName, ...] = ("frequency", "date", "hour", "local hour", "target")
"""Names of the axes."""
LONGITUDES_DEG = {"GBT": -79.8398, "PKS": 148.2635, "ATA": -121.4733}
"""Telescope → its longitude in degrees, positive to the east. It gives the local mean solar time."""
MAX_BINS = 24
"""Bins of a width that was not asked for are so wide that there are at most this many."""
MAX_ASKED_BINS = 20_000
"""Largest number of bins that a user may ask for."""
_NICE_DAYS = (1, 2, 7, 14, 30, 91, 182, 365)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of an axis."""

    label: str
    start: float | None = None
    """Lower end: MHz, MJD (UTC) or hour; None for a target."""
    stop: float | None = None


class Axis(Protocol):
    """How rectangles and points fall into the bins of an axis."""

    @property
    def bins(self) -> Sequence[Bin]:
        """All bins, in order. Points and rectangles beyond them are an error of the caller."""

    def weights(self, scan: SearchedScan) -> Floats:
        """Return the share (m, bins) of each rectangle of a scan that lies in each bin."""

    def places(self, scan: SearchedScan, f_mhz: Floats, mjd: Floats) -> Ints:
        """Return the bin (n,) of each point of frequency and time in a scan."""


@dataclass(frozen=True, slots=True)
class _Edges:
    """An axis of bins side by side, of frequency or of time."""

    bins: tuple[Bin, ...]
    edges: Floats
    is_time: bool

    def weights(self, scan: SearchedScan) -> Floats:
        if self.is_time:
            return _in_one_bin(self.places(scan, scan.f_start_mhz, scan.middle_mjd), len(self.bins))
        start, stop, low, high = scan.f_start_mhz, scan.f_stop_mhz, self.edges[:-1], self.edges[1:]
        shared = np.minimum(stop[:, None], high) - np.maximum(start[:, None], low)
        return np.asarray(np.maximum(shared, 0) / (stop - start)[:, None])

    def places(self, scan: SearchedScan, f_mhz: Floats, mjd: Floats) -> Ints:
        found = np.searchsorted(self.edges, mjd if self.is_time else f_mhz, side="right") - 1
        return np.clip(found, 0, len(self.bins) - 1)


@dataclass(frozen=True, slots=True)
class _Hours:
    """Hours of the day: UTC, or local mean solar time."""

    bins: tuple[Bin, ...]
    is_local: bool

    def weights(self, scan: SearchedScan) -> Floats:
        return _in_one_bin(self.places(scan, scan.f_start_mhz, scan.middle_mjd), HOURS_PER_DAY)

    def places(self, scan: SearchedScan, f_mhz: Floats, mjd: Floats) -> Ints:
        hours = np.floor((mjd + self._shift_days(scan)) % 1 * HOURS_PER_DAY)
        return np.minimum(hours, HOURS_PER_DAY - 1).astype(np.int64)

    def _shift_days(self, scan: SearchedScan) -> float:
        return LONGITUDES_DEG[scan.header.telescope] / 360 if self.is_local else 0.0


def _in_one_bin(places: Ints, bins: int) -> Floats:
    """Return weights (m, bins) of rectangles that lie whole in the bin (m,) of their middle.

    Windows of a time block are counted at its middle, too, so both agree where a block lasts from one bin to the next.
    """
    return np.eye(bins)[places]


@dataclass(frozen=True, slots=True)
class _Targets:
    """Names of the observed targets."""

    bins: tuple[Bin, ...]

    def weights(self, scan: SearchedScan) -> Floats:
        return _in_one_bin(self.places(scan, scan.f_start_mhz, scan.middle_mjd), len(self.bins))

    def places(self, scan: SearchedScan, f_mhz: Floats, mjd: Floats) -> Ints:
        labels = [one.label for one in self.bins]
        return np.full(len(f_mhz), labels.index(target_of(scan)), np.int64)


def target_of(scan: SearchedScan) -> str:
    """Return the name of the target of a scan; ``unnamed`` if its header has none."""
    return scan.header.source_name.strip() or "unnamed"


def axis_of(
    name: AxisName, scans: Sequence[SearchedScan], *, bin_mhz: float | None = None, bin_days: int | None = None
) -> Axis:
    """Make an axis whose bins hold all that was searched.

    Parameters
    ----------
    name : str
        One of :data:`AXES`. ``local hour`` needs the longitudes of all telescopes (:func:`has_local_time`).
    scans : sequence of SearchedScan
        At least one rectangle.
    bin_mhz, bin_days : optional
        Width of the bins of frequency and of date. Default: a round number that gives at most :data:`MAX_BINS` bins.

    Raises
    ------
    ValueError
        The width gives more than :data:`MAX_ASKED_BINS` bins; the message says how many.
    """
    if name == "target":
        return _Targets(tuple(Bin(label) for label in sorted({target_of(one) for one in scans if len(one.share)})))
    if name in ("hour", "local hour"):
        return _Hours(tuple(Bin(f"{hour:02}–{hour + 1:02} h", hour, hour + 1) for hour in range(HOURS_PER_DAY)),
                      name == "local hour")
    is_time = name == "date"
    low = min(float((one.begin_mjd if is_time else one.f_start_mhz).min()) for one in scans if len(one.share))
    high = max(float((one.end_mjd if is_time else one.f_stop_mhz).max()) for one in scans if len(one.share))
    width = (bin_days or _nice_days(high - low)) if is_time else (bin_mhz or _nice_width(high - low))
    first = math.floor(low / width)
    count = max(1, math.ceil(high / width - first))
    if count > MAX_ASKED_BINS:
        raise ValueError(f"gives {count:,} bins, and at most {MAX_ASKED_BINS:,} are made")
    edges = np.round((first + np.arange(count + 1)) * width, 9)
    words = _words_of_days if is_time else _words_of_mhz
    bins = tuple(Bin(words(a, b), a, b) for a, b in pairwise(edges.tolist()))
    return _Edges(bins, edges, is_time)


def has_local_time(scans: Sequence[SearchedScan]) -> bool:
    """Tell whether the longitudes of all telescopes are known."""
    return all(scan.header.telescope in LONGITUDES_DEG for scan in scans)


def _nice_width(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten: the smallest width that gives at most :data:`MAX_BINS` bins."""
    power: float = 10.0 ** math.floor(math.log10(span / MAX_BINS))
    return next(power * times for times in (1, 2, 5, 10, 20) if span / (power * times) <= MAX_BINS - 1)


def _nice_days(span: float) -> int:
    return next((days for days in _NICE_DAYS if span / days <= MAX_BINS - 1), 365 * math.ceil(span / 365 / MAX_BINS))


def _words_of_mhz(start: float, stop: float) -> str:
    digits = max(0, 1 - math.floor(math.log10(stop - start) + 1e-9))
    return f"{start:.{digits}f}–{stop:.{digits}f} MHz"


def _words_of_days(start: float, stop: float) -> str:
    first, last = (MJD_EPOCH + timedelta(days=mjd) for mjd in (start, stop - 1))
    return f"{first:%Y-%m-%d}" if stop - start <= 1 else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
