"""Which scans belong together: those of one session, and where the telescope pointed in each.

Scans of a session are taken one after another, by one telescope, in one band, at one resolution. A session with two
pointings or more is a *cadence*: what appears in the scans of one pointing and not in those of another comes from the
sky, or is interference that happened to pause.

Headers do not say which scans belong together, so this is a rule, and a user may correct it
(:data:`Corrections`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.catalogue.entries import SourceEntry
from pipeline.catalogue.scans import scans_among
from pipeline.model import SECONDS_PER_DAY, Header

MAX_PAUSE_S = 900.0
"""Longest pause between the end of a scan and the start of the next one of the same session, in seconds."""
SAME_PLACE_DEG = 0.2
"""Positions this near to each other are one pointing if the names of the targets agree, too. It is a little more than
the beam of a 64 m telescope at 1.4 GHz."""

Corrections = Mapping[str, tuple[str, str]]
"""Id of a scan → name of its session and of its pointing, as a user says. An empty session: the scan is in none."""


@dataclass(frozen=True, slots=True)
class SessionScan:
    """A scan of a session."""

    scan_id: str
    pointing: str
    """Name of the pointing: that of the target, with a number where one name stands for several positions."""
    begin_mjd: float
    end_mjd: float


@dataclass(frozen=True, slots=True)
class Session:
    """Scans of one session, by time."""

    name: str
    """Id of its first scan, or the name that a user gave it."""
    scans: tuple[SessionScan, ...]

    @property
    def pointings(self) -> tuple[str, ...]:
        """Names of the pointings, in the order in which they were first looked at."""
        return tuple(dict.fromkeys(scan.pointing for scan in self.scans))

    @property
    def is_cadence(self) -> bool:
        """True if the telescope pointed at more than one place."""
        return len(self.pointings) > 1

    def elsewhere(self, scan_id: str) -> tuple[SessionScan, ...]:
        """Return the scans at another pointing than that of a scan, the nearest in time first."""
        [here] = [scan for scan in self.scans if scan.scan_id == scan_id]
        others = [scan for scan in self.scans if scan.pointing != here.pointing]
        return tuple(sorted(others, key=lambda scan: (abs(scan.begin_mjd - here.begin_mjd), scan.begin_mjd)))


def sessions_of(sources: Mapping[str, SourceEntry], corrections: Corrections | None = None) -> list[Session]:
    """Group the scans of a corpus into sessions, by time of their first scans.

    Parameters
    ----------
    sources : mapping
        Sources of a manifest. Averaged views belong to their scans.
    corrections : mapping, optional
        What a user says about some scans. All others follow the rule.
    """
    said = corrections or {}
    by_setup: dict[tuple[int, str], list[SessionScan]] = {}
    named: dict[str, list[SessionScan]] = {}
    for scan_id in scans_among(sources):
        entry = sources[scan_id]
        scan = SessionScan(scan_id, "", entry.header.tstart_mjd,
                           entry.header.tstart_mjd + entry.header.duration_s / SECONDS_PER_DAY)
        if scan_id not in said:
            by_setup.setdefault((entry.header.telescope_id, entry.resolution), []).append(scan)
        elif said[scan_id][0]:
            named.setdefault(said[scan_id][0], []).append(scan)
    groups = [(group[0].scan_id, group) for scans in by_setup.values() for group in _by_pause_and_band(scans, sources)]
    groups += named.items()
    sessions = [Session(name, _with_pointings(group, sources, said)) for name, group in groups]
    return sorted(sessions, key=lambda session: (session.scans[0].begin_mjd, session.name))


def _by_pause_and_band(
    scans: list[SessionScan], sources: Mapping[str, SourceEntry]
) -> Iterator[list[SessionScan]]:
    """Split scans where the telescope paused for longer than :data:`MAX_PAUSE_S`, and where the band is another."""
    groups: list[tuple[list[SessionScan], float]] = []  # with the time at which the last scan ends
    for scan in sorted(scans, key=lambda scan: (scan.begin_mjd, scan.scan_id)):
        header = sources[scan.scan_id].header
        for i, (group, end_mjd) in enumerate(groups):
            if ((scan.begin_mjd - end_mjd) * SECONDS_PER_DAY <= MAX_PAUSE_S
                    and _share_band(header, sources[group[0].scan_id].header)):
                groups[i] = [*group, scan], max(end_mjd, scan.end_mjd)
                break
        else:
            yield from (group for group, end_mjd in groups
                        if (scan.begin_mjd - end_mjd) * SECONDS_PER_DAY > MAX_PAUSE_S)
            groups = [(group, end_mjd) for group, end_mjd in groups
                      if (scan.begin_mjd - end_mjd) * SECONDS_PER_DAY <= MAX_PAUSE_S]
            groups.append(([scan], scan.end_mjd))
    yield from (group for group, _ in groups)


def _share_band(a: Header, b: Header) -> bool:
    """Tell whether two bands have at least half of the narrower one in common."""
    shared = min(a.f_max_mhz, b.f_max_mhz) - max(a.f_min_mhz, b.f_min_mhz)
    return shared >= min(a.f_max_mhz - a.f_min_mhz, b.f_max_mhz - b.f_min_mhz) / 2


def _with_pointings(
    group: list[SessionScan], sources: Mapping[str, SourceEntry], said: Corrections
) -> tuple[SessionScan, ...]:
    """Name the pointing of each scan: as the user says, or by target and position."""
    places: dict[str, list[tuple[str, Header]]] = {}
    out = []
    for scan in sorted(group, key=lambda scan: (scan.begin_mjd, scan.scan_id)):
        header = sources[scan.scan_id].header
        pointing = said.get(scan.scan_id, ("", ""))[1]
        if not pointing:
            target = header.source_name.strip() or "unnamed"
            known = places.setdefault(re.sub(r"[\s_-]", "", target).lower(), [])
            near = [name for name, other in known if separation_deg(header, other) <= SAME_PLACE_DEG]
            pointing = near[0] if near else f"{target} ({len(known) + 1})" if known else target
            if not near:
                known.append((pointing, header))
        out.append(SessionScan(scan.scan_id, pointing, scan.begin_mjd, scan.end_mjd))
    return tuple(out)


def separation_deg(a: Header, b: Header) -> float:
    """Return the angle between the positions of two headers in degrees: 0 if one of them has no position."""
    if not all(map(_has_position, (a, b))):
        return 0.0
    ra_a, dec_a, ra_b, dec_b = map(math.radians, (15 * a.ra_hours, a.dec_deg, 15 * b.ra_hours, b.dec_deg))
    # the haversine formula is exact for small angles, too
    sine = math.sin((dec_b - dec_a) / 2) ** 2 + math.cos(dec_a) * math.cos(dec_b) * math.sin((ra_b - ra_a) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(sine))))


def _has_position(header: Header) -> bool:
    return bool(header.ra_hours or header.dec_deg) and math.isfinite(header.ra_hours) and math.isfinite(header.dec_deg)
