"""Names files without the folders of the server: readers of the page need not know where files lie.

A file is named by its path below a folder of data, or else by its name. Answers, exports, messages and reports of
nights follow this rule. The command line names whole paths.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from os.path import abspath, realpath
from pathlib import Path, PurePosixPath

from pipeline.model import Hit
from pipeline.support.text import shown

BEGINS = r"(?<![\w.+/-])"
"""Pattern of the place where a path may begin in a sentence."""
_ENDS = r"(?![\w/-]|\.\w)"
"""Pattern of the place where a path may end in a sentence."""
_MARKUP = re.compile(r"(<style.*?</style>|<[^>]*>)", re.DOTALL)


class ShortPaths:
    """Short paths of files below some folders of data.

    Parameters
    ----------
    roots : iterable of Path
        Folders of data.
    """

    def __init__(self, roots: Iterable[Path] = ()) -> None:
        self.roots = tuple(dict.fromkeys(spell(one) for one in roots for spell in (abspath, realpath)))
        """Absolute paths of the folders, as they were given and without links."""
        self._begins = sorted((one.rstrip("/") + "/" for one in self.roots), key=len, reverse=True)

    def of_file(self, path: str) -> str:
        """Return the path of a file below the innermost folder of data that it lies in, or else its name."""
        for root in self._begins:
            if path.startswith(root):
                return path.removeprefix(root)
        return PurePosixPath(path).name

    def of_hit(self, hit: Hit) -> Hit:
        """Return a hit that names its files by short paths."""
        return replace(hit, file=self.of_file(hit.file), also_at=tuple(map(self.of_file, hit.also_at)))


def shortener(data: Iterable[str], folders: Iterable[str]) -> Callable[[str], str]:
    """Return what leaves folders out of a text.

    Parameters
    ----------
    data : iterable of str
        Folders of data, and single files. They are named by their last part, and what lies below them by its path
        from there.
    folders : iterable of str
        Further folders. What lies directly in them is named without them.
    """
    named, further = (sorted({one.rstrip("/") for one in some if one.startswith("/")} - {""}, key=len, reverse=True)
                      for some in (data, folders))
    within = dict.fromkeys(spelled for one in (*named, *further) for spelled in _spellings(one))
    alone = {spelled: PurePosixPath(spelled).name for one in named for spelled in _spellings(one)}

    def shorten(text: str) -> str:
        if "/" not in text:
            return text
        for folder in within:
            if f"{folder}/" in text:
                text = re.sub(f"{BEGINS}{re.escape(folder)}/", "", text)
        for folder, name in alone.items():
            if folder in text:
                text = re.sub(BEGINS + re.escape(folder) + _ENDS, lambda _, name=name: name, text)  # type: ignore[misc]
        return text

    return shorten


def _spellings(path: str) -> Iterable[str]:
    """Return how texts spell a path: as it is, printable, in Python, and in a shell."""
    return dict.fromkeys((path, shown(path), repr(path)[1:-1], shown(path).replace("'", "'\"'\"'")))


def shortened_page(page: str, shorten: Callable[[str], str]) -> str:
    """Return a page of HTML with all its texts shortened. Tags, with the pictures in them, stay as they are."""
    parts = _MARKUP.split(page)
    parts[::2] = [html.escape(shorten(html.unescape(text))) for text in parts[::2]]
    return "".join(parts)
