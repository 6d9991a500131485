"""Tasks that build the index: a segment of stored vectors, and the steps of a routed segment.

A routed segment is built by steps (:mod:`pipeline.run.routed`): ``train`` finds the cells, ``spool`` sorts vectors by
cell, ``build_cell`` builds the segment of one cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import SegmentEntry
from pipeline.index import (
    NEIGHBOURS,
    SAMPLE_PER_CELL,
    Segment,
    build_segment,
    read_array,
    rows_in_spool,
    rows_of_cell,
    train_cells,
    write_array,
    write_spool,
)
from pipeline.store import CorpusStore, SourceGroup, VectorGroup, segment_folder

SAMPLED_SOURCES = 256
"""Most sources that k-means looks at."""
PROBES = 512
"""Vectors whose neighbours show how many cells a search must ask."""


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


def train(root: Path, entry: SegmentEntry, partial: Path) -> None:
    """Find the centroids of a segment's cells and draw the vectors that margins are measured by; once."""
    if (partial / "probes.npy").exists():
        return
    sample = _sample(root, entry, SAMPLE_PER_CELL * max(len(entry.cells), PROBES // SAMPLE_PER_CELL))
    partial.mkdir(exist_ok=True)
    write_array(partial / "centroids.npy", train_cells(sample, len(entry.cells)))
    write_array(partial / "probes.npy", sample[:PROBES].astype(np.float32))


def spool(
    root: Path, entry: SegmentEntry, routed: Path, into: Path, source_ids: Sequence[str], only: int | None
) -> NDArray[np.int64]:
    """Sort the vectors of some sources by cell and write them down; return the rows of each cell."""
    path = spool_of(into, source_ids, only)
    if not path.exists():
        into.mkdir(exist_ok=True)
        position = {source_id: i for i, source_id in enumerate(entry.source_ids)}
        groups = [VectorGroup.open(root, entry.encoder_key, source_id) for source_id in source_ids]
        write_spool(
            path,
            np.concatenate([group.vectors().astype(np.float16) for group in groups]),
            np.repeat(np.array([position[source_id] for source_id in source_ids], np.int32),
                      [group.count for group in groups]),
            np.concatenate([SourceGroup.open(root, source_id).numbers for source_id in source_ids]).astype(np.int64),
            np.array(read_array(routed / "centroids.npy")), only)
    return rows_in_spool(path)


def build_cell(
    routed: Path, folder: Path, spools: Sequence[Path], cell: int, source_ids: tuple[str, ...]
) -> NDArray[np.float32] | None:
    """Build a cell; return what the probes, where there are any, find best in it: (probes, NEIGHBOURS + 1) scores."""
    segment = (Segment.open(folder, source_ids) if folder.exists() else
               build_segment(folder, *rows_of_cell(spools, cell), source_ids, is_cell=True))
    if not (routed / "probes.npy").exists():
        return None
    return segment.search(read_array(routed / "probes.npy"), NEIGHBOURS + 1).score


def spool_of(folder: Path, source_ids: Sequence[str], only: int | None) -> Path:
    """Name the file that :func:`spool` writes for some sources; with ``only``, of the vectors of one cell."""
    digest = hashlib.sha256("\n".join([str(only), *source_ids]).encode()).hexdigest()[:12]
    return folder / f"spool-{digest}"


def _sample(root: Path, entry: SegmentEntry, count: int) -> NDArray[np.float16]:
    """Draw up to ``count`` of a segment's vectors, in random order: from so many sources, the large more likely."""
    rng = np.random.default_rng(0)
    sources = CorpusStore.open(root).manifest().sources
    held = np.array([sources[source_id].vectors[entry.encoder_key] for source_id in entry.source_ids])
    chosen = np.sort(rng.choice(len(held), min(SAMPLED_SOURCES, len(held)), replace=False, p=held / held.sum()))
    share = min(1.0, count / held[chosen].sum())
    drawn = []
    for i in chosen:
        group = VectorGroup.open(root, entry.encoder_key, entry.source_ids[i])
        rows = np.sort(rng.choice(group.count, int(np.ceil(share * group.count)), replace=False))
        drawn.append(group.vectors()[rows].astype(np.float16))
    sample: NDArray[np.float16] = rng.permutation(np.concatenate(drawn))
    return sample
