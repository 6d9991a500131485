"""Tasks that read filterbank files: probe, scan, and commit the windows of a source."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.config import ScanConfig
from pipeline.errors import Reason, SourceError
from pipeline.filterbank import FoundFile, open_filterbank, source_of
from pipeline.model import Source, SourceReport, Timing
from pipeline.scan import COLUMNS, Columns, Scanned, nothing, scan, tiling_of
from pipeline.store import Part, commit_source_group, remove_windows, write_part
from pipeline.support.text import shown
from pipeline.tasks.work import PartReport, Work, report_of_error


@dataclass(frozen=True, slots=True)
class Probed:
    """A file whose header and a few samples have been read."""

    source: Source
    also_at: tuple[str, ...] = ()
    """Further files of this run that hold the same scan."""


def probe(file: FoundFile, config: ScanConfig) -> Probed | SourceReport:
    """Read a file's header and a few samples: which scan is it, and can it be scanned?"""
    try:
        with open_filterbank(file.path, root=file.root, polarisation=config.polarisation) as filterbank:
            tiling = tiling_of(filterbank, config)
            source = source_of(filterbank, tiling.coarse)
            filterbank.check_unchanged()
            return Probed(source)
    except SourceError as error:
        return report_of_error(str(file.path), error.reason, error.message)


def probe_batch(files: Sequence[FoundFile], config: ScanConfig) -> list[Probed | SourceReport]:
    """Probe several files in one task: a probe is shorter than a task's overhead is worth."""
    return [probe(file, config) for file in files]


def scan_part(work: Work, part_no: int) -> PartReport:
    """Scan some whole coarse channels and write the kept windows as one part."""
    coarse = range(*work.parts[part_no])
    try:
        with open_filterbank(work.source.path, root=work.root, polarisation=work.scan.polarisation) as filterbank:
            if (filterbank.size_bytes, filterbank.mtime_ns) != (work.source.size_bytes, work.source.mtime_ns):
                raise SourceError(Reason.BUSY, f"{shown(work.source.path)}: changed since it was found; run again")
            scanned = [nothing(work.scan.grid), *scan(filterbank, work.tiling, coarse, work.scan)]
            filterbank.check_unchanged()
    except SourceError as error:
        return PartReport(part_no, reason=error.reason, message=error.message)
    began = time.perf_counter()
    part = _joined(scanned)
    write_part(work.staging, work.source.id, part_no, part)
    write_s = time.perf_counter() - began
    timing = sum((piece.timing for piece in scanned), Timing(write_s=write_s))
    return PartReport(
        part_no,
        windows_seen=int(part.exposure["windows_searched"].sum()),
        windows_kept=part.n_windows,
        windows_masked=int(part.exposure["windows_masked"].sum()),
        bytes_decoded=sum(piece.bytes_decoded for piece in scanned),
        timing=timing,
    )


def _joined(scanned: list[Scanned]) -> Part:
    """Join the pieces of a part, in order."""

    def joined(pieces: list[Columns]) -> Columns:
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    return Part(joined([s.windows for s in scanned]), joined([s.exposure for s in scanned]))


def commit_windows(work: Work, report: SourceReport) -> SourceReport:
    """Make a source's parts its immutable group of windows. The manifest is moved on by the driver, not here."""
    began = time.perf_counter()
    commit_source_group(work.corpus, work.staging, work.source, len(work.parts), report=report,
                        fingerprint=work.identity, columns=COLUMNS)
    remove_windows(work.staging, work.source.id)
    return replace(report, timing=report.timing + Timing(write_s=time.perf_counter() - began))
