"""The input and the reports of tasks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.config import EncoderConfig, ScanConfig
from pipeline.errors import Reason
from pipeline.grid.tiling import Tiling
from pipeline.model import Source, SourceReport, Timing, ViewCounts
from pipeline.support.text import counted, shown
from pipeline.views import View, views_of


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that the tasks of one source need to know."""

    corpus: Path
    """Folder of the corpus."""
    staging: Path
    """Folder of this run for unfinished parts."""
    source: Source
    also_at: tuple[str, ...]
    """Other files of this run that contain the same source."""
    root: Path
    """DATA argument under which the file was found. Links must not lead outside of it."""
    scan: ScanConfig
    """Settings of the scan."""
    encoder: EncoderConfig
    """Settings of the encoder, with the precision that the whole run has agreed on. The fastest precision of a single
    worker is not used."""
    identity: str
    """Fingerprint of all settings that determine the content of a source group."""
    parts: tuple[tuple[int, int], ...]
    """Coarse channels [start, stop) of each scan task. If the source is stored already: rows [start, stop) of each
    embed task."""
    warning: str = ""
    """What the report says of a file that is read although something is wrong with it."""
    remarks: tuple[str, ...] = ()
    """What is odd about the header of the file, for its report."""
    replaces: tuple[str, ...] = ()
    """Ids of the sources that are the beginning of this one, and whose place it takes."""
    is_stored: bool = False
    """True if the corpus already has the windows of the source. They are then only embedded."""
    only_views: bool = False
    """True if the corpus already has the scan, and gets averaged views or an overview of it."""

    @property
    def views(self) -> tuple[View, ...]:
        """Averaged views of the source that are made of the same samples."""
        return () if self.is_stored else views_of(self.scan.views, self.source.header, self.source.coarse,
                                                  self.scan.grid)

    @property
    def overview(self) -> bool:
        """True if an overview is made of the same samples."""
        return self.scan.overview and not self.is_stored

    def seen_through(self, view: View) -> Source:
        """Return a view of the source, which is a source of its own."""
        source = self.source
        return replace(source, id=view.id_of(source.id), header=view.header_of(source.header),
                       coarse=view.coarse_of(source.coarse))

    def made(self, report: SourceReport) -> list[tuple[Source, SourceReport]]:
        """Return the sources that were made, each with its own report: the views first, then the scan itself."""
        sources = []
        for name, seen, kept, masked in report.views:
            source = self.seen_through(View.named(name))
            sources.append((source, SourceReport(
                report.path, report.status, source.id, windows_seen=seen, windows_kept=kept, windows_masked=masked,
                also_at=report.also_at)))
        return sources if self.only_views else [*sources, (self.source, report)]

    @property
    def tiling(self) -> Tiling:
        """How the source is cut into windows."""
        scan = self.scan
        return Tiling(self.source.header, scan.grid, self.source.coarse, scan.f_start_mhz, scan.f_stop_mhz)

    def new_report(self) -> SourceReport:
        """Return the report on the source before any of its parts is done."""
        return SourceReport(self.source.path, "done", self.source.id, message=self.warning, also_at=self.also_at,
                            remarks=self.remarks, replaces=self.replaces)

    def scanned(self, report: SourceReport, fault: str) -> SourceReport:
        """Return the report on the source once all its parts are scanned: a failure if no window could be searched.

        ``fault`` says why, and what to do.
        """
        if report.windows_seen or not report.windows_masked:
            return report
        windows = counted(report.windows_masked, "window")
        return report_of_error(
            report.path, Reason.ALL_MASKED, f"{shown(report.path)}: none of its {windows} can be searched, because "
            f"{fault}", self.source.id)


@dataclass(frozen=True, slots=True)
class PartReport:
    """What one scan or embed task did."""

    part_no: int
    """Number of the part."""
    windows_seen: int = 0
    windows_kept: int = 0
    windows_masked: int = 0
    windows_embedded: int = 0
    views: tuple[ViewCounts, ...] = ()
    bytes_decoded: int = 0
    timing: Timing = field(default_factory=Timing)
    reason: Reason | None = None
    """Why the source cannot be ingested, if the task found a reason."""
    message: str = ""
    """Details of the reason. Without a reason: why no window of the part could be searched."""


def added(report: SourceReport, part: PartReport) -> SourceReport:
    """Return a source's report with the counts and times of one task added."""
    return replace(
        report,
        windows_seen=report.windows_seen + part.windows_seen,
        windows_kept=report.windows_kept + part.windows_kept,
        windows_masked=report.windows_masked + part.windows_masked,
        windows_embedded=report.windows_embedded + part.windows_embedded,
        views=_added_views(report.views, part.views),
        bytes_decoded=report.bytes_decoded + part.bytes_decoded,
        timing=report.timing + part.timing,
    )


def _added_views(views: tuple[ViewCounts, ...], more: tuple[ViewCounts, ...]) -> tuple[ViewCounts, ...]:
    """Add up the counts of each view."""
    counts = {name: (0, 0, 0) for name, *_ in (*views, *more)}
    for name, seen, kept, masked in (*views, *more):
        before = counts[name]
        counts[name] = (before[0] + seen, before[1] + kept, before[2] + masked)
    return tuple((name, *count) for name, count in counts.items())


def report_of_error(path: str, reason: Reason, message: str, source_id: str = "") -> SourceReport:
    """Return the report on a source that has an error. Its status follows from the reason: skipped, busy or failed."""
    return SourceReport(path, reason.status, source_id, reason, message)
