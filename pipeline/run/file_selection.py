"""Selects the files of a run, before anything is read from them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.filterbank import FoundFile, find_files
from pipeline.model import SourceReport

MIN_AGE_S = 600.0
"""A file that has changed less than this many seconds ago may still be written."""
Stat = tuple[int, int]
"""Size in bytes and time of change in ns of a file."""


@dataclass(frozen=True, slots=True)
class Selected:
    """Files that a run is given, and reports of files that were found but are not given to it."""

    files: tuple[FoundFile, ...]
    reports: tuple[SourceReport, ...]
    stats: Mapping[str, Stat | None]
    """Path → size and time of change when the file was found; None if it is gone."""
    faults: Mapping[str, Stat] = field(default_factory=dict)
    """Path of each link and folder that could not be followed → size and time of change, by which a later run
    recognises the failure. For a link, they are those of the link itself. Otherwise they are zero."""
    missing: tuple[str, ...] = ()
    """Paths that the user named and that do not exist."""
    empty: tuple[str, ...] = ()
    """Folders that the user named and that hold no filterbank file."""


def select_files(paths: Sequence[str | Path], *, may_be_missing: bool = False) -> Selected:
    """Find the filterbank files (.h5, .hdf5, .fil) that paths name.

    Parameters
    ----------
    paths : sequence of path
        Files and folders; folders are walked. A file is taken whatever its name.
    may_be_missing : bool
        True to go on with the other paths if some do not exist or hold no file.

    Returns
    -------
    Selected
        With a report of each folder and link that could not be followed.

    Raises
    ------
    ConfigError
        A path does not exist, or no file is found. Not if ``may_be_missing``.
    """
    named = [Path(path).absolute() for path in paths]
    missing = [path for path in named if not os.path.exists(path)] if may_be_missing else []
    present = [path for path in named if path not in missing]
    files, reports = find_files(present)
    if not files and not reports and not may_be_missing:
        raise ConfigError(f"{', '.join(map(str, paths))}: no filterbank files (.h5, .hdf5, .fil) there")
    empty = [path for path in present if path.is_dir() and not any(file.path.is_relative_to(path) for file in files)]
    return Selected(
        files=tuple(files),
        reports=tuple(reports),
        stats={str(file.path): stat_of(file.path) for file in files},
        faults={report.path: _stat_of_fault(report.path) for report in reports if report.status == "failed"},
        missing=tuple(map(str, missing)),
        empty=tuple(map(str, empty)),
    )


def stat_of(path: str | Path) -> Stat | None:
    """Return the size and time of change of a file, or None if it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def unchanged_s(path: str | Path, now_s: float) -> float:
    """Return the seconds for which neither the content nor the place of a file has changed; infinity if it is gone.

    Both times of change count, because a copy may bear the time of its original.
    """
    try:
        found = os.stat(path)
    except OSError:
        return float("inf")
    return now_s - max(found.st_mtime, found.st_ctime)


def _stat_of_fault(path: str) -> Stat:
    """Return what identifies a failure to follow a path. A folder's time of change is left out: it changes often."""
    try:
        found = os.lstat(path)
    except OSError:
        return 0, 0
    return (found.st_size, found.st_mtime_ns) if stat.S_ISLNK(found.st_mode) else (0, 0)
