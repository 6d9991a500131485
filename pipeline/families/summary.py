"""What is known of each family: its windows by target, date and frequency. Made of a table and a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Manifest
from pipeline.families.grouping import NONE
from pipeline.families.table import Entry, FamilyTable
from pipeline.grid.places import Places
from pipeline.model import MJD_EPOCH, SECONDS_PER_DAY, Window, WindowGrid
from pipeline.views import scan_of, view_of


def utc_of_mjd(mjd: float) -> str:
    """Return the UTC of an MJD, to the second, such as ``2020-07-16T22:13:56Z``."""
    return f"{MJD_EPOCH + timedelta(days=mjd):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class Family:
    """A family of windows that look alike, as a row of a list."""

    id: str
    """Id, which stays the same when windows are added, such as ``F12``."""
    name: str
    """Name by the user, or empty."""
    label: str
    """Label by the user, or empty."""
    windows: int
    """Number of its windows in the corpus."""
    scans: int
    """Number of scans in which it was seen."""
    targets: tuple[tuple[str, int], ...]
    """Names of targets, and the number of scans of each in which it was seen; the most frequent first."""
    first_seen_mjd: float
    """Start of its earliest window."""
    last_seen_mjd: float
    """Start of its latest window."""
    f_start_mhz: float
    """Lower edge of its lowest window."""
    f_stop_mhz: float
    """Upper edge of its highest window."""
    view: str
    """Averaged view of its windows; empty for the plain one."""
    exemplar: Window
    """The window that is most like the mean of the family."""
    generation: int
    """Generation of the corpus in which the family was found first."""
    found: str
    """UTC at which it was found."""

    def to_json(self) -> dict[str, Any]:
        """Return the flat record that ``families --json`` prints."""
        window = self.exemplar
        return {"id": self.id, "name": self.name, "label": self.label, "windows": self.windows,
                "scans": self.scans, "targets": dict(self.targets), "first_seen_mjd": round(self.first_seen_mjd, 9),
                "last_seen_mjd": round(self.last_seen_mjd, 9), "first_seen": utc_of_mjd(self.first_seen_mjd),
                "last_seen": utc_of_mjd(self.last_seen_mjd),
                "f_start_mhz": round(self.f_start_mhz, 9), "f_stop_mhz": round(self.f_stop_mhz, 9), "view": self.view,
                "example": {"source": window.source_id, "window": window.number, "view": self.view,
                            "f_start_mhz": round(window.f_start_mhz, 9), "f_stop_mhz": round(window.f_stop_mhz, 9),
                            "t_start_s": round(window.t_start_s, 6), "t_stop_s": round(window.t_stop_s, 6),
                            "mjd": round(window.mjd, 9)},
                "generation": self.generation, "found": self.found}


@dataclass(frozen=True, slots=True)
class _Members:
    """Windows that are in a family, one entry for each."""

    family: NDArray[np.int32]
    source: NDArray[np.int64]
    """Index in the list of sources."""
    mjd: NDArray[np.float64]
    f_start_mhz: NDArray[np.float64]
    f_stop_mhz: NDArray[np.float64]


def held_sources(table: FamilyTable, manifest: Manifest) -> list[str]:
    """Return the sources of a table that the corpus still holds with as many windows."""
    return [source_id for source_id, (numbers, _) in table.sources.items()
            if source_id in manifest.sources and manifest.sources[source_id].windows_kept == len(numbers)]


def count_not_judged(table: FamilyTable, manifest: Manifest) -> int:
    """Count the windows of a corpus that no run has put into a family or left out of all."""
    held = set(held_sources(table, manifest))
    return sum(entry.windows_kept for source_id, entry in manifest.sources.items()
               if source_id not in held and entry.vectors.get(table.encoder_key))


def list_families(table: FamilyTable, manifest: Manifest, grid: WindowGrid) -> list[Family]:
    """List the families that have windows in the corpus, those with most windows first."""
    sources = held_sources(table, manifest)
    members = _gather(table, manifest, grid, sources)
    if not len(members.family):
        return []
    order = np.argsort(members.family, kind="stable")
    numbers, starts = np.unique(members.family[order], return_index=True)
    ends = [*starts[1:].tolist(), len(order)]
    lows = {name: np.minimum.reduceat(getattr(members, name)[order], starts) for name in ("mjd", "f_start_mhz")}
    highs = {name: np.maximum.reduceat(getattr(members, name)[order], starts) for name in ("mjd", "f_stop_mhz")}
    out = []
    for i, number in enumerate(numbers.tolist()):
        entry = table.entries[number]
        here = [sources[at] for at in np.unique(members.source[order[starts[i] : ends[i]]]).tolist()]
        out.append(Family(
            id=entry.id, name=entry.name, label=entry.label, windows=ends[i] - int(starts[i]),
            scans=len({scan_of(source_id) for source_id in here}), targets=_targets(here, manifest),
            first_seen_mjd=float(lows["mjd"][i]), last_seen_mjd=float(highs["mjd"][i]),
            f_start_mhz=float(lows["f_start_mhz"][i]), f_stop_mhz=float(highs["f_stop_mhz"][i]),
            view=view_of(here[0]), exemplar=_exemplar(entry, here[0], table, manifest, grid),
            generation=entry.generation,
            found=f"{datetime.fromtimestamp(entry.found_s, UTC):%Y-%m-%dT%H:%M:%SZ}"))
    return sorted(out, key=lambda one: (-one.windows, int(one.id[1:])))


def _exemplar(entry: Entry, also: str, table: FamilyTable, manifest: Manifest, grid: WindowGrid) -> Window:
    """Return the exemplar of a family; if the corpus no longer holds it, the family's first window of a source."""
    source_id, number = entry.exemplar
    if source_id not in manifest.sources or table.family_of(source_id, number) != entry.number:
        numbers, families = table.sources[also]
        source_id, number = also, int(numbers[np.argmax(families == entry.number)])
    return manifest.sources[source_id].tiling(grid).window(source_id, number)


