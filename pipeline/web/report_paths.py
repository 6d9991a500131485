"""Leaves the folders of the server out of a night's report: readers of the page need not know where files lie.

Files are named by their path below the folders of data, or by their name. On the disk, reports keep whole paths.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.support.text import shown

PATHS = ("path", "was_at", "corpus", "html", "json")
"""Fields of a report that hold one path."""
PATH_LISTS = ("data", "done", "missing")
"""Fields of a report that hold several."""
_BEGINS = r"(?<![\w.+/-])"
_FOLDERS = re.compile(_BEGINS + r"(?:/[^/\s'\"<>|:;,()]+)+/(?=[^/\s])")
"""The folders of an absolute path in a sentence. Only names with a space or such a sign must be known beforehand."""
_TARGET = re.compile(r"(?<=links to )/[^\n]*/(?=[^/\n]*, which does not exist)")
"""The folders of what a link names. No field of a report holds them."""
_MARKUP = re.compile(r"(<style.*?</style>|<[^>]*>)", re.DOTALL)


def shortener(report: Mapping[str, Any]) -> Callable[[str], str]:
    """Return what leaves folders out of a text of a report.

    Parameters
    ----------
    report : mapping
        The whole report. It says which folders and files its texts may name.
    """
    data = [one for one in report.get("data", ()) if _is_absolute(one)]
    parents = {str(PurePosixPath(one).parent) for one in _paths_in(report) if _is_absolute(one)}
    ordered = [*sorted(data, key=len, reverse=True), *sorted(parents, key=len, reverse=True)]
    spelled = dict.fromkeys(name for one in ordered for name in (one, shown(one)))  # messages escape some signs
    known = [re.compile(f"{_BEGINS}{re.escape(one.rstrip('/'))}/") for one in spelled if one.strip("/")]
    whole = [(re.compile(_BEGINS + re.escape(one.rstrip("/")) + r"(?![\w/.-])"), PurePosixPath(one).name)
             for one in data if PurePosixPath(one).name]

    def shorten(text: str) -> str:
        for pattern, name in whole:
            text = pattern.sub(lambda _, name=name: name, text)  # type: ignore[misc]
        for folder in known:
            text = folder.sub("", text)
        return _FOLDERS.sub("", _TARGET.sub("", text))

    return shorten


def shortened(value: Any, shorten: Callable[[str], str]) -> Any:
    """Return a value of a report with all its texts shortened."""
    if isinstance(value, str):
        return shorten(value)
    if isinstance(value, list):
        return [shortened(one, shorten) for one in value]
    return {name: shortened(one, shorten) for name, one in value.items()} if isinstance(value, dict) else value


def shortened_page(page: str, shorten: Callable[[str], str]) -> str:
    """Return a report as HTML with all its texts shortened. Tags, with the pictures in them, stay as they are."""
    parts = _MARKUP.split(page)
    parts[::2] = [html.escape(shorten(html.unescape(text))) for text in parts[::2]]
    return "".join(parts)


def _is_absolute(path: Any) -> bool:
    return isinstance(path, str) and path.startswith("/")


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
