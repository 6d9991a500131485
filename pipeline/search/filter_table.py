"""The table of filters: one row per filter, with its option, its help text and what it tests. Uses no files.

To add a filter, add a row here and a field of its name to :class:`pipeline.search.filters.Filters`. The option of the
command line, JSON, messages and searches follow from these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from pipeline.model import SECONDS_PER_DAY, Header
from pipeline.search.filter_values import BANDS, MHZ_RANGE, MOMENT, NAME, TEXT, ChosenBands, MhzRange, ValueKind
from pipeline.support.text import listed

if TYPE_CHECKING:  # the command line reads this table for its help, which loads no numpy
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.catalogue import Manifest, SourceEntry
    from pipeline.grid.tiling import Tiling

    Mask = NDArray[np.bool_]

Undo = Callable[[str], str]
"""Gives, for the id of a removed source, the command that takes it back."""
Hint = Callable[[Any, "Manifest", Undo], str]

@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFilter:
    """A filter that applies to whole sources."""

    name: str
    """Field of :class:`pipeline.search.filters.Filters`."""
    flag: str
    """Option of the command line."""
    kind: ValueKind
    help: str
    """Text for ``--help``."""
    matches: Callable[[Any, str, SourceEntry], bool]
    """Tells whether a value is true of a source, given its id and its entry."""
    describe_choices: Callable[[Manifest], str]
    """Says that a value is true of no source, and which values there are."""
    hint: Hint = lambda value, manifest, undo: ""
    """For a value that is true of no source: says why, or names a similar one that is true of some; else empty. The
    last argument makes the command that takes a removed source back."""
    is_exclusion: bool = False
    """True where sources that match are left out."""
    is_list: bool = True
    """True where several values may be given."""
    if_bare: None = None

    def may_match(self, value: Any, source_id: str, entry: SourceEntry) -> bool:
        """Tell whether a value may be true of a window of a source."""
        return self.matches(value, source_id, entry)

    def matches_all(self, value: Any, source_id: str, entry: SourceEntry) -> bool:
        """Tell whether a value is true of all windows of a source."""
        return self.matches(value, source_id, entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFilter:
    """A filter that applies to single windows."""

    name: str
    flag: str
    kind: ValueKind
    help: str
    meets: Callable[[Any, Header], bool]
    """Tells whether a value may be true of a window of a source."""
    covers: Callable[[Any, Header], bool]
    """Tells whether a value is true of all windows of a source."""
    matches: Callable[[Sequence[Any], Tiling, NDArray[np.int64]], Mask]
    """Tells for each window (n,) of a source, given by number, whether any of some values is true of it."""
    describe_choices: Callable[[Manifest], str]
    hint: Hint = lambda value, manifest, undo: ""
    is_exclusion: bool = False
    is_list: bool = True
    if_bare: str | None = None
    """Value of the option where it is given without one; None where it must have one."""

    def may_match(self, value: Any, source_id: str, entry: SourceEntry) -> bool:
        """Tell whether a value may be true of a window of a source."""
        return self.meets(value, entry.header)

    def matches_all(self, value: Any, source_id: str, entry: SourceEntry) -> bool:
        """Tell whether a value is true of all windows of a source."""
        return self.covers(value, entry.header)


@dataclass(frozen=True, slots=True, kw_only=True)
class HitFilter:
    """A filter that applies to whole hits (:mod:`pipeline.search.label_filter`). All sources and windows pass it."""

    name: str
    flag: str
    kind: ValueKind
    help: str
    is_exclusion: bool = False
    is_list: bool = True
    if_bare: None = None

    def may_match(self, value: Any, source_id: str, entry: SourceEntry) -> bool:
        """Return True: a source may have such a hit."""
        return True

    def matches_all(self, value: Any, source_id: str, entry: SourceEntry) -> bool:
        """Return False: a source may have another hit."""
        return False


Filter = SourceFilter | WindowFilter | HitFilter


def _is_named(pattern: str, source_id: str, entry: SourceEntry) -> bool:
    """Tell whether a pattern names a source by the beginning of its id or by the end of a path."""
    paths = (entry.path, *entry.also_at)
    return fnmatchcase(source_id, f"{pattern}*") or any(
        path == pattern or path.endswith(f"/{pattern}") or fnmatchcase(path, pattern)
        or fnmatchcase(path, f"*/{pattern}") for path in paths)


def _is_target(pattern: str, source_id: str, entry: SourceEntry) -> bool:
    """Tell whether a pattern names the target of a source, in upper or lower case."""
    return fnmatchcase(entry.header.source_name.strip().lower(), pattern.strip().lower())


def _share_channels(ranges: Iterable[MhzRange], tiling: Tiling, numbers: NDArray[np.int64]) -> Mask:
    """Tell which windows share a channel with any of some ranges."""
    import numpy as np

    from pipeline.grid.places import first_channels
    from pipeline.search.frequency_range import EDGE_TOLERANCE_CHANNELS

    header, first = tiling.header, first_channels(tiling, numbers)
    stop = first + tiling.grid.channels
    shared = np.zeros(len(numbers), np.bool_)
    for low, high in ranges:
        shared |= (first < header.channel_at(high) - EDGE_TOLERANCE_CHANNELS) & (
            stop > header.channel_at(low) + EDGE_TOLERANCE_CHANNELS)
    return shared


def _ranges_of(chosen: ChosenBands, header: Header) -> list[MhzRange]:
    """Return the ranges of the chosen bands that apply to the telescope of a source."""
    from pipeline.interference import touching

    return [(band.f_start_mhz, band.f_stop_mhz)
            for band in touching(chosen.bands, header.f_min_mhz, header.f_max_mhz, header.telescope)]


def _share_channels_with_bands(choices: Iterable[ChosenBands], tiling: Tiling, numbers: NDArray[np.int64]) -> Mask:
    """Tell which windows share a channel with any of some bands of known interference."""
    return _share_channels([ends for chosen in choices for ends in _ranges_of(chosen, tiling.header)], tiling, numbers)


def _begins_mjd(tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    from pipeline.grid.places import first_spectra

    seconds = first_spectra(tiling, numbers) * tiling.header.tsamp_s
    return (tiling.header.tstart_mjd + seconds / SECONDS_PER_DAY).astype("float64", copy=False)


def _end_mjd(header: Header) -> float:
    return header.mjd_at(header.duration_s)


def _describe_files(manifest: Manifest) -> str:
    return ("no source has this path, file name or beginning of its id; there are "
            f"{listed(sorted(manifest.sources))}")


def _describe_bands(manifest: Manifest) -> str:
    bands = sorted({(header.f_min_mhz, header.f_max_mhz) for header in _headers(manifest)})
    return f"no source has frequencies there; observed are {listed(f'{a:.6f}–{b:.6f} MHz' for a, b in bands)}"


def _describe_targets(manifest: Manifest) -> str:
    targets = sorted({header.source_name.strip() for header in _headers(manifest)})
    return f"no source has this target; observed are {listed(map(repr, targets))}"


def _hint_of_file(name: str, manifest: Manifest, undo: Undo) -> str:
    from pipeline.catalogue import why_absent  # loads numpy

    why = why_absent(name, manifest, undo)
    return f"; {why}" if why else ""


def _hint_of_target(name: str, manifest: Manifest, undo: Undo) -> str:
    """Name a pattern or target near ``name``, in which hyphens and underscores are mixed up, or a part is missing."""
    targets = sorted({header.source_name.strip() for header in _headers(manifest)})
    loose = re.sub(r"[-_ ]", "?", name.strip())
    for pattern in (loose, f"*{name.strip()}*", f"*{loose}*"):
        if fitting := [target for target in targets if fnmatchcase(target.lower(), pattern.lower())]:
            return f"; {pattern!r} is true of {listed(map(repr, fitting), 3)}"
    by_lower = {target.lower(): target for target in targets}
    near = get_close_matches(name.strip().lower(), by_lower, 1)
    return f"; the nearest is {by_lower[near[0]]!r}" if near else ""


def _describe_telescopes(manifest: Manifest) -> str:
    telescopes = sorted({f"{header.telescope} ({header.telescope_id})" for header in _headers(manifest)})
    return f"no source is of this telescope; there are {listed(telescopes)}"


def _describe_times(manifest: Manifest) -> str:
    first = min((header.tstart_mjd for header in _headers(manifest)), default=math.nan)
    last = max(map(_end_mjd, _headers(manifest)), default=math.nan)
    return f"nothing was observed then, but from MJD {first:.5f} to {last:.5f}"


def _headers(manifest: Manifest) -> list[Header]:
    return [entry.header for entry in manifest.sources.values()]


def _mhz_filter(name: str, help_: str, *, is_exclusion: bool = False) -> WindowFilter:
    return WindowFilter(
        name=name, flag=f"--{name.replace('_', '-')}", kind=MHZ_RANGE, help=help_, is_exclusion=is_exclusion,
        meets=lambda ends, header: ends[0] < header.f_max_mhz and header.f_min_mhz < ends[1],
        covers=lambda ends, header: ends[0] <= header.f_min_mhz and header.f_max_mhz <= ends[1],
        matches=_share_channels, describe_choices=_describe_bands,
    )


_ROWS: tuple[Filter, ...] = (
    _mhz_filter("only_mhz", "Only hits that share a channel with this frequency range in MHz. All --only and --not "
                            "options may be repeated."),
    _mhz_filter("not_mhz", "No hits that share a channel with this frequency range in MHz.", is_exclusion=True),
    WindowFilter(
        name="not_known", flag="--not-known", kind=BANDS, is_exclusion=True, if_bare="*",
        help="No hits in bands of known interference: in the bands of this name or kind, or in all. * and ? are "
             "wildcards. lookalike known lists them.",
        meets=lambda chosen, header: bool(_ranges_of(chosen, header)),
        covers=lambda chosen, header: any(low <= header.f_min_mhz and header.f_max_mhz <= high
                                          for low, high in _ranges_of(chosen, header)),
        matches=_share_channels_with_bands, describe_choices=_describe_bands,
    ),
    SourceFilter(
        name="only_file", flag="--only-file", kind=NAME, matches=_is_named, describe_choices=_describe_files,
        hint=_hint_of_file,
        help="Only hits in this file: its name, its path, or the beginning of the source id. * and ? are wildcards.",
    ),
    SourceFilter(
        name="not_file", flag="--not-file", kind=NAME, matches=_is_named, describe_choices=_describe_files,
        hint=_hint_of_file,
        help="No hits in this file.", is_exclusion=True,
    ),
    SourceFilter(
        name="only_target", flag="--only-target", kind=NAME, describe_choices=_describe_targets, hint=_hint_of_target,
        help="Only hits in observations of this target. * and ? are wildcards.",
        matches=_is_target,
    ),
    SourceFilter(
        name="not_target", flag="--not-target", kind=NAME, describe_choices=_describe_targets, hint=_hint_of_target,
        help="No hits in observations of this target.", matches=_is_target, is_exclusion=True,
    ),
    SourceFilter(
        name="only_telescope", flag="--only-telescope", kind=NAME, describe_choices=_describe_telescopes,
        help="Only hits of this telescope: its name as in source ids (GBT) or its sigproc number (6).",
        matches=lambda name, _, entry: name.upper() in (
            entry.header.telescope, str(entry.header.telescope_id)),
    ),
    HitFilter(
        name="only_label", flag="--label", kind=TEXT,
        help="Only hits that carry this label of yours, in upper or lower case. lookalike labels lists them.",
    ),
    HitFilter(
        name="not_label", flag="--not-label", kind=TEXT, is_exclusion=True, help="No hits that carry this label.",
    ),
    WindowFilter(
        name="after_mjd", flag="--after", kind=MOMENT, is_list=False, describe_choices=_describe_times,
        help="Only hits that begin at this UTC or later: 2016-02-18, 2016-02-18T14:17 or an MJD.",
        meets=lambda mjd, header: bool(mjd <= _end_mjd(header)),
        covers=lambda mjd, header: bool(mjd <= header.tstart_mjd),
        matches=lambda mjds, tiling, numbers: _begins_mjd(tiling, numbers) >= mjds[0],
    ),
    WindowFilter(
        name="before_mjd", flag="--before", kind=MOMENT, is_list=False, describe_choices=_describe_times,
        help="Only hits that begin before this UTC.",
        meets=lambda mjd, header: bool(header.tstart_mjd < mjd),
        covers=lambda mjd, header: bool(_end_mjd(header) <= mjd),
        matches=lambda mjds, tiling, numbers: _begins_mjd(tiling, numbers) < mjds[0],
    ),
)
FILTERS: Mapping[str, Filter] = {row.name: row for row in _ROWS}
"""Name → row."""
