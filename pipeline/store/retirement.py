"""Retired folders: they left the corpus, and are deleted some days later.

A search opens files late, and reads the generation that was current when it started. So a folder that the newest
generation does not name is not deleted at once: it is *retired*, and stays for at least :data:`GRACE_S`. The number of
generations cannot serve as the clock: an ingest publishes ten of them in less than a minute, and an idle corpus
publishes none in a month.

The clock of the machine may be wrong, and may be corrected by a year between two runs. So one difference of two clock
readings proves nothing. A folder is deleted after two intervals of at least :data:`GRACE_S`. The first interval begins
when the folder is retired, and the second one when a run finds that the first is over. The run that finds that the
second is over deletes the folder. If the clock jumps once, only one of the intervals is wrong.

The manifest has the beginning of the first interval. The folder's time of change has the beginning of the second; until
then, it is the time of retirement. Both are readings of the machine's clock, never of a file server's. If one of them
lies ahead, the clock was set back, and the interval begins again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.catalogue import Manifest
from pipeline.overview import scan_of_overview
from pipeline.store.foreign_files import holds_group
from pipeline.store.layout import SEGMENTS, SOURCES, overview_folder, segment_folder, source_folder, vector_folder
from pipeline.support.safe_files import date_folder

GRACE_S = 86_400.0
"""Minimum number of seconds that a retired folder stays. A search that began before may read it that long."""

_HERE = Path()


def retired_by(root: Path, before: Manifest, after: Manifest, now_s: float) -> dict[str, float]:
    """Return the retired folders of the generation ``after``, which follows ``before``; date the new ones.

    Returns
    -------
    dict
        Folder relative to ``root`` → Unix seconds at which it was retired. Folders that ``after`` names again, and
        folders that do not exist, are left out.
    """
    kept = {folder: since_s for folder, since_s in after.retired.items() if not _names(after, folder)}
    dropped = [folder for folder in _dropped(before, after) if (root / folder).is_dir()]
    return kept | {folder: _begin(root, folder, now_s) for folder in dropped}


def is_retired(manifest: Manifest, folder: Path) -> bool:
    """Return True if ``folder``, relative to the corpus, is retired."""
    return folder.as_posix() in manifest.retired


def settle(root: Path, manifest: Manifest, now_s: float) -> tuple[list[str], dict[str, float]]:
    """Find out which retired folders may be deleted, and begin each interval of the others that is due.

    Returns
    -------
    list of str, dict
        Folders to delete; and the table of the other retired folders. Folders of windows are deleted last, so that
        vectors without windows are never adopted.
    """
    doomed, kept = [], {}
    for folder, since_s in manifest.retired.items():
        if _names(manifest, folder):
            kept[folder] = since_s
            continue
        confirmed_s = _dated(root, folder)
        if confirmed_s is None:  # gone: nothing is left but its entry
            doomed.append(folder)
        elif since_s > now_s:  # the clock was set back
            kept[folder] = _begin(root, folder, now_s)
        elif now_s - since_s < GRACE_S:
            kept[folder] = since_s
        elif not holds_group(root / folder):  # not a folder of the store: only the entry is removed
            doomed.append(folder)
        elif confirmed_s > now_s or confirmed_s - since_s < GRACE_S:
            kept[folder] = since_s
            _begin(root, folder, now_s)
        elif now_s - confirmed_s < GRACE_S:
            kept[folder] = since_s
        else:
            doomed.append(folder)
    return sorted(doomed, key=lambda folder: folder.startswith(f"{SOURCES}/")), kept


def _begin(root: Path, folder: str, now_s: float) -> float:
    """Set the time of change of a folder to now, and return it in whole seconds, which file systems store exactly."""
    with suppress(OSError):  # a folder of another user keeps its time
        date_folder(root, root / folder, int(now_s))
    return float(int(now_s))


def _dated(root: Path, folder: str) -> float | None:
    """Return the time of change of a folder in Unix seconds, or None if it is gone."""
    try:
        return (root / folder).lstat().st_mtime
    except FileNotFoundError:
        return None


def _dropped(before: Manifest, after: Manifest) -> Iterator[str]:
    """Yield the folders that ``before`` names and ``after`` does not."""
    for source_id, entry in before.sources.items():
        now = after.sources.get(source_id)
        if now is entry:
            continue
        if now is None:
            yield source_folder(_HERE, source_id).as_posix()
        if entry.overview and (now is None or not now.overview):
            yield overview_folder(_HERE, source_id).as_posix()
        for key in entry.vectors:
            if now is None or key not in now.vectors:
                yield vector_folder(_HERE, key, source_id).as_posix()
    held = {segment.id for segment in after.segments}
    for segment in before.segments:
        if segment.id not in held:
            yield segment_folder(_HERE, segment.id).as_posix()


def _names(manifest: Manifest, folder: str) -> bool:
    """Return True if a generation names ``folder``."""
    kind, *key, name = folder.split("/")
    if kind == SEGMENTS:
        return any(segment.id == name for segment in manifest.segments)
    if scan_id := scan_of_overview(name):
        return scan_id in manifest.sources and manifest.sources[scan_id].overview
    entry = manifest.sources.get(name)
    return entry is not None and (kind == SOURCES or key[0] in entry.vectors)
