"""Tasks that compute vectors of stored windows: encode windows, commit the vectors of a source."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged, EncoderError, Reason
from pipeline.model import EncoderSpec, SourceReport, Timing, WindowGrid
from pipeline.store import (
    SourceGroup,
    commit_vector_groups,
    corpus_encoder,
    remove_parts,
    write_part_vectors,
)
from pipeline.support.prefetch import prefetch
from pipeline.tasks.work import PartReport, Work, added, report_of_error

MAX_READ_WINDOWS = 1024
"""Maximum number of windows in one read: 4 MiB of cutouts. The next read runs while the last one is encoded. Larger
batches of an encoder are made of several reads."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some windows of a stored source, whose vectors one embed task computes."""

    source_id: str
    part_no: int
    """Number of the part of the source's vectors."""
    rows: tuple[int, int]
    """First row and last row + 1 of the windows in the source's group."""


def embed_parts(work: Work, spec: EncoderSpec, pieces: tuple[Piece, ...]) -> list[PartReport]:
    """Encode the cutouts of several pieces together, and write the vectors of each piece as one part of its source.

    A small source has too few windows to keep a device busy. So the windows of all pieces are encoded as one sequence,
    and a batch may contain windows of several sources. The next windows are read while a batch is encoded.

    Parameters
    ----------
    work : Work
        Work on any of the sources. Corpus, staging folder and encoder are the same for all of them.
    spec : EncoderSpec
        The encoder that the run has agreed on.
    pieces : tuple of Piece
        Windows to encode.

    Returns
    -------
    list of PartReport
        One per piece. If a source cannot be read, only its own pieces fail.

    Raises
    ------
    EncoderError
        This worker has a different encoder.
    """
    began = time.perf_counter()
    reports, vectors = _encoded(work, spec, pieces)
    for piece, own in zip(pieces, vectors, strict=True):
        if own is not None:
            write_part_vectors(work.staging, piece.source_id, piece.part_no, spec.key, own)
    each = Timing(embed_s=(time.perf_counter() - began) / len(pieces))
    return [report if report.reason is not None else replace(report, timing=each) for report in reports]


def _encoded(
    work: Work, spec: EncoderSpec, pieces: tuple[Piece, ...]
) -> tuple[list[PartReport], list[NDArray[np.float32] | None]]:
    """Encode pieces as :func:`embed_parts` does. Return their reports, and their vectors unless a piece failed."""
    began = time.perf_counter()
    encoder = corpus_encoder(work.corpus, work.encoder, work.scan.grid)
    if encoder.spec != spec:
        raise EncoderError(f"a worker has {encoder.spec}, the run {spec}; give all of them the same version of the "
                           "program and the same weights")
    reader = _PieceReader(work.corpus, pieces, work.scan.grid)
    vectors = encoder.encode_all(reader.cutouts())
    owners = reader.owners()
    each = Timing(embed_s=(time.perf_counter() - began) / len(pieces))
    return ([_report(piece, reader.failed.get(i), each) for i, piece in enumerate(pieces)],
            [None if i in reader.failed else vectors[owners == i] for i in range(len(pieces))])


class _PieceReader:
    """Reads the cutouts of pieces as one sequence, and remembers which piece each cutout belongs to."""

    def __init__(self, corpus: Path, pieces: Sequence[Piece], grid: WindowGrid) -> None:
        self.failed: dict[int, CorpusDamaged] = {}
        """Errors by the index of the piece that could not be read."""
        self._corpus, self._pieces, self._grid = corpus, pieces, grid
        self._runs = _divide_into_runs([piece.rows[1] - piece.rows[0] for piece in pieces])
        self._owners = [np.empty(0, np.int64)]

    def cutouts(self) -> Iterator[NDArray[np.uint8]]:
        """Yield blocks of cutouts (n, T, F). The next blocks are read while one is used."""
        for blocks in prefetch(self._read, len(self._runs)):
            for i, cutouts in blocks:
                self._owners.append(np.full(len(cutouts), i))
                yield cutouts

    def owners(self) -> NDArray[np.int64]:
        """Return the index of the piece that each cutout yielded so far belongs to."""
        return np.concatenate(self._owners)

    def _read(self, run_no: int) -> list[tuple[int, NDArray[np.uint8]]]:
        """Read the cutouts of one run, with the index of their piece."""
        blocks = []
        for i, first, stop in self._runs[run_no]:
            start = self._pieces[i].rows[0]
            try:
                group = SourceGroup.open(self._corpus, self._pieces[i].source_id)
                group.require_grid(self._grid)
                blocks.append((i, group.cutouts(slice(start + first, start + stop))))
            except CorpusDamaged as error:
                self.failed[i] = error
        return blocks


