"""Folders that are no longer part of a corpus: when they left it, and when they may go.

A search opens what it needs when it needs it, of the generation that was current when it began. So nothing is deleted
because the newest generation does not name it: it is *retired*, and deleted a day later. (Generations are no clock: an
ingest publishes ten of them, all that are kept, in less than a minute; a corpus at rest publishes none in a month.)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.store.layout import SEGMENTS, SOURCES, segment_folder, source_folder, vector_folder
from pipeline.store.manifest import Manifest

GRACE_S = 86_400.0
"""How long a retired folder stays: whoever opened the corpus before may read it so long."""

_HERE = Path()


def retired_by(root: Path, before: Manifest, after: Manifest, now_s: float) -> dict[str, float]:
    """Return what is retired once ``after`` follows ``before``: folder, relative to ``root`` → since when.

    What was retired and is named again is not; nor is what is not there.
    """
    kept = {folder: since_s for folder, since_s in after.retired.items() if not _names(after, folder)}
    return kept | {folder: now_s for folder in _dropped(before, after) if (root / folder).is_dir()}


def is_retired(manifest: Manifest, folder: Path) -> bool:
    """Tell whether ``folder``, relative to the corpus, has left it."""
    return folder.as_posix() in manifest.retired


def due(manifest: Manifest, now_s: float) -> list[str]:
    """List the folders that may be deleted: vectors before the windows they were made of, as they may be adopted."""
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
    """Tell whether a generation is made of ``folder``, among others."""
    kind, *key, name = folder.split("/")
    if kind == SEGMENTS:
        return any(segment.id == name for segment in manifest.segments)
    entry = manifest.sources.get(name)
    return entry is not None and (kind == SOURCES or key[0] in entry.vectors)