def _targets(source_ids: Sequence[str], manifest: Manifest) -> tuple[tuple[str, int], ...]:
    """Count scans by the name of their target, the most frequent first."""
    scans = {scan_of(source_id): manifest.sources[source_id].header.source_name for source_id in source_ids}
    counts: dict[str, int] = {}
    for target in scans.values():
        counts[target] = counts.get(target, 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _gather(table: FamilyTable, manifest: Manifest, grid: WindowGrid, sources: Sequence[str]) -> _Members:
    parts = list(_parts(table, manifest, grid, sources))
    if not parts:
        nothing = np.empty(0)
        return _Members(np.empty(0, np.int32), np.empty(0, np.int64), nothing, nothing, nothing)
    return _Members(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _parts(
    table: FamilyTable, manifest: Manifest, grid: WindowGrid, sources: Sequence[str]
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield the columns of :class:`_Members` of each source."""
    for i, source_id in enumerate(sources):
        numbers, families = table.sources[source_id]
        in_one = np.flatnonzero(families != NONE)
        if not len(in_one):
            continue
        entry = manifest.sources[source_id]
        places, header = Places.of(entry.tiling(grid), numbers[in_one]), entry.header
        start_mhz = header.f_min_mhz + places.channel * header.channel_width_mhz
        yield (families[in_one], np.full(len(in_one), i), header.tstart_mjd + places.spectrum * (
            header.tsamp_s / SECONDS_PER_DAY), start_mhz, start_mhz + grid.channels * header.channel_width_mhz)


def middles_mhz(
    manifest: Manifest, grid: WindowGrid, source_id: str, numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the middle frequencies in MHz of some windows (n,) of a source."""
    entry = manifest.sources[source_id]
    channels = Places.of(entry.tiling(grid), numbers).channel + grid.channels / 2
    return np.asarray(entry.header.f_min_mhz + channels * entry.header.channel_width_mhz, np.float64)
