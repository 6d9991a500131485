"""Find filterbank files in the folders that a user names."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError, FileStatus, Reason, SourceError
from pipeline.filterbank.access import access_error, refusal
from pipeline.model import SourceReport
from pipeline.support.text import shown

SUFFIXES = (".h5", ".hdf5", ".fil")

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that has the name of a filterbank file. It has not been opened."""

    path: Path
    """Absolute path. Links are followed, but not resolved."""
    root: Path
    """Folder named by the user in which the file was found. For a file named by the user: the folder of the file."""
    accept_truncated: bool = False
    """True to read the whole spectra of the file even if its end is missing."""


def find_files(paths: Sequence[str | Path]) -> tuple[list[FoundFile], list[SourceReport]]:
    """List the filterbank files in some files and folders, in the order of the bytes of their paths.

    Links to files and folders are followed. In folders, files that end in ``.h5``, ``.hdf5`` or ``.fil``, in any case,
    are listed. A file that is named itself is listed whatever its name is.

    Returns
    -------
    list of FoundFile, list of SourceReport
        The files, and a report (PERMISSION, BAD_LINK, …) for each path that cannot be read. The search goes on after
        such a path. It counts as failed if the user named it, if it is a folder that cannot be listed, or if it has the
        name of a filterbank file. Otherwise it counts as skipped: a link to a folder above, or a broken link.

    Raises
    ------
    ConfigError
        A path does not exist.
    """
    walk = _Walk()
    for argument in paths:
        path = Path(os.path.abspath(argument))
        if not os.path.lexists(path):
            raise ConfigError(f"{shown(argument)}: no such file or folder")
        walk.visit(path)
    return ([walk.found[path] for path in sorted(walk.found, key=os.fsencode)],
            [walk.reports[path] for path in sorted(walk.reports, key=os.fsencode)])


class _Walk:
    def __init__(self) -> None:
        self.found: dict[Path, FoundFile] = {}
        self.reports: dict[Path, SourceReport] = {}

    def visit(self, argument: Path) -> None:
        kind = self._kind(argument)
        if kind is not None and stat.S_ISDIR(kind.st_mode):
            self._descend(argument)
        elif kind is not None:
            self._take(argument, kind, argument.parent)

    def _descend(self, root: Path) -> None:
        real = Path(os.path.realpath(root))
        above = frozenset(_identity(os.stat(folder)) for folder in (real, *real.parents))
        folders = [(root, above)]
        while folders:
            folder, above = folders.pop()
            for path in self._children(folder):
                kind = self._kind(path, "failed" if has_suffix(path) else "skipped")
                if kind is None:
                    continue
                if not stat.S_ISDIR(kind.st_mode):
                    if has_suffix(path):
                        self._take(path, kind, root)
                elif _identity(kind) in above:
                    self._report(path, refusal(Reason.BAD_LINK, path, "links to a folder above it"), "skipped")
                else:
                    folders.append((path, above | {_identity(kind)}))

    def _children(self, folder: Path) -> list[Path]:
        try:
            with os.scandir(folder) as entries:
                return [folder / entry.name for entry in entries]
        except OSError as error:
            self._report(folder, access_error(error, folder))
            return []

    def _kind(self, path: Path, status: FileStatus = "failed") -> os.stat_result | None:
        """Return ``os.stat`` of a path. If that fails, report the path with ``status`` and return None."""
        try:
            return os.stat(path)
        except OSError as error:
            fault = access_error(error, path)
            if fault.reason is not Reason.GONE:
                self._report(path, fault, status)
            elif status == "failed":  # a file that is gone is reported only if it has the name of a filterbank file
                self._report(path, fault)
            return None

    def _take(self, path: Path, kind: os.stat_result, root: Path) -> None:
        if stat.S_ISREG(kind.st_mode):
            self.found.setdefault(path, FoundFile(path, root))
        else:
            self._report(path, refusal(Reason.NOT_FILTERBANK, path, "not a regular file"))

    def _report(self, path: Path, error: SourceError, status: FileStatus | None = None) -> None:
        self.reports[path] = SourceReport(str(path), status or error.reason.status, reason=error.reason,
                                          message=error.message)


def has_suffix(path: Path) -> bool:
    """Return True if a file has the name of a filterbank file."""
    return path.suffix.lower() in SUFFIXES


def _identity(kind: os.stat_result) -> Identity:
    return kind.st_dev, kind.st_ino
