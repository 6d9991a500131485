"""What tasks are told, and what they report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.config import EncoderConfig, ScanConfig
from pipeline.errors import Reason
from pipeline.grid.tiling import Tiling
from pipeline.model import Source, SourceReport, Timing


@dataclass(frozen=True, slots=True)
class Work:
    """What every task of one source needs to know."""

    corpus: Path
    staging: Path
    source: Source
    also_at: tuple[str, ...]
    root: Path
    """The DATA argument the file was found under: links must not lead out of it."""
    scan: ScanConfig
    encoder: EncoderConfig
    """With the precision that the whole run settled on: what is fastest on a worker does not count."""
    identity: str
    """Fingerprint of what decides a source group's content."""
    parts: tuple[tuple[int, int], ...]
    """Coarse channels [start, stop) of each scan task; rows of each embed task where the source is stored already."""
    is_stored: bool = False
    """True where the corpus has the source's windows: they are only embedded."""

    @property
    def tiling(self) -> Tiling:
        """How the source is cut."""
        scan = self.scan
        return Tiling(self.source.header, scan.grid, self.source.coarse, scan.f_start_mhz, scan.f_stop_mhz)

    def new_report(self) -> SourceReport:
        """Return the report of the source before any of its parts is done."""
        skipped = 0 if self.is_stored else self.tiling.channels_skipped
        return SourceReport(self.source.path, "done", self.source.id, channels_skipped=skipped, also_at=self.also_at)


@dataclass(frozen=True, slots=True)
class PartReport:
    """What one scan or embed task did."""

    part_no: int
    windows_seen: int = 0
    windows_kept: int = 0
    windows_masked: int = 0
    windows_embedded: int = 0
    bytes_decoded: int = 0
    timing: Timing = field(default_factory=Timing)
    reason: Reason | None = None
    """Why the source cannot be ingested, where that came out."""
    message: str = ""


def added(report: SourceReport, part: PartReport) -> SourceReport:
    """Add what one task did to its source's report."""
    return replace(
        report,
        windows_seen=report.windows_seen + part.windows_seen,
        windows_kept=report.windows_kept + part.windows_kept,
        windows_masked=report.windows_masked + part.windows_masked,
        windows_embedded=report.windows_embedded + part.windows_embedded,
        bytes_decoded=report.bytes_decoded + part.bytes_decoded,
        timing=report.timing + part.timing,
    )


def report_of_error(path: str, reason: Reason, message: str, source_id: str = "") -> SourceReport:
    """Turn a source's error into its report: information, busy or failed."""
    return SourceReport(path, reason.status, source_id, reason, message)