def _divide_into_runs(counts: Sequence[int]) -> list[list[tuple[int, int, int]]]:
    """Divide pieces into runs of up to :data:`MAX_READ_WINDOWS` windows.

    Parameters
    ----------
    counts : sequence of int
        Windows in each piece.

    Returns
    -------
    list of list of (int, int, int)
        Index of the piece, first window and last window + 1, for each block of each run.
    """
    runs: list[list[tuple[int, int, int]]] = [[]]
    room = MAX_READ_WINDOWS
    for i, count in enumerate(counts):
        first = 0
        while True:
            if room == 0:
                runs.append([])
                room = MAX_READ_WINDOWS
            last = min(count, first + room)
            runs[-1].append((i, first, last))  # empty pieces, too: their vectors are an empty part
            room -= last - first
            first = last
            if first == count:
                break
    return runs


def _report(piece: Piece, error: CorpusDamaged | None, timing: Timing) -> PartReport:
    """Return the report on a piece: embedded, or failed with ``error``."""
    if error is not None:
        return PartReport(piece.part_no, reason=Reason.DAMAGED, message=f"{piece.source_id}: {error}")
    return PartReport(piece.part_no, windows_embedded=piece.rows[1] - piece.rows[0], timing=timing)


def embed_whole(
    work: Work, spec: EncoderSpec, sources: tuple[tuple[tuple[Piece, ...], SourceReport], ...]
) -> list[tuple[PartReport, SourceReport]]:
    """Encode the windows of small sources together, and commit their vectors together, without files between.

    Parameters
    ----------
    work : Work
        Work on any of the sources.
    spec : EncoderSpec
        The encoder that the run has agreed on.
    sources : tuple of (tuple of Piece, SourceReport)
        For each source: all windows of it and of its views, one piece each, and the report so far.

    Returns
    -------
    list of (PartReport, SourceReport)
        One for each source. The second one is a failure if the source or a view of it cannot be read.
    """
    all_pieces = tuple(piece for pieces, _ in sources for piece in pieces)
    made, vectors = _encoded(work, spec, all_pieces)
    of_source = {piece.source_id: own for piece, own in zip(all_pieces, vectors, strict=True) if own is not None}
    parts = iter(made)
    sums = [_sum([next(parts) for _ in pieces]) for pieces, _ in sources]
    reports = [added(report, part) if part.reason is None else
               report_of_error(report.path, part.reason, part.message, report.source_id)
               for part, (_, report) in zip(sums, sources, strict=True)]
    began = time.perf_counter()
    done = [report.status == "done" for report in reports]
    _commit(work, spec, {piece.source_id: 1 for (pieces, _), is_done in zip(sources, done, strict=True) if is_done
                         for piece in pieces}, of_source)
    each = Timing(write_s=(time.perf_counter() - began) / max(1, sum(done)))
    return [(part, replace(report, timing=report.timing + each) if is_done else report)
            for part, report, is_done in zip(sums, reports, done, strict=True)]


def _sum(parts: Sequence[PartReport]) -> PartReport:
    """Return one report of the pieces of a source: the first failure, or the sum."""
    failed = [part for part in parts if part.reason is not None]
    return failed[0] if failed else PartReport(
        0, windows_embedded=sum(part.windows_embedded for part in parts),
        timing=sum((part.timing for part in parts), Timing()))


def commit_vectors(
    work: Work, spec: EncoderSpec, n_parts: Mapping[str, int], report: SourceReport
) -> SourceReport:
    """Combine the vector parts of a source into one immutable group, and those of each view into one of its own.

    Parameters
    ----------
    work : Work
        The source.
    spec : EncoderSpec
        Encoder of the vectors.
    n_parts : mapping
        Id of the source, or of a view of it → its number of parts.
    report : SourceReport
        Report on the source so far.

    Returns
    -------
    SourceReport
        The same, with the seconds spent on writing.
    """
    began = time.perf_counter()
    _commit(work, spec, n_parts)
    return replace(report, timing=report.timing + Timing(write_s=time.perf_counter() - began))


def _commit(
    work: Work, spec: EncoderSpec, n_parts: Mapping[str, int],
    vectors: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
) -> None:
    """Commit the vectors of sources: id → number of parts, and id → vectors that are in no file."""
    commit_vector_groups(work.corpus, work.staging, n_parts, spec=spec, vectors=vectors)
    for source_id in n_parts:
        remove_parts(work.staging, source_id)
