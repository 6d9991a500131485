"""Filters: where hits may lie, by source and by window. Uses no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Manifest, SourceEntry
from pipeline.errors import ParameterError, parameter
from pipeline.grid.tiling import Tiling
from pipeline.model import Header
from pipeline.search.filter_table import FILTERS, Filter, HitFilter, SourceFilter, Undo, WindowFilter
from pipeline.search.filter_values import MhzRange


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on hits. A hit must meet every given condition. Of several values of one condition, one is enough.

    Raises
    ------
    ParameterError
        A range or a name is empty, or ``after_mjd`` is not less than ``before_mjd``.
    """

    only_mhz: tuple[MhzRange, ...] = ()
    """Low and high ends in MHz: windows that share a channel with one of these ranges. An end may be infinite."""
    not_mhz: tuple[MhzRange, ...] = ()
    """Windows that share a channel with one of these ranges are left out."""
    not_known: tuple[str, ...] = ()
    """Windows that share a channel with one of these bands of known interference are left out. A band is named by its
    name or its kind (:func:`pipeline.interference.known_bands`), with ``*`` and ``?``; ``*`` alone means all bands."""
    only_file: tuple[str, ...] = ()
    """A path, the end of a path such as a file name, or the beginning of a source id; with ``*``, ``?``, ``[…]``."""
    not_file: tuple[str, ...] = ()
    """Files to leave out, named in the same ways as in ``only_file``."""
    only_target: tuple[str, ...] = ()
    """Name of the observed target, in upper or lower case; with ``*``, ``?``, ``[…]``."""
    not_target: tuple[str, ...] = ()
    """Targets to leave out, named in the same ways as in ``only_target``."""
    only_telescope: tuple[str, ...] = ()
    """Name as in source ids, such as GBT, or sigproc number."""
    only_label: tuple[str, ...] = ()
    """Hits that carry one of these labels of the user's (:mod:`pipeline.search.label_filter`)."""
    not_label: tuple[str, ...] = ()
    """Hits that carry one of these labels are left out."""
    after_mjd: float | None = None
    """Windows that begin at this MJD (UTC) or later."""
    before_mjd: float | None = None
    """Windows that begin before this MJD (UTC)."""
    _given_values: tuple[tuple[str, tuple[Any, ...]], ...] = field(init=False, repr=False, compare=False)
    """Name and prepared values of each given condition. Kept, because filters are evaluated for every source."""
    _path_of: Callable[[str], str] | None = field(default=None, init=False, repr=False, compare=False)
    """Gives what the conditions see of a path; None for all of it."""

    def __post_init__(self) -> None:
        every = {name: _tuple_of(getattr(self, name)) for name in FILTERS}
        for name, values in every.items():
            if FILTERS[name].is_list:
                object.__setattr__(self, name, values)  # a list could not be hashed
        object.__setattr__(self, "_given_values", tuple(
            (name, tuple(map(FILTERS[name].kind.prepared, values))) for name, values in every.items() if values))
        for row, value in self._values():
            if fault := row.kind.fault_of(value):
                raise ParameterError(f"{_shown(row, value).rstrip()}{fault}")
        if self.after_mjd is not None and self.before_mjd is not None and not self.after_mjd < self.before_mjd:
            raise ParameterError(f"{parameter('after_mjd')} must be less than {parameter('before_mjd')}, got MJD "
                                 f"{self.after_mjd} and {self.before_mjd}")

    def naming_files_by(self, path_of: Callable[[str], str]) -> Self:
        """Return the same filters, which see of each path only what a function gives of it.

        Whoever may try patterns learns what these see, one character after the other.
        """
        seeing = replace(self)
        object.__setattr__(seeing, "_path_of", path_of)
        return seeing

    def __bool__(self) -> bool:
        return bool(self._given_values)

    def describe(self) -> str:
        """Return the given conditions as text for the message of a :class:`ParameterError`."""
        return ", ".join(_shown(row, value) for row, value in self._values())

    def to_json(self) -> dict[str, Any]:
        """Return the given conditions by name. Null stands for an open end of a range."""
        return {row.name: [row.kind.to_json(value) for value in values] if row.is_list else row.kind.to_json(values[0])
                for row, values in self._given()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Make filters from the dictionary that :meth:`to_json` returns.

        Raises
        ------
        ParameterError
            A name is unknown, or a value is not of its kind.
        """
        values: dict[str, Any] = {}
        for name, value in record.items():
            if name not in FILTERS:
                raise ParameterError(f"{name!r} is no filter; filters are {', '.join(FILTERS)}")
            row = FILTERS[name]
            try:
                if row.is_list and not isinstance(value, list):
                    raise TypeError(value)
                values[name] = tuple(map(row.kind.from_json, value)) if row.is_list else row.kind.from_json(value)
            except (TypeError, ValueError):
                raise ParameterError(f"{parameter(name)}: {value!r} is no {row.kind.metavar}") from None
        return cls(**values)

    def check(self, manifest: Manifest, undo: Undo) -> None:
        """Raise :class:`ParameterError` for a value that is true of no source; the message lists what there is.

        Ranges that are left out are not checked: one list of known interference serves many corpora. Nor are labels,
        which :class:`pipeline.search.label_filter.LabelFilter` checks. ``undo`` gives the command that takes a removed
        source back, for the message.
        """
        for row, value in self._values():
            if isinstance(row, HitFilter) or (isinstance(row, WindowFilter) and row.is_exclusion):
                continue
            if not any(row.may_match(value, source_id, self._seen(row, entry))
                       for source_id, entry in manifest.sources.items()):
                raise ParameterError(f"{_shown(row, value)}: {row.describe_choices(manifest)}"
                                     f"{row.hint(value, manifest, undo)}")

    def accept_source(self, source_id: str, entry: SourceEntry) -> bool:
        """Tell whether windows of a source may pass."""
        for row, values in self._given():
            test = row.matches_all if row.is_exclusion else row.may_match
            seen = self._seen(row, entry)
            if any(test(value, source_id, seen) for value in values) == row.is_exclusion:
                return False
        return True

    def _seen(self, row: Filter, entry: SourceEntry) -> SourceEntry:
        """Return what a filter sees of a source."""
        if self._path_of is None or not isinstance(row, SourceFilter):
            return entry
        return replace(entry, path=self._path_of(entry.path), also_at=tuple(map(self._path_of, entry.also_at)))

    def accept_all_windows(self, header: Header) -> bool:
        """Tell whether all windows of an accepted source pass, so that none must be looked at."""
        for row, values in self._given():
            if isinstance(row, WindowFilter):
                test = row.meets if row.is_exclusion else row.covers
                if any(test(value, header) for value in values) == row.is_exclusion:
                    return False
        return True

    def accept_windows(self, tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which windows (n,) of an accepted source pass.

        Parameters
        ----------
        tiling : Tiling
            Tiling of the source.
        numbers : (n,) int64
            Window numbers, stored or not.
        """
        passes = np.ones(len(numbers), np.bool_)
        for row, values in self._given():
            if isinstance(row, WindowFilter):
                passes &= row.matches(values, tiling, numbers) != row.is_exclusion
        return passes

    def _given(self) -> list[tuple[Filter, tuple[Any, ...]]]:
        """Return the rows of the given filters, each with its values."""
        return [(FILTERS[name], values) for name, values in self._given_values]

    def _values(self) -> list[tuple[Filter, Any]]:
        """Return each value with the row of its filter."""
        return [(row, value) for row, values in self._given() for value in values]


def _tuple_of(value: Any) -> tuple[Any, ...]:
    """Return the values of a field: none for None, several for a tuple or list, else one."""
    if isinstance(value, tuple | list):
        return tuple(value)
    return () if value is None else (value,)


def _shown(row: Filter, value: Any) -> str:
    return f"{parameter(row.name)} {row.kind.show(value)}"
