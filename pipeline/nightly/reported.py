"""What earlier reports have told, so that a night reports what a killed night has found and not reported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import RunError
from pipeline.nightly.report import name_unwritable
from pipeline.support.durable import make_folder, write_atomic

REPORTED_FILE = "reported.json"
"""File in the folder of the reports that says what they have told."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What has been in a report."""

    sources: frozenset[str] = frozenset()
    """Ids of sources. All others are tonight's."""
    failures: Mapping[str, float] = field(default_factory=dict)
    """Path of a file that could not be used → since when, in Unix seconds, as its entry in the manifest says."""

    @classmethod
    def all_of(cls, manifest: Manifest) -> Self:
        """Return that everything in a corpus has been reported."""
        return cls(frozenset(manifest.sources),
                   {path: entry.since_s for path, entry in manifest.files.items() if entry.is_wrong})

    def has_failure(self, path: str, entry: FileEntry) -> bool:
        """Return True if a failure has been reported, and its file has not changed since."""
        return self.failures.get(path) == entry.since_s

    def with_failures(self, paths: Iterable[str], manifest: Manifest) -> Self:
        """Add the failures of a report. Those of files that are no longer wrong are dropped."""
        told = {path for path, entry in manifest.files.items() if self.has_failure(path, entry)} | {*paths}
        entries = {path: manifest.files[path] for path in sorted(told & manifest.files.keys())}
        return type(self)(self.sources, {path: one.since_s for path, one in entries.items() if one.is_wrong})


def read_reported(folder: Path, past: Manifest) -> Reported | None:
    """Return what the reports in a folder have told; None before the first report.

    Parameters
    ----------
    folder : Path
        Folder of the reports.
    past : Manifest
        The corpus. Its failures count as reported if an earlier version wrote the file, which names sources alone.

    Raises
    ------
    RunError
        The file is damaged.
    """
    path = folder / REPORTED_FILE
    try:
        record = json.loads(path.read_bytes())
        if isinstance(record, list):
            return Reported(frozenset(record), Reported.all_of(past).failures)
        return Reported(frozenset(record["sources"]), dict(record["failures"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: is damaged ({error}); delete it: the next night then counts all that the corpus holds "
                       "as reported") from error


def write_reported(folder: Path, reported: Reported) -> None:
    """Note what has been in a report."""
    record = {"sources": sorted(reported.sources), "failures": dict(reported.failures)}
    with name_unwritable(folder):
        make_folder(folder)
        write_atomic(folder / REPORTED_FILE, json.dumps(record).encode())
