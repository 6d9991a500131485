"""Tasks that read filterbank files: probe a file, scan a part of it, and commit the windows of a source."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from pipeline.config import ScanConfig
from pipeline.errors import Reason, SourceError
from pipeline.filterbank import Filterbank, FoundFile, open_filterbank, source_of
from pipeline.grid.coarse_layout import remark_on_nfpc
from pipeline.model import Source, SourceReport, Timing
from pipeline.overview import Cells, OverviewLayout, cells_of_channels
from pipeline.scan import COLUMNS, Columns, ScanResult, empty_result, scan, tiling_of, why_unsearchable
from pipeline.store import (
    Part,
    SourceCommit,
    commit_overview,
    commit_source_groups,
    remove_windows,
    write_overview_part,
    write_part,
)
from pipeline.support.text import shown
from pipeline.tasks.work import PartReport, Work, added, report_of_error
from pipeline.views import PLAIN, is_plain


@dataclass(frozen=True, slots=True)
class Probed:
    """A file that can be scanned: its header and a few samples have been read."""

    source: Source
    """The source that the file contains."""
    also_at: tuple[str, ...] = ()
    """Other files of this run that contain the same source."""
    warning: str = ""
    """What the report says of a file that is read although something is wrong with it."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """What a user should know of the file: subject → a sentence."""
    replaces: tuple[str, ...] = ()
    """Ids of the sources that are the beginning of this one, and whose place it takes."""


def probe(file: FoundFile, config: ScanConfig) -> Probed | SourceReport:
    """Read a file's header and a few samples, to find out which source it contains and whether it can be scanned.

    Parameters
    ----------
    file : FoundFile
    config : ScanConfig

    Returns
    -------
    Probed or SourceReport
        A report if the file cannot be scanned.
    """
    try:
        with open_filterbank(file.path, root=file.root, polarisation=config.polarisation,
                             accept_truncated=file.accept_truncated) as filterbank:
            _require_window(filterbank, config)
            tiling = tiling_of(filterbank, config)
            source = source_of(filterbank, tiling.coarse)
            filterbank.check_unchanged()
            remarks = filterbank.remarks | remark_on_nfpc(source.header, source.coarse)
            return Probed(source, warning=_warning(filterbank), remarks=remarks)
    except SourceError as error:
        return report_of_error(str(file.path), error.reason, error.message)


def _require_window(filterbank: Filterbank, config: ScanConfig) -> None:
    """Raise TRUNCATED if the end of a file is missing and the rest is shorter than a window, as the file may grow."""
    count = filterbank.header.nsamples
    if filterbank.shortfall and count < config.integrations:
        raise SourceError(Reason.TRUNCATED, f"{shown(filterbank.path)}: {filterbank.shortfall}; its {count} whole "
                          f"spectra are fewer than the {config.integrations} of one window; try again when it is "
                          "complete")


def _warning(filterbank: Filterbank) -> str:
    if not filterbank.shortfall:
        return ""
    return (f"{shown(filterbank.path)}: {filterbank.shortfall}; its first {filterbank.header.nsamples:,} spectra, "
            "which are whole, are read")


def probe_batch(files: Sequence[FoundFile], config: ScanConfig) -> list[Probed | SourceReport]:
    """Probe several files in one task. A single probe takes less time than the overhead of a task."""
    return [probe(file, config) for file in files]


def beginnings(
    files: Sequence[FoundFile], source_id: str, nsamples: int, counts: Sequence[int], config: ScanConfig
) -> dict[int, str] | None:
    """Return the ids that a scan would have if it ended after some of its spectra.

    Parameters
    ----------
    files : sequence of FoundFile
        Files that hold the scan, or held it once.
    source_id : str
        The scan.
    nsamples : int
        Its number of spectra.
    counts : sequence of int
        Numbers of spectra, fewer than the scan has.
    config : ScanConfig

    Returns
    -------
    dict or None
        Number of spectra → id, from the first file that still holds the scan; None if no file does.
    """
    for file in files:
        try:
            with open_filterbank(file.path, root=file.root, polarisation=config.polarisation,
                                 accept_truncated=True) as filterbank:
                # the file may have grown since
                if filterbank.header.nsamples < nsamples or filterbank.source_id(nsamples) != source_id:
                    continue
                found = {count: filterbank.source_id(count) for count in counts}
                filterbank.check_unchanged()
                return found
        except SourceError:
            continue
    return None


def scan_part(work: Work, part_no: int) -> PartReport:
    """Scan the coarse channels of one part of a source, and write the windows that are kept.

    Parameters
    ----------
    work : Work
        The source.
    part_no : int
        Index in ``work.parts``.

    Returns
    -------
    PartReport
        With a reason if the file cannot be read.
    """
    report, made = _scan_part(work, part_no)
    began = time.perf_counter()
    for source_id, part in made.items():
        write_part(work.staging, source_id, part_no, part)
    return replace(report, timing=report.timing + Timing(write_s=time.perf_counter() - began))


def _scan_part(work: Work, part_no: int) -> tuple[PartReport, dict[str, Part]]:
    """Scan one part of a source. Return the report, and the part of the scan and of each view, by source id."""
    coarse = range(*work.parts[part_no])
    try:
        with open_filterbank(work.source.path, root=work.root, polarisation=work.scan.polarisation,
                             accept_truncated=True) as filterbank:  # the probe has decided about truncated files
            if (filterbank.size_bytes, filterbank.mtime_ns) != (work.source.size_bytes, work.source.mtime_ns):
                raise SourceError(Reason.BUSY, f"{shown(work.source.path)}: changed after it was found; run again")
            overview = _cells_of(work, coarse)
            scanned = list(scan(filterbank, work.tiling, coarse, work.scan, overview))
            seen, masked = (sum(int(piece.exposure[f"windows_{name}"].sum()) for piece in scanned
                                if piece.view == PLAIN.name) for name in ("searched", "masked"))
            fault = why_unsearchable(filterbank, work.tiling, coarse) if masked and not seen else ""
            filterbank.check_unchanged()
    except SourceError as error:
        return PartReport(part_no, reason=error.reason, message=error.message), {}
    began = time.perf_counter()
    if overview is not None:
        write_overview_part(work.staging, work.source.id, part_no, overview)
    counts, made = {}, {}
    for view in (*work.views, *(() if work.only_views else (PLAIN,))):
        part = _join([empty_result(work.scan.grid), *(piece for piece in scanned if piece.view == view.name)])
        made[view.id_of(work.source.id)] = part
        counts[view.name] = (int(part.exposure["windows_searched"].sum()), part.n_windows,
                             int(part.exposure["windows_masked"].sum()))
    write_s = time.perf_counter() - began
    seen, kept, masked = counts.pop(PLAIN.name, (0, 0, 0))
    report = PartReport(
        part_no,
        windows_seen=seen,
        windows_kept=kept,
        windows_masked=masked,
        views=tuple((name, *count) for name, count in counts.items()),
        bytes_decoded=sum(piece.bytes_decoded for piece in scanned),
        timing=sum((piece.timing for piece in scanned), Timing(write_s=write_s)),
        message=fault,
    )
    return report, made


def _cells_of(work: Work, coarse: range) -> Cells | None:
    """Return empty cells of an overview for some coarse channels; None if no overview is made."""
    if not work.overview:
        return None
    start, stop = work.tiling.coarse_span(coarse[0])[0], work.tiling.coarse_span(coarse[-1])[1]
    return cells_of_channels(OverviewLayout.of(work.source.header), start, stop)


def _join(scanned: list[ScanResult]) -> Part:
    """Join the results of a part, in order."""

    def joined(pieces: list[Columns]) -> Columns:
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    return Part(joined([s.windows for s in scanned]), joined([s.exposure for s in scanned]))


def commit_windows(work: Work, report: SourceReport) -> SourceReport:
    """Combine the parts of a source into one immutable group of windows, and those of each view into one of its own.

    An overview is committed with them. The driver updates the manifest later. The group of the scan itself is made
    last. So if this group exists, the overview and the groups of all views exist, too.

    Parameters
    ----------
    work : Work
        The source.
    report : SourceReport
        Report on the source so far, which is stored with the group.

    Returns
    -------
    SourceReport
        The same report, with the seconds spent on writing.
    """
    return _committed([(work, report)])[work.source.id]


def scan_whole(works: tuple[Work, ...]) -> list[tuple[PartReport, SourceReport]]:
    """Scan small sources, which have one part each, and commit their windows together.

    A task for each step of each source would take longer than the steps, and so would waiting for the disk at each
    commit. The parts go from the scan to the commit in memory: they are small, and files would take longer.

    Parameters
    ----------
    works : tuple of Work
        The sources. Corpus, staging folder and settings are the same for all of them.

    Returns
    -------
    list of (PartReport, SourceReport)
        One pair for each source. Its SourceReport is a failure if the source cannot be ingested.
    """
    scanned = [_scan_part(work, 0) for work in works]
    parts, made = [part for part, _ in scanned], {name: part for _, its in scanned for name, part in its.items()}
    reports = [_scanned(work, part) for work, part in zip(works, parts, strict=True)]
    done = _committed([(work, report) for work, report in zip(works, reports, strict=True) if report.status == "done"],
                      made)
    return [(part, done.get(work.source.id, report)) for work, part, report in zip(works, parts, reports, strict=True)]


def _scanned(work: Work, part: PartReport) -> SourceReport:
    """Return the report on a source whose only part is scanned."""
    if part.reason is not None:
        return report_of_error(work.source.path, part.reason, part.message, work.source.id)
    return work.scanned(added(work.new_report(), part), part.message)


def _committed(
    scanned: Sequence[tuple[Work, SourceReport]], parts: Mapping[str, Part] = MappingProxyType({})
) -> dict[str, SourceReport]:
    """Commit the windows of sources; return their reports by id, with the seconds spent on writing.

    ``parts`` are those that are not in the staging folder, by id of the source or the view.
    """
    began = time.perf_counter()
    made = [(work, source, its_report) for work, report in scanned for source, its_report in work.made(report)]
    for work, _ in scanned:
        if work.overview:
            commit_overview(work.corpus, work.staging, work.source, len(work.parts))
    for are_plain in (False, True):  # scans come last: if the group of one exists, its views do, too
        commits = [SourceCommit(source, len(work.parts), its_report, parts.get(source.id))
                   for work, source, its_report in made if is_plain(source.id) == are_plain]
        if commits:
            first, _ = scanned[0]
            commit_source_groups(first.corpus, first.staging, commits, fingerprint=first.identity, columns=COLUMNS)
    for work, source, _ in made:
        remove_windows(work.staging, source.id)
    each = Timing(write_s=(time.perf_counter() - began) / max(1, len(scanned)))
    return {work.source.id: replace(report, timing=report.timing + each) for work, report in scanned}
