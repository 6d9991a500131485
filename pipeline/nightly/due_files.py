"""Selects the files of a night: new and changed files that are complete, and failed files whose next try is due."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.model import SourceReport
from pipeline.run import Selected, Stat, may_heal, stat_of, unchanged_s
from pipeline.support.text import shown

DAY_S = 86_400.0
MAX_EARLY_DAYS = 0.5
"""A night may begin up to this much earlier in the day than the night before."""


def next_try_s(entry: FileEntry, tries: int) -> float | None:
    """Return the time from which a file that failed is tried again, in Unix seconds; None if it must change first.

    After its 1st, 2nd, 3rd, 4th … try, a file rests for 1, 2, 4, 8 … nights. After ``tries`` tries it is left alone
    until it changes.
    """
    if not may_heal(entry) or entry.tries >= tries:
        return None
    return entry.tried_s + (2.0 ** (entry.tries - 1) - MAX_EARLY_DAYS) * DAY_S


@dataclass(frozen=True, slots=True)
class NightRules:
    """Rules by which a night selects files."""

    now_s: float
    """Time at which the night began, in Unix seconds."""
    min_age_s: float
    """A file that changed less than this many seconds ago is left for the next night."""
    tries: int
    """A file that failed this often is left alone until it changes."""
    retry: bool = False
    """True to try all files that failed, whether they are due or not."""

    def is_due(self, entry: FileEntry) -> bool:
        """Return True if a file that failed, and has not changed since, is tried tonight."""
        if self.retry:
            return True
        at_s = next_try_s(entry, self.tries)
        was_set_back = entry.tried_s > self.now_s  # the clock: the time of the next try would lie as far ahead
        return at_s is not None and (was_set_back or self.now_s >= at_s)


@dataclass(frozen=True, slots=True)
class DueFiles:
    """The files of a night."""

    selected: Selected
    """What ingest is given. Failed files that are not due are among its reports."""
    known: frozenset[str] = frozenset()
    """Paths of failures that were found before, and that tonight does not try again."""
    left: tuple[SourceReport, ...] = ()
    """Files that are left for the next night, as they are still changing."""


def select_due(found: Selected, manifest: Manifest, rules: NightRules) -> DueFiles:
    """Select the files that a night gives to ingest.

    A file that the corpus holds is selected, too: ingest knows it by the manifest, and reads it again only if its
    windows are gone. A file counts as complete if neither its content nor its place has changed for
    ``rules.min_age_s`` seconds, nor since it was found. Both mtime and ctime count, because a copy may bear the mtime
    of its original.

    A link or folder that cannot be followed fails once, and is known from then on until it changes.
    """
    files: list[FoundFile] = []
    not_due: list[SourceReport] = []
    left: list[SourceReport] = []
    known = {path for path, stat in found.faults.items()
             if not rules.retry and _has_failed(manifest.files.get(path), stat)}
    for file in found.files:
        path = str(file.path)
        stat, entry = found.stats[path], manifest.files.get(path)
        is_known = entry is not None and stat == (entry.size_bytes, entry.mtime_ns)
        if is_known and entry is not None and entry.is_wrong and not rules.is_due(entry):
            not_due.append(SourceReport(path, entry.status, entry.source_id, entry.reason, entry.message))
        elif is_known and entry is not None and not entry.is_wrong:
            files.append(file)
        elif (unchanged_s := _unchanged_s(file, stat, rules.now_s)) < rules.min_age_s:
            message = (f"{shown(file.path)}: changed {max(0.0, unchanged_s):.0f} s ago and may still grow; left for "
                       "the next night (--min-age 0s takes it now)")
            left.append(SourceReport(path, "busy", reason=Reason.BUSY, message=message))
        else:
            files.append(file)
    return DueFiles(replace(found, files=tuple(files), reports=(*found.reports, *not_due)),
                    frozenset({*known, *(report.path for report in not_due)}), tuple(left))


def _has_failed(entry: FileEntry | None, stat: Stat) -> bool:
    """Return True if a failure is recorded, and what failed has not changed since."""
    return entry is not None and entry.is_wrong and (entry.size_bytes, entry.mtime_ns) == stat


def _unchanged_s(file: FoundFile, before: Stat | None, now_s: float) -> float:
    """Return the seconds for which a file has not changed; infinity for a file that is gone, which ingest reports."""
    age_s = unchanged_s(file.path, now_s)
    return 0.0 if age_s < float("inf") and before != stat_of(file.path) else age_s
