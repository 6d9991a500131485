"""Find the source that a user names; or say why the corpus does not hold it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import QueryError
from pipeline.support.text import listed, shown
from pipeline.views import is_plain, scan_of

if TYPE_CHECKING:
    from pipeline.catalogue.manifest import Manifest


def stem_of(source_id: str) -> str:
    """Return what the ids of all files of one scan begin with: telescope, day, second and target."""
    return source_id.rpartition("_")[0]


def sources_named(text: str, paths: Mapping[str, Collection[str]]) -> set[str]:
    """Return the ids of the sources that ``text`` may mean.

    A full id comes first, then the path or the name of one of the source's files, then the beginning of an id. A scan
    comes before its averaged views.

    Parameters
    ----------
    text : str
        What the user wrote.
    paths : mapping
        Source id → paths of its files.
    """
    if text in paths:
        return {text}
    found = {source_id for source_id, files in paths.items() if any(is_named(text, path) for path in files)}
    found = found or {source_id for source_id in paths if text and source_id.startswith(text)}
    return {source_id for source_id in found if is_plain(source_id) or scan_of(source_id) not in found}


def is_named(text: str, path: str) -> bool:
    """Return True if a text is a path, or the name of its file."""
    return text in (path, Path(path).name)


def why_absent(text: str, manifest: Manifest, undo: Callable[[str], str]) -> str:
    """Return why a corpus does not hold what a user names; empty if it has never looked at it.

    Parameters
    ----------
    text : str
        What the user wrote. No source of the corpus is meant.
    manifest : Manifest
    undo : callable
        Gives the command that takes a removed source back.
    """
    entries = {path: entry for path, entry in manifest.files.items() if entry.reason and is_named(text, path)}
    removed = sources_named(text, manifest.removed) | {
        entry.source_id for entry in entries.values() if entry.source_id in manifest.removed}
    if removed:
        ids = sorted(removed)
        if len(ids) > 1:
            return f"{listed(ids)} were removed; to take one back: {undo('SOURCE')}"
        return f"{ids[0]} was removed; to take it back: {undo(ids[0])}"
    return next((f"was not taken in: {entry.reason}, {shown(entry.message)}" for entry in entries.values()), "")


def source_named(text: str, paths: Mapping[str, Collection[str]], what: str) -> str:
    """Return the id of the one source that ``text`` means (:func:`sources_named`).

    Parameters
    ----------
    text : str
        What the user wrote.
    paths : mapping
        Source id → paths of its files.
    what : str
        Noun for these sources, such as "removed source", for the error message.

    Raises
    ------
    QueryError
        No source is meant, or several may be. The message lists them.
    """
    found = sources_named(text, paths)
    if not found:
        raise QueryError(f"{text}: no {what} has this id or file name; there are {listed(sorted(paths)) or 'none'}")
    if len(found) > 1:
        raise QueryError(f"{text}: could be any of {listed(sorted(found))}; give more of its id")
    return found.pop()
