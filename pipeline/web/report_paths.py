"""Leaves the folders of the server out of a night's report: readers of the page need not know where files lie.

Files are named by their path below the folders of data, or by their name. On the disk, reports keep whole paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.web import short_paths

PATHS = ("path", "was_at", "corpus", "html", "json")
"""Fields of a report that hold one path."""
PATH_LISTS = ("data", "done", "missing")
"""Fields of a report that hold several."""
_FOLDERS = re.compile(short_paths.BEGINS + r"(?:/[^/\s'\"<>|:;,()]+)+/(?=[^/\s])")
"""The folders of an absolute path in a sentence. Only names with a space or such a sign must be known beforehand."""
_TARGET = re.compile(r"(?<=links to )/[^\n]*/(?=[^/\n]*, which does not exist)")
"""The folders of what a link names. No field of a report holds them."""


def shortener(report: Mapping[str, Any]) -> Callable[[str], str]:
    """Return what leaves folders out of a text of a report.

    Parameters
    ----------
    report : mapping
        The whole report. It says which folders and files its texts may name.
    """
    paths = {str(PurePosixPath(one).parent) for one in _paths_in(report) if isinstance(one, str)}
    known = short_paths.shortener([one for one in report.get("data", ()) if isinstance(one, str)], paths)
    return lambda text: _FOLDERS.sub("", _TARGET.sub("", known(text)))


def shortened(value: Any, shorten: Callable[[str], str]) -> Any:
    """Return a value of a report with all its texts shortened."""
    if isinstance(value, str):
        return shorten(value)
    if isinstance(value, list):
        return [shortened(one, shorten) for one in value]
    return {name: shortened(one, shorten) for name, one in value.items()} if isinstance(value, dict) else value


def _paths_in(value: Any) -> Iterator[Any]:
    """Yield what the fields hold that are paths."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if name in PATHS:
                yield one
            elif name in PATH_LISTS and isinstance(one, list):
                yield from one
            yield from _paths_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _paths_in(one)
