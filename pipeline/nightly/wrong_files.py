"""Lists the files that cannot be used, and those that are no filterbank files, for a night's report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import Reason
from pipeline.model import SourceReport
from pipeline.nightly.due_files import next_try_s
from pipeline.nightly.report import Wrong
from pipeline.nightly.reported import Reported
from pipeline.support.text import counted, listed, shown

MAX_NAMED = 20
"""Maximum number of files that a warning names; the others are counted."""


def wrong_files(
    reports: Sequence[SourceReport], manifest: Manifest, known: Collection[str], reported: Reported, tries: int
) -> tuple[Wrong, ...]:
    """List the files that ingest could not use, those of tonight first.

    Files that are gone, or have changed since they failed, are not listed.

    Parameters
    ----------
    reports : sequence of SourceReport
        Reports of tonight's ingest.
    manifest : Manifest
        The corpus after it.
    known : collection of str
        Paths of failures that were found before, and that tonight has not tried again.
    reported : Reported
        What earlier reports have told. A night that was killed has told nothing.
    tries : int
        A file that failed this often is left alone until it changes.
    """
    wrong = []
    for report in reports:
        if report.status not in ("failed", "busy"):
            continue
        entry = manifest.files.get(report.path)
        tonight = report.path not in known or (entry is not None and not reported.has_failure(report.path, entry))
        # the file is gone, or changed while it was read
        if entry is None or not entry.is_wrong or report.reason is Reason.GONE:
            wrong.append(Wrong(report.path, report.status, str(report.reason), report.message, tonight))
        else:
            wrong.append(_described(report.path, entry, tonight, tries))
    return tuple(sorted(wrong, key=lambda one: (not one.tonight, one.path)))


def wrong_files_known(manifest: Manifest, began_s: float, reported: Reported, tries: int) -> tuple[Wrong, ...]:
    """List the files that the manifest alone knows to be wrong, for a night whose ingest failed.

    Parameters
    ----------
    began_s : float
        Time at which the night began, in Unix seconds.
    reported : Reported
        What earlier reports have told.
    """
    return tuple(_described(path, entry, entry.tried_s >= began_s or not reported.has_failure(path, entry), tries)
                 for path, entry in sorted(manifest.files.items()) if entry.is_wrong)


def words_on_other_files(reports: Sequence[SourceReport]) -> tuple[str, ...]:
    """Say which files have the name of a filterbank file, but are none: once for each reason, with their number.

    They are no failures, because an archive may hold other files of these names. But a file whose beginning was
    overwritten looks the same.

    Parameters
    ----------
    reports : sequence of SourceReport
        Reports of tonight's ingest.
    """
    paths: dict[str, list[str]] = {}
    for report in reports:
        if report.reason is Reason.NOT_FILTERBANK:
            path = shown(report.path)
            paths.setdefault(report.message.removeprefix(f"{path}: "), []).append(path)
    return tuple(f"{counted(len(of), 'file')} with the name of a filterbank file cannot be read as one ({why}): "
                 f"{listed(sorted(of), MAX_NAMED)}" for why, of in sorted(paths.items()))


def _described(path: str, entry: FileEntry, tonight: bool, tries: int) -> Wrong:
    at_s = next_try_s(entry, tries)
    return Wrong(path, entry.status, str(entry.reason), entry.message, tonight, entry.tries,
                 since=_date(entry.since_s) if entry.since_s else "", next_try="" if at_s is None else _date(at_s))


def _date(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M}"
