"""The rows of a hit table, as values that no longer depend on the program that wrote it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ScanHint:
    """What a table says about the scan in which a hit was found. Each part may be missing."""

    file_name: str = ""
    """Name of the file, without a folder. It may end in ``.dat`` where the table names itself."""
    source_name: str = ""
    """Name of the target."""
    mjd: float | None = None
    """Start of the scan, UTC."""
    telescope_id: int | None = None
    """sigproc number of the telescope."""

    @property
    def stem(self) -> str:
        """Name of the file without its suffix."""
        return self.file_name.rpartition(".")[0] or self.file_name

    def __str__(self) -> str:
        parts = [self.file_name, self.source_name, "" if self.mjd is None else f"MJD {self.mjd:.6f}"]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """The part of a scan around a hit, which the table itself holds."""

    power: NDArray[np.float32]
    """(spectra, channels) linear power, ascending frequency."""
    f_start_mhz: float
    """Lower edge of the lowest channel."""
    f_stop_mhz: float
    """Upper edge of the highest channel."""
    tsamp_s: float


@dataclass(frozen=True, slots=True)
class HitRow:
    """A hit: a narrow signal that drifts along a straight line."""

    number: int
    """Number of the row in its table, from 1."""
    name: str
    """What the table calls the hit; empty if it has no name."""
    f_mhz: float
    """Frequency at the first spectrum of the scan."""
    drift_hz_per_s: float
    snr: float | None
    scan: ScanHint
    duration_s: float | None = None
    """How long the scan lasts, where the table says it."""
    pixels: Pixels | None = None

    def range_mhz(self, duration_s: float) -> tuple[float, float]:
        """Return the lowest and the highest frequency of the signal.

        Parameters
        ----------
        duration_s : float
            Duration of the scan. It counts only where the table does not say it.
        """
        seconds = duration_s if self.duration_s is None else self.duration_s
        end_mhz = self.f_mhz + self.drift_hz_per_s * seconds / 1e6
        return min(self.f_mhz, end_mhz), max(self.f_mhz, end_mhz)


@dataclass(frozen=True, slots=True)
class UnusableRow:
    """A row that cannot be used."""

    number: int
    """Number of the row in its table, from 1."""
    reason: str
    """Why it cannot be used, as words."""


@dataclass(frozen=True, slots=True)
class HitTable:
    """A hit table: its rows, and those that cannot be used."""

    name: str
    """Path of the file, or the name that the user gave."""
    kind: str
    """Kind of the table in words, such as ``seticore .hits``."""
    rows: tuple[HitRow, ...]
    unusable: tuple[UnusableRow, ...] = ()


class BadRowError(ValueError):
    """A row cannot be used. The message says why."""


def number_in(values: Mapping[str, str], name: str) -> float:
    """Return a finite number of a row; raise :class:`BadRowError` if there is none under this name."""
    text = (values.get(name) or "").strip()
    try:
        number = float(text)
    except ValueError:
        raise BadRowError(f"{name} is {text!r}, which is no number" if text else f"{name} is missing") from None
    if not math.isfinite(number):
        raise BadRowError(f"{name} is {text}, which is no finite number")
    return number


def frequency_in(values: Mapping[str, str], name: str) -> float:
    """Return a frequency of a row in MHz; raise :class:`BadRowError` if it is not above 0."""
    f_mhz = number_in(values, name)
    if f_mhz <= 0:
        raise BadRowError(f"{name} is {f_mhz:g}, which is no frequency")
    return f_mhz


def duration_in(text: str) -> float | None:
    """Return a duration in seconds; None if it is none. Then that of the file counts, as where a table names none."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < math.inf else None


def lines_of(text: str) -> Iterator[str]:
    """Return the lines of a table. A name may hold other separators, which :meth:`str.splitlines` takes for the end."""
    return iter(StringIO(text, newline=None))


def optional_number(values: Mapping[str, str], name: str) -> float | None:
    """Return a number of a row; None where the column is missing or empty."""
    return number_in(values, name) if (values.get(name) or "").strip() else None
