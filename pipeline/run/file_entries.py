"""Entries of the manifest that record what is known of each file, so that a run need not read it again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.catalogue import FileEntry, Manifest, with_views
from pipeline.errors import Reason
from pipeline.model import SourceReport
from pipeline.run.file_selection import Selected, Stat
from pipeline.store import CorpusStore
from pipeline.support.clock import now_s
from pipeline.tasks import Probed


def file_entry(report: SourceReport, stat: Stat, manifest: Manifest) -> FileEntry:
    """Return the entry of a file: what its report says, how often it was tried, and since when it fails."""
    before = manifest.files.get(report.path)
    same = before is not None and (before.size_bytes, before.mtime_ns) == stat
    # a report without a reason that skips a file: the corpus holds its windows already
    is_held = report.status == "done" or (report.status == "skipped" and report.reason is None)
    message = "" if is_held and report.status != "done" else report.message
    entry = FileEntry(*stat, status="done" if is_held else report.status, reason=report.reason, message=message,
                      source_id=report.source_id,
                      tries=before.tries + 1 if before is not None and same else 1)
    if not entry.is_wrong:
        return entry
    now = now_s()
    return replace(entry, tried_s=now, since_s=before.since_s or now if before is not None and same else now)


def note_files(
    store: CorpusStore, reports: Sequence[SourceReport], stats: Mapping[str, Stat | None],
    moved: Sequence[Probed] = (),
) -> None:
    """Record the reports of files that are not ingested in the manifest, and the present paths of files that moved.

    Parameters
    ----------
    stats : mapping
        Path → size and time of change, taken *before* the file was read: the next run reads a file that has changed
        since then.
    moved : sequence of Probed
        Sources of the corpus whose file has another path now.
    """

    def change(manifest: Manifest) -> Manifest:
        if moved:
            manifest = with_moved(manifest, moved)
        entries = {}
        for report in reports:
            stat = stats.get(report.path)
            if stat is None or report.reason is Reason.GONE:  # a later run will not find this file
                continue
            entry = file_entry(report, stat, manifest)
            if _differs(entry, manifest.files.get(report.path)):
                entries[report.path] = entry
            held = manifest.sources.get(report.source_id)
            # no other path: the file holds only the beginning of the scan, so it is no copy
            is_copy = report.reason is Reason.DUPLICATE and report.also_at
            if is_copy and held and report.path not in {held.path, *held.also_at}:
                manifest = manifest.with_also_at(report.source_id, [report.path])
        return manifest.with_files(entries) if entries else manifest

    store.publish(change)


def note_faults(store: CorpusStore, selected: Selected) -> None:
    """Record the links and folders that could not be followed, so that a later night recognises the failure.

    An entry goes once its path leads to a folder that can be listed. A file in its place gets an entry of its own.
    """
    note_files(store, [report for report in selected.reports if report.path in selected.faults], selected.faults)

    def change(manifest: Manifest) -> Manifest:
        healed = {path for path, entry in manifest.files.items()
                  if entry.reason in (Reason.BAD_LINK, Reason.PERMISSION) and path not in selected.faults
                  and os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK)}
        left = {path: entry for path, entry in manifest.files.items() if path not in healed}
        return replace(manifest, files=left) if healed else manifest

    store.publish(change)


def with_moved(manifest: Manifest, moved: Sequence[Probed]) -> Manifest:
    """Note the present paths of sources whose files have moved. Entries of their files at other paths are dropped."""
    sources, paths = dict(manifest.sources), dict[str, set[str]]()
    for item in moved:
        source = item.source
        paths[source.id] = {source.path, *item.also_at}
        for one in with_views([source.id], sources):
            sources[one] = replace(sources[one], path=source.path, size_bytes=source.size_bytes,
                                   mtime_ns=source.mtime_ns, also_at=item.also_at)
    files = {path: entry for path, entry in manifest.files.items()
             if entry.source_id not in paths or path in paths[entry.source_id]}
    return replace(manifest, sources=sources, files=files)


def _differs(entry: FileEntry, before: FileEntry | None) -> bool:
    """Return True if an entry says something new. A further try is new only if the reason may heal."""
    if before is not None and (entry.reason is None or not entry.reason.may_heal):
        return replace(entry, tries=before.tries, tried_s=before.tried_s, since_s=before.since_s) != before
    return True
