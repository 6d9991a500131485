"""Snapshots of the progress of a run, and its final report. Nothing is printed here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.grid.coverage import Coverage, share_skipped
from pipeline.model import SourceReport, Timing, ViewCounts
from pipeline.support.progress_line import Show, is_notebook
from pipeline.support.text import counted
from pipeline.tasks import PartReport
from pipeline.views import View

COMPILING = ("compiling numerical code, once on this machine; this takes a minute or more "
             "(lookalike warm-up does it beforehand)")
"""Note of a stage that begins with compiling."""
RESUMED = "an earlier run stored its windows; this run made their vectors"
"""Message for a file whose windows were stored before, so that an ingest only made its vectors."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a running ingest, embed, index or verify."""

    stage: str
    """``probe``, ``scan`` (which also embeds the scanned windows), ``fit``, ``embed``, ``index``, ``verify`` or
    ``repair``."""
    files: int
    """Number of files. In the stages ``fit`` and ``embed``, it is the number of sources; in ``index``, of segments; in
    ``verify`` and ``repair``, of objects."""
    files_done: int
    """Number of these that are done."""
    parts: int
    """Number of scan and embed tasks, as far as they are known."""
    parts_done: int
    windows_seen: int
    windows_kept: int
    bytes_decoded: int
    elapsed_s: float
    """Seconds since the stage began."""
    windows_embedded: int = 0
    first_done: int = 0
    """Number done when this number first rose in this stage; 0 before that."""
    first_s: float = 0.0
    """Seconds from the beginning of the stage to that moment. Workers start in this time, and may compile code."""
    note: str = ""
    """What the user should know of this stage; to be shown once."""

    @property
    def done(self) -> tuple[int, int]:
        """(number done, total number) in this stage: files probed, segments built, or parts scanned or embedded."""
        return (self.files_done, self.files) if self.stage in ("probe", "index") else (self.parts_done, self.parts)

    @property
    def left_s(self) -> float | None:
        """Estimated seconds left in the stage; None until more is done than ``first_done``."""
        done, total = self.done
        since = done - self.first_done
        return (self.elapsed_s - self.first_s) * (total - done) / since if self.first_done and since > 0 else None


Listener = Callable[[Progress], None]
ProgressChoice = bool | Listener | None
"""How a run shows its progress: see :func:`showing`."""


@contextmanager
def showing(progress: ProgressChoice) -> Iterator[Listener | None]:
    """Give the listener that a user has chosen for a run.

    Parameters
    ----------
    progress : bool or callable, optional
        True shows progress on standard error, False shows none. None, the default, shows it in a notebook only. A
        callable is called with :class:`Progress` snapshots.
    """
    if progress is None:
        progress = is_notebook()
    if isinstance(progress, bool):
        with closing(Show()) if progress else nullcontext() as show:
            yield show
    else:
        yield progress


