"""The order of a run's tasks: sources are scanned and committed, embedded and committed. The engine decides where."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline import tasks
from pipeline.model import EncoderSpec, SourceReport
from pipeline.plan import slices_of
from pipeline.run.engine import Engine, pump
from pipeline.run.ingest import crashed, file_entry
from pipeline.run.progress import Tracker
from pipeline.store import CorpusStore, Manifest, remove_parts

PUBLISH_S = 2.0
"""The manifest moves on at most this often …"""
PUBLISH_SHARE = 0.05
"""… and for at most this share of the time: a generation names every source, and takes the longer to write."""


@dataclass(slots=True)
class _Open:
    """A source some of whose tasks have been submitted."""

    work: tasks.Work
    left: int = 0
    """Tasks of the step it is at that have not ended."""
    in_flight: int = 0
    slices: Sequence[tuple[int, int]] = ()
    """Rows of each embed task, once it is known how many windows there are."""
    report: SourceReport = field(init=False)
    is_over: bool = False

    def __post_init__(self) -> None:
        source = self.work.source
        skipped = 0 if self.work.is_stored else self.work.tiling.channels_skipped
        self.report = SourceReport(source.path, "done", source.id, channels_skipped=skipped, also_at=self.work.also_at)

    def add(self, part: tasks.PartReport) -> None:
        """Add what one task did to the source's report."""
        old = self.report
        self.report = replace(
            old,
            windows_seen=old.windows_seen + part.windows_seen,
            windows_kept=old.windows_kept + part.windows_kept,
            windows_masked=old.windows_masked + part.windows_masked,
            windows_embedded=old.windows_embedded + part.windows_embedded,
            bytes_decoded=old.bytes_decoded + part.bytes_decoded,
            timing=old.timing + part.timing,
        )


Job = tuple[str, str, int]
"""(step, source id, part number)."""


class Driver:
    """Runs the tasks of many sources, a bounded number at a time.

    The steps of a source: ``scan`` its parts, commit its ``windows``, ``embed`` slices of these, commit its
    ``vectors``. One that is stored already begins with the third; without a ``spec`` the second is the last. Follow-ups
    go before new sources, so that few are open at once and a killed run loses little.
    """

    def __init__(
        self, engine: Engine, store: CorpusStore, spec: EncoderSpec | None, embed_on_gpu: bool, tracker: Tracker
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
        self._publish_at = time.monotonic() + PUBLISH_S
        self.reports: list[SourceReport] = []

    def run(self, works: Sequence[tasks.Work]) -> list[SourceReport]:
        """See every source through its steps and return a report for each."""
        self._waiting.extend(works)
        self._tracker.parts = sum(len(work.parts) for work in works)
        try:
            for job, outcome in pump(self._engine, self._submit_next):
                self._tracker.tasks += 1
                self._ended(job, outcome)
                self._tracker.tell()
                if time.monotonic() >= self._publish_at:
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
            self._begin(self._waiting.popleft())
        step, source_id, part_no = job = self._queue.popleft()
        source = self._open[source_id]
        source.in_flight += 1
        work, report, spec = source.work, source.report, self._spec
        if step == "scan":
            self._engine.submit(job, tasks.scan_part, work, part_no)
        elif step == "windows":
            self._engine.submit(job, tasks.commit_windows, work, report)
        elif step == "embed":
            rows = source.slices[part_no]
            self._engine.submit(job, tasks.embed_part, work, spec, part_no, rows, on_gpu=self._embed_on_gpu)
        else:
            self._engine.submit(job, tasks.commit_vectors, work, spec, len(source.slices), report)
        return True

    def _begin(self, work: tasks.Work) -> None:
        source = self._open[work.source.id] = _Open(work)
        source.slices = work.parts if work.is_stored else ()
        self._queue_next("embed" if work.is_stored else "scan", source, len(work.parts))

    def _queue_next(self, step: str, source: _Open, count: int = 1) -> None:
        """Put a source's next step before everything else."""
        source.left = count
        self._queue.extendleft((step, source.work.source.id, part_no) for part_no in reversed(range(count)))

    def _ended(self, job: Job, outcome: Any) -> None:
        step, source_id, _ = job
        source = self._open[source_id]
        path = source.work.source.path
        source.in_flight -= 1
        if source.is_over:
            pass
        elif isinstance(outcome, BaseException):
            self._fail(step, source, crashed(path, source_id, outcome))
        elif isinstance(outcome, tasks.PartReport) and outcome.reason is not None:
            self._fail(step, source, tasks.report_of_error(path, outcome.reason, outcome.message, source_id))
        else:
            self._advance(step, source, outcome)
        if source.is_over and source.in_flight == 0:
            if source.report.status != "done":
                remove_parts(source.work.staging, source_id)
            del self._open[source_id]
            self._tracker.files_done += 1

    def _advance(self, step: str, source: _Open, outcome: Any) -> None:
        """Take in what a task has done, and queue what follows from it."""
        source.left -= 1
        if isinstance(outcome, tasks.PartReport):
            source.add(outcome)
            self._tracker.add(outcome)
            if source.left == 0:
                self._queue_next("windows" if step == "scan" else "vectors", source)
            return
        source.report = outcome
        if step == "windows" and self._spec is not None:
            source.slices = slices_of(outcome.windows_kept, source.work.scan.grid)
            self._tracker.parts += len(source.slices)
            self._queue_next("embed", source, len(source.slices))
        else:
            self._end(source)

    def _fail(self, step: str, source: _Open, report: SourceReport) -> None:
        """Give a source up: its other parts are not started, those in flight are not waited for."""
        self._queue = deque(job for job in self._queue if job[1] != source.work.source.id)
        self._tracker.parts_done += source.left if step in ("scan", "embed") else 0
        source.report = report
        self._end(source)

    def _end(self, source: _Open) -> None:
        source.is_over = True
        self._unpublished.append(source)

    def _publish(self) -> None:
        """Move the manifest on by all that has ended since the last time."""
        began = time.monotonic()
        ended, self._unpublished = self._unpublished, []
        if ended:
            self._store.publish(lambda manifest: self._published_in(manifest, ended))
            self.reports += [item.report for item in ended]
        now = time.monotonic()
        self._publish_at = now + max(PUBLISH_S, (now - began) / PUBLISH_SHARE)

    def _published_in(self, manifest: Manifest, ended: Sequence[_Open]) -> Manifest:
        """Add to a manifest what has ended, all at once: a copy of it for each source would take longer with each."""
        done = [item for item in ended if item.report.status == "done"]
        manifest = manifest.with_sources((item.work.source, item.report) for item in done if not item.work.is_stored)
        if self._spec is not None and done:
            counts = {item.work.source.id: item.slices[-1][1] for item in done}
            manifest = manifest.with_vectors_of(self._spec, counts)
        files = {}
        for item in ended:
            source = item.work.source
            if not item.work.is_stored:
                files[source.path] = file_entry(item.report, (source.size_bytes, source.mtime_ns), manifest)
        return manifest.with_files(files)
