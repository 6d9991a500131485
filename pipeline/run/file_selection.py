"""Selects the files of a run, before anything is read from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


def select_files(paths: Sequence[str | Path]) -> Selected:
    """Find the filterbank files (.h5, .hdf5, .fil) that paths name.

    Parameters
    ----------
    paths : sequence of path
        Files and folders; folders are walked. A file is taken whatever its name.

    Returns
    -------
    Selected
        With a report of each folder and link that could not be followed.

    Raises
    ------
    ConfigError
        A path does not exist, or no file is found.
    """
    files, reports = find_files([Path(path).absolute() for path in paths])
    if not files and not reports:
        raise ConfigError(f"{', '.join(map(str, paths))}: no filterbank files (.h5, .hdf5, .fil) there")
    return Selected(tuple(files), tuple(reports), {str(file.path): stat_of(file.path) for file in files})


def stat_of(path: str | Path) -> Stat | None:
    """Return the size and time of change of a file, or None if it is gone."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def unchanged_s(path: str | Path, now_s: float) -> float:
    """Return the seconds for which neither the content nor the place of a file has changed; infinity if it is gone.

    Both times of change count, because a copy may bear the time of its original.
    """
    try:
        stat = os.stat(path)
    except OSError:
        return float("inf")
    return now_s - max(stat.st_mtime, stat.st_ctime)
