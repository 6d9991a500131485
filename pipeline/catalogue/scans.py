"""The sources of a catalogue by scan: a scan itself, and the averaged views of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pipeline.overview import scan_of_overview
from pipeline.support.text import shown
from pipeline.views import is_plain, scan_of


def with_views(source_ids: Collection[str], among: Iterable[str]) -> set[str]:
    """Return those ids in ``among`` that belong to the scans of some sources: the scans themselves and their views."""
    scans = {scan_of(source_id) for source_id in source_ids}
    return {source_id for source_id in among if scan_of(source_id) in scans}


def scans_among(source_ids: Iterable[str]) -> list[str]:
    """Return the ids that are scans themselves, not averaged views."""
    return [source_id for source_id in source_ids if is_plain(source_id)]


def scan_of_folder(name: str) -> str:
    """Return the id of the scan to which a folder of windows, of vectors or of an overview belongs."""
    return scan_of_overview(name) or scan_of(name)


def removed_message(path: str, source_id: str, what: str = "was removed") -> str:
    """Return the message for a file of a removed source; ``what`` says what the file is to this source."""
    return f"{shown(path)}: {what}; to take it in again: lookalike remove --undo {source_id} --corpus CORPUS"
