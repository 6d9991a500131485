"""The kinds of values that filters take: ranges of frequency, names, moments and bands of known interference."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors import QueryError
from pipeline.model import MJD_EPOCH

if TYPE_CHECKING:
    from pipeline.interference import KnownBand

MhzRange = tuple[float, float]
"""Low and high end in MHz. An end may be infinite."""


@dataclass(frozen=True, slots=True)
class ValueKind:
    """How values of one kind are read, checked and shown."""

    metavar: str
    """Placeholder for a value in the help of the command line, such as ``NAME``."""
    parse: Callable[[str], Any]
    """Reads a value from the command line; raises QueryError if the text is not a value of this kind."""
    show: Callable[[Any], str]
    """Gives a value as text for messages."""
    fault_of: Callable[[Any], str]
    """Says why a value cannot be used; an empty text if it can."""
    to_json: Callable[[Any], Any] = lambda value: value
    from_json: Callable[[Any], Any] = lambda value: value
    prepared: Callable[[Any], Any] = lambda value: value
    """Gives what a value stands for. The functions above, apart from ``parse`` and ``from_json``, take that."""


def parse_mhz(text: str) -> MhzRange:
    """Read ``LOW:HIGH`` in MHz. Either end may be left out.

    Raises
    ------
    QueryError
        The text is no such range, or empty.
    """
    low, colon, high = text.partition(":")
    try:
        ends = (float(low) if low else -math.inf, float(high) if high else math.inf)
    except ValueError:
        ends = (math.nan, math.nan)
    if not colon or not ends[0] < ends[1]:
        raise QueryError(f"{text!r} is no range in MHz: give LOW:HIGH, such as 1420:1421, 1420: or :1421")
    return ends


def parse_mjd(text: str) -> float:
    """Read a moment: an MJD of five digits with or without decimals, or ISO 8601. Without a time zone it is in UTC.

    Raises
    ------
    QueryError
        The text is neither.
    """
    if re.fullmatch(r"\d{5}(\.\d*)?", text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(f"{text!r} is no date: give one such as 2016-02-18, 2016-02-18T14:17:12 or MJD 57436.59528"
                         ) from error
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - MJD_EPOCH) / timedelta(days=1)


def _range_to_json(ends: MhzRange) -> list[float | None]:
    return [end if math.isfinite(end) else None for end in ends]


def _range_from_json(ends: Any) -> MhzRange:
    low, high = ends
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)


@dataclass(frozen=True, slots=True)
class ChosenBands:
    """The bands of known interference that a pattern names. A worker that has another table still uses these."""

    pattern: str
    bands: tuple[KnownBand, ...]

    @classmethod
    def of(cls, pattern: str) -> Self:
        """Look a pattern up in the table."""
        from pipeline.interference import bands_named

        return cls(pattern, bands_named(pattern))

    def fault(self) -> str:
        """Say that the pattern names no band; an empty text if it names some."""
        if self.bands:
            return ""
        from pipeline.interference import band_list

        return f": no band of known interference has this name or kind; {band_list(self.pattern)}"


def _name_from_json(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(name)
    return name


MHZ_RANGE = ValueKind(
    "LOW:HIGH", parse_mhz,
    show=lambda ends: f"{ends[0]}:{ends[1]}",
    fault_of=lambda ends: "" if ends[0] < ends[1] else " MHz is no range: give the lower frequency first",
    to_json=_range_to_json,
    from_json=_range_from_json,
)
NAME = ValueKind("NAME", str, show=str, fault_of=lambda name: "" if name else ": a name is empty",
                 from_json=_name_from_json)
TEXT = ValueKind("TEXT", str, show=str, fault_of=lambda text: "" if text.strip() else ": a text is empty",
                 from_json=_name_from_json)
BANDS = ValueKind(
    "NAME", str, show=lambda chosen: chosen.pattern, fault_of=ChosenBands.fault,
    to_json=lambda chosen: chosen.pattern, from_json=_name_from_json, prepared=ChosenBands.of,
)
MOMENT = ValueKind(
    "TIME", parse_mjd,
    show=lambda mjd: f"MJD {mjd}",
    fault_of=lambda mjd: "" if not math.isnan(mjd) else " is no moment: give an MJD",
    from_json=float,
)
