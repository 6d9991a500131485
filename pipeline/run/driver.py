"""Drives the tasks of a run: sources are scanned and committed, then embedded and committed."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

from pipeline import tasks
from pipeline.catalogue import Manifest
from pipeline.errors import Reason
from pipeline.execute.engine import Engine, pump
from pipeline.model import EncoderSpec, SourceReport
from pipeline.run.failures import crashed
from pipeline.run.file_entries import file_entry
from pipeline.run.open_source import OpenSource
from pipeline.run.progress import Tracker
from pipeline.run.report_table import Reports
from pipeline.run.task_sizes import SHARED_SOURCES, batch_of, embed_limits, is_small, share_of, slices_of
from pipeline.store import CorpusStore
from pipeline.support.interrupts import note_saved
from pipeline.support.memory import give_back

PUBLISH_S = 2.0
"""Minimum time between two generations of the manifest, in seconds."""
PUBLISH_SHARE = 0.05
"""Largest share of a run's time for writing the manifest. The manifest names every source, so a large one is
written less often.
"""


Parts = tuple[tuple[str, int], ...]
"""(source id, part number) of each part that a task works on. A source that a task takes as a whole is one part."""
Job = tuple[str, Parts]
"""Name of a step, and the parts that it works on."""
_WHOLE = ("scan whole", "embed whole")
"""Steps of small sources, which share a task and need no other task for the commit."""


class Driver:
    """Runs the tasks of many sources, a bounded number at a time.

    A source has four steps: ``scan`` its parts, commit its ``windows``, ``embed`` slices of them, commit its
    ``vectors``. If its windows are stored, it begins with the third. Without a ``spec``, the second is the last.
    The next steps of open sources go before new sources, so that few are open at once and a killed run loses little.

    Where many small sources wait, they share tasks, since a task takes time whatever it does: ``scan whole`` scans some
    sources of one part and commits their windows, ``embed whole`` embeds some sources of one slice and commits their
    vectors. An embed task on a GPU takes slices of several sources, since small slices leave a GPU idle. There, slices
    wait until they fill a task, or until there is nothing else to start.
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
        self._to_embed: deque[tuple[str, int]] = deque()
        """Slices (source id, number) that wait for an embed task."""
        self._open: dict[str, OpenSource] = {}
        self._unpublished: list[OpenSource] = []
        self._publish_at = time.monotonic() + PUBLISH_S
        self._reports = Reports(0)

    def run(self, works: deque[tasks.Work]) -> Reports:
        """Take every source through its steps, and return a report for each.

        ``works`` is emptied as sources begin, so that the memory of an archive's works is free for its reports.
        """
        self._waiting, self._reports = works, Reports(len(works))
        self._tracker.parts = sum(len(work.parts) for work in works)
        try:
            for job, outcome in pump(self._engine, self._submit_next):
                self._tracker.tasks += 1
                self._ended(job, outcome)
                self._tracker.tell()
                if time.monotonic() >= self._publish_at:
                    self._publish()
        except BaseException:
            with suppress(Exception):  # the first error is the one to report; the next run adopts what is committed
                self._publish()
            raise
        finally:
            self._tracker.tell(force=True)
        self._publish()
        return self._reports

    def _submit_next(self) -> bool:
        batch, is_full = self._next_batch()
        while not is_full and not self._queue and self._waiting:
            if small := self._begin_small():
                self._submit(("scan whole", small))
                return True
            self._begin(self._waiting.popleft())
            batch, is_full = self._next_batch()
        if is_full or (batch and not self._queue):
            batch = self._divided(batch)
            for _ in batch:
                self._to_embed.popleft()
            job: Job = ("embed whole" if self._open[batch[0][0]].is_whole else "embed", batch)
        elif self._queue:
            job = self._queue.popleft()
        else:
            return False
        self._submit(job)
        return True

    def _next_batch(self) -> tuple[Parts, bool]:
        """Return the slices that the next embed task would take, and whether it need not wait for more."""
        if not self._to_embed:
            return (), False
        grid = self._open[self._to_embed[0][0]].work.scan.grid
        waiting = self._to_embed if self._embed_on_gpu else takewhile(
            lambda part: self._open[part[0]].is_whole, self._to_embed)
        counts = (self._open[source_id].rows_of(part_no) for source_id, part_no in waiting)
        count, is_full = batch_of(counts, grid, *embed_limits(self._embed_on_gpu))
        return tuple(islice(self._to_embed, max(1, count))), is_full or not self._embed_on_gpu

    def _divided(self, batch: Parts) -> Parts:
        """Return a batch. If it is one whole source that shares the task with no other, return only its first slice."""
        source = self._open[batch[0][0]]
        if len(batch) == 1 and source.is_whole:
            self._to_embed.popleft()
            source.is_whole, source.left = False, len(source.slices)
            self._to_embed.extendleft((batch[0][0], part_no) for part_no in reversed(range(source.left)))
            self._tracker.parts += source.left - 1
        return batch

    def _submit(self, job: Job) -> None:
        step, parts = job
        for source_id, _ in parts:
            self._open[source_id].in_flight += 1
        source_id, part_no = parts[0]
        source = self._open[source_id]
        work, report, spec = source.work, source.report, self._spec
        if step == "scan":
            self._engine.submit(job, tasks.scan_part, work, part_no)
        elif step == "scan whole":
            self._engine.submit(job, tasks.scan_whole, tuple(self._open[one].work for one, _ in parts))
        elif step == "windows":
            self._engine.submit(job, tasks.commit_windows, work, report)
        elif step == "embed":
            pieces = tuple(self._open[one].slices[no] for one, no in parts)
            self._engine.submit(job, tasks.embed_parts, work, spec, pieces, on_gpu=self._embed_on_gpu)
        elif step == "embed whole":
            sources = tuple((tuple(self._open[one].slices), self._open[one].report) for one, _ in parts)
            self._engine.submit(job, tasks.embed_whole, work, spec, sources)
        else:
            n_parts = dict(Counter(piece.source_id for piece in source.slices))
            self._engine.submit(job, tasks.commit_vectors, work, spec, n_parts, report)

    def _begin_small(self) -> Parts:
        """Begin the next sources if they are small ones that can share a scan task; return their parts."""
        first = islice(self._waiting, SHARED_SOURCES)
        works = [self._waiting.popleft() for _ in range(share_of(first, len(self._waiting), self._engine.capacity))]
        for work in works:
            self._open[work.source.id] = OpenSource(work, left=1)
        return tuple((work.source.id, 0) for work in works)

    def _begin(self, work: tasks.Work) -> None:
        source = self._open[work.source.id] = OpenSource(work)
        if work.is_stored:
            self._embed(source, [tasks.Piece(work.source.id, no, rows) for no, rows in enumerate(work.parts)])
        else:
            self._queue_next("scan", source, len(work.parts))

    def _embed(self, source: OpenSource, slices: Sequence[tasks.Piece]) -> None:
        """Queue the slices of a source: all of them as one part if they are few."""
        source.slices = slices
        source.is_whole = not self._embed_on_gpu and is_small([piece.rows for piece in slices], source.work.scan.grid)
        self._queue_next("embed", source, 1 if source.is_whole else len(slices))

    def _queue_next(self, step: str, source: OpenSource, count: int = 1) -> None:
        """Put the tasks of a source's next step before all others."""
        source.left = count
        parts = [(source.work.source.id, part_no) for part_no in range(count)]
        if step == "embed":
            self._to_embed.extend(parts)
        else:
            self._queue.extendleft((step, (part,)) for part in reversed(parts))

    def _ended(self, job: Job, outcome: Any) -> None:
        step, parts = job
        if isinstance(outcome, BaseException) and len(parts) > 1:  # find out which part it is
            self._queue.extend((step, (part,)) for part in parts if not self._open[part[0]].is_over)
            outcomes: Sequence[Any] = [None] * len(parts)
        else:
            outcomes = outcome if isinstance(outcome, list) else [outcome]
        pairs = list(zip(parts, outcomes, strict=True))
        for (source_id, _), own in pairs if step in _WHOLE else reversed(pairs):  # commits are queued in front
            source = self._open[source_id]
            source.in_flight -= 1
            if own is not None and not source.is_over:
                self._part_ended(step, source, own)
        for source_id in dict.fromkeys(source_id for source_id, _ in parts):
            self._close(self._open[source_id])

    def _part_ended(self, step: str, source: OpenSource, outcome: Any) -> None:
        path, source_id = source.work.source.path, source.work.source.id
        if isinstance(outcome, BaseException):
            self._fail(step, source, crashed(path, source_id, outcome))
        elif isinstance(outcome, tasks.PartReport) and outcome.reason is not None:
            self._fail(step, source, tasks.report_of_error(path, outcome.reason, outcome.message, source_id))
        elif step in _WHOLE:
            self._advance_whole(step, source, *outcome)
        else:
            self._advance(step, source, outcome)

    def _close(self, source: OpenSource) -> None:
        """Forget a source that is over and has no task in flight."""
        if not source.is_over or source.in_flight:
            return
        if source.report.status != "done":
            source.remove_parts()
        del self._open[source.work.source.id]
        self._tracker.files_done += 1

    def _advance(self, step: str, source: OpenSource, outcome: Any) -> None:
        """Add the outcome of a task to its source, and queue the next step if this one is complete."""
        source.left -= 1
        if isinstance(outcome, tasks.PartReport):
            source.report = tasks.added(source.report, outcome)
            source.fault = source.fault or outcome.message
            self._tracker.add(outcome)
            if source.left == 0:
                self._complete(step, source)
            return
        source.report = replace(source.report, timing=outcome.timing)  # a commit adds nothing else
        self._committed(step, source)

    def _advance_whole(self, step: str, source: OpenSource, part: tasks.PartReport, report: SourceReport) -> None:
        """Add the outcome of a task that has done all of a step, and committed it."""
        if report.status != "done":
            self._fail(step, source, report)
            return
        source.left, source.report = 0, report
        self._tracker.add(part)
        self._committed("windows" if step == "scan whole" else "vectors", source)

    def _committed(self, step: str, source: OpenSource) -> None:
        """Go on after the commit of the windows or vectors of a source."""
        if step == "windows" and self._spec is not None:
            pieces = [tasks.Piece(made.id, no, rows) for made, report in source.work.made(source.report)
                      for no, rows in enumerate(slices_of(report.windows_kept, source.work.scan.grid))]
            if pieces:  # otherwise only an overview was added
                self._embed(source, pieces)
                self._tracker.parts += source.left
                return
        self._end(source)

    def _complete(self, step: str, source: OpenSource) -> None:
        """Go on to the next step of a source once all tasks of a step have ended."""
        if step != "scan":
            self._queue_next("vectors", source)
            return
        report = source.work.scanned(source.report, source.fault)
        if report.status == "done":
            source.report = report
            self._queue_next("windows", source)
        else:
            self._fail(step, source, report)

    def _fail(self, step: str, source: OpenSource, report: SourceReport) -> None:
        """Give up a source: its other tasks are not started, and the outcomes of those in flight are ignored."""
        own = source.work.source.id
        self._queue = deque(job for job in self._queue if job[1][0][0] != own)  # jobs in the queue have one part each
        self._to_embed = deque(part for part in self._to_embed if part[0] != own)
        self._tracker.parts_done += source.left if step in ("scan", "embed", *_WHOLE) else 0
        source.report = report
        self._end(source)

    def _end(self, source: OpenSource) -> None:
        source.is_over = True
        self._unpublished.append(source)

    def _publish(self) -> None:
        """Publish a generation of the manifest with all sources that have ended since the last one."""
        began = time.monotonic()
        ended, self._unpublished = self._unpublished, []
        if ended:
            self._store.publish(lambda manifest: self._published_in(manifest, ended))
            self._note_saved(ended)
            for item in ended:
                self._reports.append(item.report)
            ended.clear()
            give_back()
        now = time.monotonic()
        self._publish_at = now + max(PUBLISH_S, (now - began) / PUBLISH_SHARE)

    def _note_saved(self, ended: Sequence[OpenSource]) -> None:
        done = [item.work.is_stored for item in ended if item.report.status == "done"]
        note_saved("source", done.count(False))
        note_saved("source", done.count(True), of="the vectors of ")

    def _published_in(self, manifest: Manifest, ended: Sequence[OpenSource]) -> Manifest:
        """Add all ended sources to a manifest at once: one copy of it for each source would be slow."""
        done = [item for item in ended if item.report.status == "done"]
        manifest = manifest.with_sources(made for item in done if not item.work.is_stored
                                         for made in reversed(item.work.made(item.report)))
        manifest = manifest.with_overviews(item.work.source.id for item in done
                                           if item.work.overview and item.work.source.id in manifest.sources)
        if self._spec is not None and done:
            counts = {piece.source_id: piece.rows[1] for item in done for piece in item.slices}
            manifest = manifest.with_vectors_of(self._spec, counts)
        files = {}
        for item in ended:
            source = item.work.source
            if not (item.work.is_stored or item.work.only_views or item.report.reason is Reason.GONE):
                files[source.path] = file_entry(item.report, (source.size_bytes, source.mtime_ns), manifest)
        return manifest.with_files(files)
