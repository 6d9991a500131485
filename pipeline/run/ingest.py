"""Ingest: find, probe, scan, embed, commit. Decides what runs next; the engine decides where."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline import tasks
from pipeline.config import Config, fingerprint
from pipeline.errors import ConfigError, EncoderError, Reason, RunError
from pipeline.filterbank import FoundFile
from pipeline.model import EncoderSpec, SourceReport, Timing
from pipeline.plan import Plan, Probed, choose_sources, parts_of
from pipeline.run.engine import Engine, pump
from pipeline.run.progress import Tracker
from pipeline.store import CorpusStore, FileEntry, Manifest, remove_parts
from pipeline.windows import Tiling

logger = logging.getLogger(__name__)

PROBES_PER_TASK = 16
PUBLISH_S = 2.0
"""The manifest moves on at most this often: a generation names every source."""
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of the corpus' disk. The same of a source are reported as the source's."""

Stat = tuple[int, int]
"""(size in bytes, time of change in ns) of a file."""


def make_plan(
    engine: Engine, files: Sequence[FoundFile], manifest: Manifest, config: Config, tracker: Tracker
) -> Plan:
    """Probe files and decide which of them are sources to ingest."""
    tracker.files_done = tracker.files - len(files)
    tracker.enter("probe")
    batches = deque(tuple(files[first : first + PROBES_PER_TASK]) for first in range(0, len(files), PROBES_PER_TASK))
    probed: dict[FoundFile, Probed | SourceReport] = {}

    def submit_next() -> bool:
        if not batches:
            return False
        batch = batches.popleft()
        engine.submit(batch, tasks.probe_batch, batch, config.scan)
        return True

    for batch, outcome in pump(engine, submit_next):
        tracker.tasks += 1
        if isinstance(outcome, BaseException) and len(batch) > 1:  # find out which of them it was
            batches.extend((file,) for file in batch)
            continue
        if isinstance(outcome, BaseException):
            outcome = [_crashed(str(batch[0].path), "", outcome)]
        probed.update(zip(batch, outcome, strict=True))
        tracker.files_done += len(batch)
        tracker.tell()
    # in the order found, not of arrival: the first of several copies is the one that is read
    return choose_sources([probed[file] for file in files], manifest)


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Say what to do about a full or read-only disk, wherever in a run it shows."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise RunError(f"{root}: cannot be written ({error}); make room, or see to its permissions, and run again: "
                       "what is committed stays") from error


def stat_of(path: str | Path) -> Stat | None:
    """Size and time of change of a file, None where it has gone."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def note_files(store: CorpusStore, reports: Sequence[SourceReport], stats: Mapping[str, Stat | None]) -> None:
    """Record what was found out about files that are not to be ingested, so that the next run need not look again.

    ``stats`` are those from *before* the files were looked at: one that has changed since is looked at again.
    """

    def change(manifest: Manifest) -> Manifest:
        entries = {}
        for report in reports:
            stat = stats.get(report.path)
            if stat is None:
                continue
            entry = file_entry(report, stat, manifest)
            if _differs(entry, manifest.files.get(report.path)):
                entries[report.path] = entry
            held = manifest.sources.get(report.source_id)
            if report.reason is Reason.DUPLICATE and held and report.path not in {held.path, *held.also_at}:
                manifest = manifest.with_also_at(report.source_id, [report.path])
        return manifest.with_files(entries) if entries else manifest

    store.publish(change)


def _differs(entry: FileEntry, before: FileEntry | None) -> bool:
    """Tell whether an entry says something new; that a file was tried once more is new only where it may heal."""
    if before is not None and (entry.reason is None or not entry.reason.may_heal):
        return replace(entry, tries=before.tries) != before
    return True


def works_of(
    plan: Plan, found: Iterable[FoundFile], store: CorpusStore, staging: Path, config: Config
) -> list[tasks.Work]:
    """Spell out the tasks of every source to do."""
    roots = {str(file.path): file.root for file in found}
    works = []
    for item in plan.todo:
        tiling = Tiling(item.source.header, config.scan.grid, item.source.coarse)
        works.append(tasks.Work(
            corpus=store.root,
            staging=staging,
            source=item.source,
            also_at=item.also_at,
            root=roots[item.source.path],
            scan=config.scan,
            encoder=config.encoder,
            identity=fingerprint(store.identity),
            parts=tuple((part.start, part.stop) for part in parts_of(tiling)),
        ))
    return works


@dataclass(slots=True)
class _Open:
    """A source some of whose tasks have been submitted."""

    work: tasks.Work
    left: int
    """Parts not yet embedded."""
    in_flight: int = 0
    report: SourceReport = field(init=False)
    failed: bool = False

    def __post_init__(self) -> None:
        source = self.work.source
        self.report = SourceReport(source.path, "done", source.id, also_at=self.work.also_at,
                                   channels_skipped=self.work.tiling.channels_skipped)

    def add(self, part: tasks.PartReport) -> None:
        """Add what one task did to the source's report."""
        old = self.report
        self.report = replace(
            old,
            windows_seen=old.windows_seen + part.windows_seen,
            windows_kept=old.windows_kept + part.windows_kept,
            windows_masked=old.windows_masked + part.windows_masked,
            bytes_decoded=old.bytes_decoded + part.bytes_decoded,
            timing=old.timing + part.timing,
        )


Job = tuple[str, str, int]
"""(kind of task, source id, part number)."""


