"""Where hits may lie: in which sources of a corpus, and in which of their windows. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Manifest, SourceEntry
from pipeline.errors import QueryError
from pipeline.grid.tiling import Tiling
from pipeline.model import SECONDS_PER_DAY, Header
from pipeline.search.frequency_range import SLACK, first_channels
from pipeline.support.text import listed

MhzRange = tuple[float, float]
_MJD_0 = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a hit must be: every condition that is given, and of several values of one, any.

    Raises
    ------
    QueryError
        A range is empty, or a name.
    """

    only_mhz: tuple[MhzRange, ...] = ()
    """Low and high end: windows that share a channel with one of these ranges. An end may be infinite."""
    not_mhz: tuple[MhzRange, ...] = ()
    """Windows that share a channel with one of these are left out."""
    only_file: tuple[str, ...] = ()
    """A path, the end of one, such as the file's name, or the beginning of a source id; with ``*``, ``?``, ``[…]``."""
    not_file: tuple[str, ...] = ()
    only_target: tuple[str, ...] = ()
    """Name of what was observed, in small or large letters; with ``*``, ``?``, ``[…]``."""
    only_telescope: tuple[str, ...] = ()
    """Name as in source ids, such as GBT, or sigproc number."""
    after_mjd: float | None = None
    """Windows that begin then (UTC) or later."""
    before_mjd: float | None = None
    """Windows that begin earlier than this."""

    def __post_init__(self) -> None:
        for name, value in self._given():
            if name.endswith("_mhz"):
                if not value[0] < value[1]:
                    raise QueryError(f"{_shown(name, value)} MHz is no range: give the lower frequency first")
            elif not isinstance(value, float | int) and not value:
                raise QueryError(f"{_flag(name)}: a name is empty")
        if self.after_mjd is not None and self.before_mjd is not None and not self.after_mjd < self.before_mjd:
            raise QueryError(f"nothing is after MJD {self.after_mjd} and before {self.before_mjd}")

    def __bool__(self) -> bool:
        return bool(self._given())

    def __str__(self) -> str:
        return ", ".join(_shown(name, value) for name, value in self._given())

    def to_json(self) -> dict[str, Any]:
        """What is given, by name; null is an open end."""
        record: dict[str, Any] = {}
        for name, value in self._given():
            if name.endswith("_mjd"):
                record[name] = value
            else:
                value = [f if math.isfinite(f) else None for f in value] if name.endswith("_mhz") else value
                record.setdefault(name, []).append(value)
        return record

    def check(self, manifest: Manifest) -> None:
        """Raise :class:`QueryError` for a value that is true of no source, naming it and what there is.

        Frequencies to leave out need not have been observed: one list of known interference serves many corpora.
        """
        for name, value in self._given():
            if name != "not_mhz" and not any(_IS_TRUE[name](value, *source) for source in manifest.sources.items()):
                raise QueryError(f"{_shown(name, value)}: {_there_is(name, manifest)}")

    def takes_source(self, source_id: str, entry: SourceEntry) -> bool:
        """Tell whether windows of a source may pass."""
        def any_is_true(name: str) -> bool:
            return any(_IS_TRUE[name](value, source_id, entry) for value in self._values(name))

        left_out = any_is_true("not_file") or any(_covers(range_, entry.header) for range_ in self.not_mhz)
        names = {name for name, _ in self._given()} - {"not_file", "not_mhz"}
        return not left_out and all(any_is_true(name) for name in names)

    def takes_all_windows(self, header: Header) -> bool:
        """Tell whether all windows of a source pass that :meth:`takes_source`, so that none need be looked at."""
        return (
            (not self.only_mhz or any(_covers(range_, header) for range_ in self.only_mhz))
            and not any(_meets(range_, header) for range_ in self.not_mhz)
            and (self.after_mjd is None or self.after_mjd <= header.tstart_mjd)
            and (self.before_mjd is None or header.mjd_at(header.duration_s) <= self.before_mjd)
        )

    def takes_windows(self, tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which windows of a source pass, (n,); that the source itself does is for the caller to know.

        Parameters
        ----------
        tiling : Tiling
            Of the source.
        numbers : (n,) int64
            Window numbers, stored or not.
        """
        header, grid = tiling.header, tiling.grid
        first = first_channels(tiling, numbers)

        def shared(ranges: Iterable[MhzRange]) -> NDArray[np.bool_]:
            any_of_them = np.zeros(len(numbers), np.bool_)
            for low, high in ranges:
                any_of_them |= (first < header.channel_at(high) - SLACK) & (
                    first + grid.channels > header.channel_at(low) + SLACK)
            return any_of_them

        passes = ~shared(self.not_mhz)
        if self.only_mhz:
            passes &= shared(self.only_mhz)
        begins_mjd = header.tstart_mjd + (
            numbers // tiling.windows_per_block * grid.integrations * header.tsamp_s) / SECONDS_PER_DAY
        if self.after_mjd is not None:
            passes &= begins_mjd >= self.after_mjd
        if self.before_mjd is not None:
            passes &= begins_mjd < self.before_mjd
        return passes

    def _values(self, name: str) -> tuple[Any, ...]:
        value = getattr(self, name)
        return value if isinstance(value, tuple) else () if value is None else (value,)

    def _given(self) -> list[tuple[str, Any]]:
        """Every value with the name of its condition."""
        return [(name, value) for name in self.__slots__ for value in self._values(name)]


def mjd_of(text: str) -> float:
    """Read a moment: an MJD of five digits and decimals, or ISO 8601, in UTC where it names no zone.

    Raises
    ------
    QueryError
        It is neither.
    """
    if re.fullmatch(r"\d{5}(\.\d*)?", text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(f"{text!r} is no date: give one such as 2016-02-18, 2016-02-18T14:17:12 or MJD 57436.59528"
                         ) from error
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _MJD_0) / timedelta(days=1)


def _covers(range_: MhzRange, header: Header) -> bool:
    return range_[0] <= header.f_min_mhz and header.f_max_mhz <= range_[1]


def _meets(range_: MhzRange, header: Header) -> bool:
    return range_[0] < header.f_max_mhz and header.f_min_mhz < range_[1]


def _is_named(pattern: str, source_id: str, entry: SourceEntry) -> bool:
    paths = (entry.path, *entry.also_at)
    return fnmatchcase(source_id, f"{pattern}*") or any(
        path == pattern or path.endswith(f"/{pattern}") or fnmatchcase(path, pattern)
        or fnmatchcase(path, f"*/{pattern}") for path in paths)


_IS_TRUE: Mapping[str, Callable[[Any, str, SourceEntry], bool]] = {
    "only_mhz": lambda range_, _, entry: _meets(range_, entry.header),
    "only_file": _is_named,
    "not_file": _is_named,
    "only_target": lambda name, _, entry: fnmatchcase(entry.header.source_name.strip().lower(), name.strip().lower()),
    "only_telescope": lambda name, _, entry: name.upper() in (
        entry.header.telescope, str(entry.header.telescope_id)),
    "after_mjd": lambda mjd, _, entry: mjd <= entry.header.mjd_at(entry.header.duration_s),
    "before_mjd": lambda mjd, _, entry: entry.header.tstart_mjd < mjd,
}
"""Condition → whether one value of it may be true of some of a source's windows."""


def _there_is(name: str, manifest: Manifest) -> str:
    """Say that a condition is true of no source, and what is."""
    sources = manifest.sources
    headers = [entry.header for entry in sources.values()]
    if name == "only_mhz":
        bands = sorted({(header.f_min_mhz, header.f_max_mhz) for header in headers})
        return f"no source has frequencies there; observed are {listed(f'{a:.6f}–{b:.6f} MHz' for a, b in bands)}"
    if name == "only_target":
        targets = sorted({header.source_name.strip() for header in headers})
        return f"no source has this target; observed are {listed(map(repr, targets))}"
    if name == "only_telescope":
        telescopes = sorted({f"{header.telescope} ({header.telescope_id})" for header in headers})
        return f"no source is of this telescope; there are {listed(telescopes)}"
    if name.endswith("_mjd"):
        first = min((header.tstart_mjd for header in headers), default=math.nan)
        last = max((header.mjd_at(header.duration_s) for header in headers), default=math.nan)
        return f"nothing was observed then, but from MJD {first:.5f} to {last:.5f}"
    return f"no source has this path, file name or beginning of its id; there are {listed(sorted(sources))}"


def _flag(name: str) -> str:
    """Name of a condition as the shell has it."""
    return name.removesuffix("_mjd").replace("_", "-")


def _shown(name: str, value: Any) -> str:
    shown = f"{value[0]}:{value[1]}" if name.endswith("_mhz") else f"MJD {value}" if name.endswith("_mjd") else value
    return f"{_flag(name)} {shown}"