@dataclass(frozen=True, slots=True)
class RunReport:
    """Result of an ingest or embed."""

    reports: tuple[SourceReport, ...]
    elapsed_s: float
    tasks: int
    """Number of tasks that ran; 0 if there was nothing to do."""
    dry_run: bool = False
    encoder: str = ""
    """Key of the encoder; empty if its projection is not fitted yet."""
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    """Id of each source that this run scanned → what part of it is in windows."""

    def by_status(self, status: str) -> list[SourceReport]:
        """Return the reports of one status."""
        return [report for report in self.reports if report.status == status]

    @property
    def timing(self) -> Timing:
        """Seconds spent in each step, summed over all sources."""
        return sum((report.timing for report in self.reports), Timing())

    @property
    def windows_seen(self) -> int:
        """Number of windows searched by this run."""
        return sum(report.windows_seen for report in self.by_status("done"))

    @property
    def windows_kept(self) -> int:
        """Number of windows kept by this run."""
        return sum(report.windows_kept for report in self.by_status("done"))

    @property
    def views(self) -> tuple[ViewCounts, ...]:
        """Windows of each averaged view, which the other counts do not include."""
        sums: dict[str, tuple[int, int, int]] = {}
        for name, seen, kept, masked in (view for report in self.by_status("done") for view in report.views):
            before = sums.get(name, (0, 0, 0))
            sums[name] = (before[0] + seen, before[1] + kept, before[2] + masked)
        return tuple((name, *sums[name]) for name in sorted(sums, key=lambda name: View.named(name).order))

    @property
    def windows_embedded(self) -> int:
        """Number of windows for which this run made vectors."""
        return sum(report.windows_embedded for report in self.by_status("done"))

    @property
    def without_signal(self) -> int:
        """Number of files in which this run searched windows and kept none."""
        return sum(report.windows_seen > 0 and not report.windows_kept for report in self.by_status("done"))

    @property
    def out_of_band(self) -> int:
        """Number of files that this run scanned and that have no window in the band that the corpus searches."""
        return sum(report.source_id in self.coverage and not report.windows_seen for report in self.by_status("done"))

    @property
    def resumed(self) -> int:
        """Number of files of which this ingest only made the vectors, because an earlier run stored the windows."""
        return sum(report.message == RESUMED for report in self.by_status("done"))

    @property
    def share_skipped(self) -> float:
        """Share of the samples of the scanned files that is in no window."""
        return share_skipped(self.coverage.values())

    @property
    def bytes_decoded(self) -> int:
        """Bytes of decoded samples that this run read."""
        return sum(report.bytes_decoded for report in self.by_status("done"))

    @property
    def exit_code(self) -> int:
        """3 if a source failed or was busy, else 0."""
        return 3 if self.by_status("failed") or self.by_status("busy") else 0

    def to_json(self) -> dict[str, Any]:
        """Return the record that ``ingest --json`` and ``embed --json`` print."""
        timing = self.timing
        return {
            "dry_run": self.dry_run,
            "elapsed_s": round(self.elapsed_s, 3),
            "tasks": self.tasks,
            "windows_seen": self.windows_seen,
            "windows_kept": self.windows_kept,
            "views": _views_json(self.views),
            "without_signal": self.without_signal,
            "out_of_band": self.out_of_band,
            "resumed": self.resumed,
            "share_skipped": round(self.share_skipped, 9),
            "encoder": self.encoder,
            "windows_embedded": self.windows_embedded,
            "bytes_decoded": self.bytes_decoded,
            "read_s": round(timing.read_s, 3),
            "scan_s": round(timing.scan_s, 3),
            "embed_s": round(timing.embed_s, 3),
            "write_s": round(timing.write_s, 3),
            "sources": [self._source_json(report) for report in self.reports],
        }

    def _source_json(self, report: SourceReport) -> dict[str, Any]:
        covered, message = self.coverage.get(report.source_id) if report.status == "done" else None, report.message
        if covered and not report.windows_kept:
            nothing = (f"no signal in {counted(report.windows_seen, 'window')}" if report.windows_seen else
                       "no window in the band that the corpus searches")
            message = "; ".join(filter(None, (message, nothing)))
        return {
            "path": report.path, "status": report.status, "reason": report.reason, "message": message,
            "source": report.source_id, "windows_seen": report.windows_seen, "windows_kept": report.windows_kept,
            "windows_masked": report.windows_masked, "windows_embedded": report.windows_embedded,
            "channels_skipped": covered.channels_skipped if covered else 0,
            "spectra_skipped": covered.spectra_skipped if covered else 0,
            "views": _views_json(report.views),
            "also_at": list(report.also_at), "remarks": list(report.remarks),
            "replaces": list(report.replaces),
        }


def _views_json(views: Sequence[ViewCounts]) -> dict[str, dict[str, int]]:
    return {name: {"windows_seen": seen, "windows_kept": kept, "windows_masked": masked}
            for name, seen, kept, masked in views}


@dataclass(slots=True)
class Tracker:
    """Counts what a run has done, and calls the listener with snapshots, at most five times a second."""

    listener: Listener | None
    stage: str = "probe"
    files: int = 0
    files_done: int = 0
    parts: int = 0
    parts_done: int = 0
    windows_seen: int = 0
    windows_kept: int = 0
    windows_embedded: int = 0
    bytes_decoded: int = 0
    tasks: int = 0
    note: str = ""
    """What the user should know of the stage."""
    began: float = field(default_factory=time.perf_counter)
    _told: float = 0.0
    _done_before: int = 0
    _first: tuple[int, float] = (0, 0.0)
    """Number done when this number first rose, and seconds from the beginning of the stage to that moment."""

    def enter(self, stage: str, files: int, files_done: int = 0, *, note: str = "") -> None:
        """Begin a stage; ``files_done`` of its ``files`` are done already."""
        self.stage, self.note, self.began = stage, note, time.perf_counter()
        self.files, self.files_done = files, files_done
        self.parts = self.parts_done = self.windows_embedded = 0
        self._done_before, self._first = self._snapshot(self.began).done[0], (0, 0.0)
        self.tell(force=True)

    def add(self, part: PartReport) -> None:
        """Add the counts of one scan or embed task."""
        self.parts_done += 1
        self.windows_seen += part.windows_seen
        self.windows_kept += part.windows_kept
        self.windows_embedded += part.windows_embedded
        self.bytes_decoded += part.bytes_decoded

    def tell(self, *, force: bool = False) -> None:
        """Call the listener with a snapshot, unless the last call was less than 0.2 s ago and ``force`` is False."""
        now = time.perf_counter()
        if self.listener is None:
            return
        snapshot = self._snapshot(now)
        if not self._first[0] and snapshot.done[0] > self._done_before:
            self._first = snapshot.done[0], snapshot.elapsed_s
        if now - self._told >= 0.2 or force:
            self._told = now
            self.listener(replace(snapshot, first_done=self._first[0], first_s=self._first[1]))

    def _snapshot(self, now: float) -> Progress:
        return Progress(self.stage, self.files, self.files_done, self.parts, self.parts_done, self.windows_seen,
                        self.windows_kept, self.bytes_decoded, now - self.began, self.windows_embedded, note=self.note)