class Driver:
    """Runs the tasks of many sources, a bounded number at a time, and commits each source as it is complete.

    Follow-ups go before new scans, so that few sources are open at once and a killed run loses little.
    """

    def __init__(
        self, engine: Engine, store: CorpusStore, spec: EncoderSpec, embed_on_gpu: bool, tracker: Tracker
    ) -> None:
        self._engine = engine
        self._store = store
        self._spec = spec
        self._embed_on_gpu = embed_on_gpu
        self._tracker = tracker
        self._waiting: deque[tasks.Work] = deque()
        self._queue: deque[Job] = deque()
        self._open: dict[str, _Open] = {}
        self._unpublished: list[_Open] = []
        self._published = time.monotonic()
        self.reports: list[SourceReport] = []

    def run(self, works: Sequence[tasks.Work]) -> list[SourceReport]:
        """Ingest every source and return a report for each."""
        self._tracker.parts = sum(len(work.parts) for work in works)
        self._tracker.files_done = self._tracker.files - len(works)
        self._tracker.enter("scan")
        self._waiting.extend(works)
        try:
            for job, outcome in pump(self._engine, self._submit_next):
                self._tracker.tasks += 1
                self._ended(job, outcome)
                self._tracker.tell()
                if time.monotonic() - self._published > PUBLISH_S:
                    self._publish()
        except BaseException:
            with suppress(Exception):  # what ended the run is what is told; the next run would adopt these all the same
                self._publish()
            raise
        self._publish()
        return self.reports

    def _submit_next(self) -> bool:
        if not self._queue and not self._waiting:
            return False
        if not self._queue:
            work = self._waiting.popleft()
            self._open[work.source.id] = _Open(work, left=len(work.parts))
            self._queue.extend(("scan", work.source.id, part_no) for part_no in range(len(work.parts)))
        kind, source_id, part_no = job = self._queue.popleft()
        source = self._open[source_id]
        source.in_flight += 1
        if kind == "scan":
            self._engine.submit(job, tasks.scan_part, source.work, part_no)
        elif kind == "embed":
            self._engine.submit(job, tasks.embed_part, source.work, part_no, on_gpu=self._embed_on_gpu)
        else:
            self._engine.submit(job, tasks.commit, source.work, self._spec, source.report)
        return True

    def _ended(self, job: Job, outcome: Any) -> None:
        kind, source_id, part_no = job
        source = self._open[source_id]
        path = source.work.source.path
        source.in_flight -= 1
        if isinstance(outcome, BaseException):
            self._fail(source, _crashed(path, source_id, outcome))
        elif isinstance(outcome, tasks.PartReport) and outcome.reason is not None:
            self._fail(source, tasks.report_of_error(path, outcome.reason, outcome.message, source_id))
        elif source.failed:
            pass
        elif kind == "commit":
            source.report = outcome
            self._unpublished.append(source)
        elif kind == "scan":
            source.add(outcome)
            self._tracker.windows_seen += outcome.windows_seen
            self._tracker.windows_kept += outcome.windows_kept
            self._tracker.bytes_decoded += outcome.bytes_decoded
            self._queue.appendleft(("embed", source_id, part_no))
        else:
            source.add(outcome)
            source.left -= 1
            self._tracker.parts_done += 1
            if source.left == 0:
                self._queue.appendleft(("commit", source_id, 0))
        if source.in_flight == 0 and (source.failed or kind == "commit"):
            if source.failed:
                remove_parts(source.work.staging, source_id)
            del self._open[source_id]
            self._tracker.files_done += 1

    def _fail(self, source: _Open, report: SourceReport) -> None:
        """Give a source up: its other parts are not started, those in flight are not waited for."""
        if source.failed:
            return
        source.failed = True
        self._tracker.parts_done += source.left
        self._queue = deque(job for job in self._queue if job[1] != source.work.source.id)
        source.report = report
        self._unpublished.append(source)

    def _publish(self) -> None:
        """Move the manifest on by all that has ended since the last time."""
        ended, self._unpublished = self._unpublished, []
        self._published = time.monotonic()
        if not ended:
            return

        def change(manifest: Manifest) -> Manifest:
            for item in ended:
                source, report = item.work.source, item.report
                if report.status == "done":
                    manifest = manifest.with_source(source, report)
                    manifest = manifest.with_vectors(source.id, self._spec, report.windows_kept)
                stat = source.size_bytes, source.mtime_ns
                manifest = manifest.with_file(source.path, file_entry(report, stat, manifest))
            return manifest

        self._store.publish(change)
        self.reports += [item.report for item in ended]


def file_entry(report: SourceReport, stat: Stat, manifest: Manifest) -> FileEntry:
    """What the manifest is to say of a file."""
    before = manifest.files.get(report.path)
    same = before is not None and (before.size_bytes, before.mtime_ns) == stat
    # skipped without a reason: what it holds is in the corpus already
    is_held = report.status == "done" or (report.status == "skipped" and report.reason is None)
    return FileEntry(*stat, status="done" if is_held else report.status, reason=report.reason,
                     message="" if is_held else report.message, source_id=report.source_id,
                     tries=before.tries + 1 if before is not None and same else 1)


def _crashed(path: str, source_id: str, error: BaseException) -> SourceReport:
    """Report a task that failed for no reason of its source that we know; an error of the whole run is raised."""
    is_unwritable = isinstance(error, OSError) and error.errno in UNWRITABLE
    if is_unwritable or isinstance(error, ConfigError | EncoderError | RunError):
        raise error
    logger.warning("%s: task failed: %r", path, error)
    return SourceReport(path, "failed", source_id, Reason.CRASHED, f"{path}: {type(error).__name__}: {error}",
                        timing=Timing())
