"""What runs on a worker: probe, scan, embed, commit, fit, index.

Every task is idempotent and writes one whole thing under its own name, so it may be run again, or twice at once. A bad
source comes back as a report, never as an exception. No Dask here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.support.prefetch import ahead
from pipeline.config import EncoderConfig, ScanConfig
from pipeline.errors import CorpusDamaged, EncoderError, Reason, SourceError
from pipeline.filterbank import FoundFile, open_filterbank, source_of
from pipeline.index import Segment, build_segment
from pipeline.model import EncoderSpec, Source, SourceReport, Status, Timing, WindowGrid
from pipeline.tasks.plan import Probed, sample_keys
from pipeline.scan import COLUMNS, Columns, Scanned, nothing, scan, tiling_of
from pipeline.store import (
    CorpusStore,
    Part,
    SegmentEntry,
    SourceGroup,
    VectorGroup,
    commit_source_group,
    commit_vector_group,
    corpus_encoder,
    remove_parts,
    remove_windows,
    segment_folder,
    write_part,
    write_part_vectors,
)
from pipeline.support.text import shown
from pipeline.grid.tiling import Tiling

logger = logging.getLogger(__name__)

SAMPLE = 4096
"""Windows a projection is fitted on."""
READ_AHEAD = 1024
"""Windows that are read at once, while those before are encoded: 4 MiB. Batches are formed of several where they are
larger."""


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


def commit_windows(work: Work, report: SourceReport) -> SourceReport:
    """Make a source's parts its immutable group of windows. The manifest is moved on by the driver, not here."""
    began = time.perf_counter()
    commit_source_group(work.corpus, work.staging, work.source, len(work.parts), report=report,
                        fingerprint=work.identity, columns=COLUMNS)
    remove_windows(work.staging, work.source.id)
    return replace(report, timing=report.timing + Timing(write_s=time.perf_counter() - began))


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a stored source's windows, of which one embed task makes vectors."""

    source_id: str
    part_no: int
    rows: tuple[int, int]
    """[start, stop)."""


def embed_parts(work: Work, spec: EncoderSpec, pieces: tuple[Piece, ...]) -> list[PartReport]:
    """Encode stored cutouts of some sources together, and write the vectors of each piece as one part of its source.

    A device is starved by what one small source keeps, so the windows of all pieces are encoded as one sequence, in
    batches that know no bounds of sources. While some are, the next are read.

    Parameters
    ----------
    work : Work
        Of any of the sources: corpus, staging folder and encoder are the same for all.

    Returns
    -------
    list of PartReport
        One a piece. A source that cannot be read, or whose vectors are refused, fails alone.
    """
    began = time.perf_counter()
    encoder = corpus_encoder(work.corpus, work.encoder, work.scan.grid)
    if encoder.spec != spec:
        raise EncoderError(f"a worker has {encoder.spec}, the run {spec}; give all of them the same version of the "
                           "program and the same weights")
    runs = _runs([piece.rows[1] - piece.rows[0] for piece in pieces])
    of_piece: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    """Which piece each window that goes to the encoder is of."""
    failed: dict[int, CorpusDamaged] = {}

    def read(run_no: int) -> list[tuple[int, NDArray[np.uint8]]]:
        there = []
        for i, first, last in runs[run_no]:
            start = pieces[i].rows[0]
            try:
                group = SourceGroup.open(work.corpus, pieces[i].source_id)
                there.append((i, group.cutouts(slice(start + first, start + last))))
            except CorpusDamaged as error:
                failed[i] = error
        return there

    def blocks() -> Iterator[NDArray[np.uint8]]:
        for there in ahead(read, len(runs)):
            for i, cutouts in there:
                of_piece.append(np.full(len(cutouts), i))
                yield cutouts

    vectors = encoder.encode_all(blocks())
    owners = np.concatenate(of_piece)
    for i, piece in enumerate(pieces):
        if i not in failed:
            write_part_vectors(work.staging, piece.source_id, piece.part_no, spec.key, vectors[owners == i])
    each = Timing(embed_s=(time.perf_counter() - began) / len(pieces))
    return [_embedded(piece, failed.get(i), each) for i, piece in enumerate(pieces)]


def _runs(counts: Sequence[int]) -> list[list[tuple[int, int, int]]]:
    """Divide pieces of so many windows into runs of up to ``READ_AHEAD``, as (piece, first window, last + 1)."""
    runs: list[list[tuple[int, int, int]]] = [[]]
    room = READ_AHEAD
    for i, count in enumerate(counts):
        first = 0
        while True:
            if room == 0:
                runs.append([])
                room = READ_AHEAD
            last = min(count, first + room)
            runs[-1].append((i, first, last))  # of no windows, too: their vectors are an empty part
            room -= last - first
            first = last
            if first == count:
                break
    return runs


def _embedded(piece: Piece, error: CorpusDamaged | None, timing: Timing) -> PartReport:
    if error is not None:
        return PartReport(piece.part_no, reason=Reason.CRASHED, message=f"{piece.source_id}: {error}")
    return PartReport(piece.part_no, windows_embedded=piece.rows[1] - piece.rows[0], timing=timing)


def commit_vectors(work: Work, spec: EncoderSpec, n_parts: int, report: SourceReport) -> SourceReport:
    """Make the vectors of a source's ``n_parts`` parts their immutable group."""
    began = time.perf_counter()
    commit_vector_group(work.corpus, work.staging, work.source.id, n_parts, spec=spec)
    remove_parts(work.staging, work.source.id)
    return replace(report, timing=report.timing + Timing(write_s=time.perf_counter() - began))


def fit_projection(corpus: Path, encoder: EncoderConfig, grid: WindowGrid, staged: Path) -> None:
    """Fit an encoder's projection on a sample of the corpus' windows and write it to ``staged``."""
    from pipeline.encoders import fit

    cutouts = sample(corpus, SAMPLE)
    projection = fit(encoder.name, cutouts, grid=grid, weights=encoder.weights, precision=encoder.precision)
    staged.parent.mkdir(parents=True, exist_ok=True)
    projection.save(staged)


def sample(corpus: Path, count: int) -> NDArray[np.uint8]:
    """Read the cutouts (n ≤ count, T, F) of a corpus' windows with the smallest :func:`pipeline.tasks.plan.sample_keys`."""
    source_ids = sorted(CorpusStore.open(corpus).manifest().sources)
    keys, sources, rows = np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    for i, source_id in enumerate(source_ids):
        numbers = SourceGroup.open(corpus, source_id).numbers
        keys = np.concatenate([keys, sample_keys(source_id, numbers)])
        sources = np.concatenate([sources, np.full(len(numbers), i)])
        rows = np.concatenate([rows, np.arange(len(numbers))])
        chosen = np.argsort(keys, kind="stable")[:count]
        keys, sources, rows = keys[chosen], sources[chosen], rows[chosen]
    pieces = [SourceGroup.open(corpus, source_ids[i]).cutouts(rows[sources == i]) for i in np.unique(sources)]
    cutouts = np.concatenate(pieces)
    in_place = np.empty_like(cutouts)
    in_place[np.argsort(sources, kind="stable")] = cutouts
    return in_place


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
