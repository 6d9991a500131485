"""How people name sources."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from pipeline.errors import QueryError
from pipeline.support.text import listed


def sources_named(text: str, paths: Mapping[str, Collection[str]]) -> set[str]:
    """Return the ids of sources that may be meant: by its id, the name of a file of it, or the beginning of its id."""
    if text in paths:
        return {text}
    found = {source_id for source_id, files in paths.items() if text in {Path(path).name for path in files}}
    return found or {source_id for source_id in paths if text and source_id.startswith(text)}


def source_named(text: str, paths: Mapping[str, Collection[str]], what: str) -> str:
    """Return the id of the one source named by its id, the beginning of it, or the name of a file of it.

    Parameters
    ----------
    text : str
    paths : mapping
        Source id → its files.
    what : str
        What these are, for the message that none of them is meant.

    Raises
    ------
    QueryError
        There is none, or several: these are listed.
    """
    found = sources_named(text, paths)
    if not found:
        raise QueryError(f"{text}: no {what} has this id or file name; there are {listed(sorted(paths)) or 'none'}")
    if len(found) > 1:
        raise QueryError(f"{text}: could be any of {listed(sorted(found))}; say which, by more of its id")
    return found.pop()
