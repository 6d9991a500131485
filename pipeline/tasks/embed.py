"""Tasks that make vectors of stored windows: fit a projection, embed, and commit the vectors of a source."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config import EncoderConfig
from pipeline.errors import CorpusDamaged, EncoderError, Reason
from pipeline.model import EncoderSpec, SourceReport, Timing, WindowGrid
from pipeline.store import (
    CorpusStore,
    SourceGroup,
    commit_vector_group,
    corpus_encoder,
    remove_parts,
    write_part_vectors,
)
from pipeline.support.prefetch import prefetch
from pipeline.tasks.work import PartReport, Work

SAMPLE = 4096
"""Windows a projection is fitted on."""
READ_AHEAD = 1024
"""Windows that are read at once, while those before are encoded: 4 MiB. Batches are formed of several where they are
larger."""


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
        for there in prefetch(read, len(runs)):
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
    """Read the cutouts (n ≤ count, T, F) of a corpus' windows with the smallest :func:`sample_keys`."""
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


def sample_keys(source_id: str, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Give each window of a source a number as good as random: the windows of a corpus with the smallest are a sample.

    It depends on nothing else, so neither on the order in which sources came nor on the machine. Mixed by the
    finaliser of SplitMix64 (Steele, Lea and Flood 2014).

    Parameters
    ----------
    numbers : (n,) int64
        Window numbers.

    Returns
    -------
    (n,) uint64
    """
    seed = int.from_bytes(hashlib.sha256(source_id.encode()).digest()[:8], "little")
    keys = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)  # wraps, as it should
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    mixed: NDArray[np.uint64] = keys ^ (keys >> np.uint64(31))
    return mixed
