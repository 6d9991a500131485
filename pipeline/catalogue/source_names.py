"""Find the source that a user names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from pipeline.errors import QueryError
from pipeline.support.text import listed
from pipeline.views import is_plain, scan_of


def stem_of(source_id: str) -> str:
    """Return what the ids of all files of one scan begin with: telescope, day, second and target."""
    return source_id.rpartition("_")[0]


def sources_named(text: str, paths: Mapping[str, Collection[str]]) -> set[str]:
    """Return the ids of the sources that ``text`` may mean.

    A full id comes first, then the name of one of the source's files, then the beginning of an id. A scan comes before
    its averaged views.

    Parameters
    ----------
    text : str
        What the user wrote.
    paths : mapping
        Source id → paths of its files.
    """
    if text in paths:
        return {text}
    found = {source_id for source_id, files in paths.items() if text in {Path(path).name for path in files}}
    found = found or {source_id for source_id in paths if text and source_id.startswith(text)}
    return {source_id for source_id in found if is_plain(source_id) or scan_of(source_id) not in found}


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
