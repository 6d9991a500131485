"""Retired folders: they left the corpus, and are deleted a day later.

A search opens files late, and reads the generation that was current when it started. So a folder that the newest
generation does not name is not deleted at once: it is *retired*, and deleted after :data:`GRACE_S`. The number of
generations cannot serve as the clock: an ingest publishes ten of them in less than a minute, and an idle corpus
publishes none in a month.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.catalogue import Manifest
from pipeline.store.layout import SEGMENTS, SOURCES, segment_folder, source_folder, vector_folder

GRACE_S = 86_400.0
"""Seconds that a retired folder stays. A search that opened the corpus before may read it that long."""

_HERE = Path()


def retired_by(root: Path, before: Manifest, after: Manifest, now_s: float) -> dict[str, float]:
    """Return the retired folders of the generation ``after``, which follows ``before``.

    Returns
    -------
    dict
        Folder relative to ``root`` → Unix seconds at which it was retired. Folders that ``after`` names again, and
        folders that do not exist, are left out.
    """
    kept = {folder: since_s for folder, since_s in after.retired.items() if not _names(after, folder)}
    return kept | {folder: now_s for folder in _dropped(before, after) if (root / folder).is_dir()}


def is_retired(manifest: Manifest, folder: Path) -> bool:
    """Return True if ``folder``, relative to the corpus, is retired."""
    return folder.as_posix() in manifest.retired


def due(manifest: Manifest, now_s: float) -> list[str]:
    """Return the folders that may be deleted. Windows come last, so that vectors without windows are never adopted."""
    folders = [folder for folder, since_s in manifest.retired.items()
               if now_s - since_s >= GRACE_S and not _names(manifest, folder)]
    return sorted(folders, key=lambda folder: folder.startswith(f"{SOURCES}/"))


def _dropped(before: Manifest, after: Manifest) -> Iterator[str]:
    """Yield the folders that ``before`` names and ``after`` does not."""
    for source_id, entry in before.sources.items():
        now = after.sources.get(source_id)
        if now is entry:
            continue
        if now is None:
            yield source_folder(_HERE, source_id).as_posix()
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
    entry = manifest.sources.get(name)
    return entry is not None and (kind == SOURCES or key[0] in entry.vectors)
