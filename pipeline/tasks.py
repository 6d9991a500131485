"""What runs on a worker: probe, scan, embed, commit, index.

Every task is idempotent and writes one whole thing under its own name, so it may be run again, or twice at once. A bad
source comes back as a report, never as an exception. No Dask here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.config import EncoderConfig, ScanConfig
from pipeline.encoders import load_encoder
from pipeline.errors import Reason, SourceError
from pipeline.filterbank import FoundFile, open_filterbank, source_of
from pipeline.index import Segment, build_segment
from pipeline.model import EncoderSpec, Source, SourceReport, Status, Timing
from pipeline.plan import Probed
from pipeline.scan import COLUMNS, Columns, Scanned, nothing, scan, tiling_of
from pipeline.store import (
    Part,
    SegmentEntry,
    SourceGroup,
    VectorGroup,
    commit_source_group,
    commit_vector_group,
    read_part,
    remove_parts,
    segment_folder,
    write_part,
    write_part_vectors,
)
from pipeline.text import shown
from pipeline.windows import Tiling

logger = logging.getLogger(__name__)

EMBED_BATCH = 4096
"""Cutouts handed to the encoder at once: 16 MB."""


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
    identity: str
    """Fingerprint of what decides a source group's content."""
    parts: tuple[tuple[int, int], ...]
    """Coarse channels [start, stop) of each part."""

    @property
    def tiling(self) -> Tiling:
        """How the source is cut."""
        scan = self.scan
        return Tiling(self.source.header, scan.grid, self.source.coarse, scan.f_start_mhz, scan.f_stop_mhz)


@dataclass(frozen=True, slots=True)
class PartReport:
    """What one scan or embed task did."""

    part_no: int
    windows_seen: int = 0
    windows_kept: int = 0
    windows_masked: int = 0
    bytes_decoded: int = 0
    timing: Timing = field(default_factory=Timing)
    reason: Reason | None = None
    """Why the source cannot be ingested, where that came out."""
    message: str = ""


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


def report_of_error(path: str, reason: Reason, message: str, source_id: str = "") -> SourceReport:
    """Turn a source's error into its report: information, busy or failed."""
    status: Status = "skipped" if reason.is_information else "busy" if reason is Reason.BUSY else "failed"
    return SourceReport(path, status, source_id, reason, message)


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


def embed_part(work: Work, part_no: int) -> PartReport:
    """Encode a part's cutouts and write its vectors."""
    began = time.perf_counter()
    encoder = load_encoder(work.encoder.name, grid=work.scan.grid, weights=work.encoder.weights)
    cutouts = read_part(work.staging, work.source.id, part_no).windows["cutout"]
    vectors = np.zeros((len(cutouts), encoder.spec.dimension), np.float16)  # as they are stored
    for first in range(0, len(cutouts), EMBED_BATCH):
        batch = slice(first, first + EMBED_BATCH)
        vectors[batch] = encoder.encode(cutouts[batch])
    write_part_vectors(work.staging, work.source.id, part_no, encoder.spec.key, vectors)
    return PartReport(part_no, timing=Timing(embed_s=time.perf_counter() - began))


def commit(work: Work, spec: EncoderSpec, report: SourceReport) -> SourceReport:
    """Make a source's parts its two immutable groups. The manifest is moved on by the driver, not here."""
    began = time.perf_counter()
    commit_source_group(work.corpus, work.staging, work.source, len(work.parts), report=report,
                        fingerprint=work.identity, columns=COLUMNS)
    commit_vector_group(work.corpus, work.staging, work.source.id, len(work.parts), spec=spec)
    remove_parts(work.staging, work.source.id)
    return replace(report, timing=report.timing + Timing(write_s=time.perf_counter() - began))


def probe_batch(files: Sequence[FoundFile], config: ScanConfig) -> list[Probed | SourceReport]:
    """Probe several files in one task: a probe is shorter than a task's overhead is worth."""
    return [probe(file, config) for file in files]


def index_sources(root: Path, entry: SegmentEntry) -> None:
    """Build one segment of the stored vectors of some sources; one that is there already is left alone."""
    folder = segment_folder(root, entry.id)
    if folder.exists():
        Segment.open(folder)
        return
    groups = [VectorGroup.open(root, entry.encoder_key, source_id) for source_id in entry.source_ids]
    numbers = [SourceGroup.open(root, source_id).numbers for source_id in entry.source_ids]
    build_segment(
        folder,
        np.concatenate([group.vectors() for group in groups]),
        np.repeat(np.arange(len(groups)), [group.count for group in groups]),
        np.concatenate(numbers),
        entry.source_ids,
    )
