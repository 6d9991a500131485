"""The sources of a catalogue by scan: a scan itself, and the averaged views of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pipeline.views import is_plain, scan_of


def with_views(source_ids: Collection[str], among: Iterable[str]) -> set[str]:
    """Return the ids of all sources ``among`` these that are views of the scans of some sources."""
    scans = {scan_of(source_id) for source_id in source_ids}
    return {source_id for source_id in among if scan_of(source_id) in scans}


def scans_among(source_ids: Iterable[str]) -> list[str]:
    """Return the ids that are scans themselves, not averaged views."""
    return [source_id for source_id in source_ids if is_plain(source_id)]
