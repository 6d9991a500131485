"""Tasks that build the index: segments of stored vectors, and the steps of a routed segment.

A routed segment is built in steps (:mod:`pipeline.run.routed`). ``train`` finds the cells, ``spool`` sorts vectors by
cell, and ``build_cell`` builds the segment of one cell.
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
from pipeline.support.safe_files import refuse_link

MAX_SAMPLED_SOURCES = 256
"""Maximum number of sources that k-means is trained on."""
N_PROBES = 512
"""Number of vectors used as test queries. Their neighbours show how many cells a search must look into."""


def index_sources(root: Path, entry: SegmentEntry) -> None:
    """Build one segment from the stored vectors of some sources. A segment that exists is only checked.

    Parameters
    ----------
    root : Path
        Folder of the corpus.
    entry : SegmentEntry
        Sources and encoder of the segment.

    Raises
    ------
    CorpusDamaged
        The vectors or the existing segment cannot be read.
    """
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
        is_flat=entry.is_flat,
    )


def train(root: Path, entry: SegmentEntry, partial: Path) -> None:
    """Find the centroids of a segment's cells, and draw the probes. Nothing is done if they exist.

    Parameters
    ----------
    root : Path
        Folder of the corpus.
    entry : SegmentEntry
        The routed segment.
    partial : Path
        Folder of the unfinished segment. Receives ``centroids.npy`` and ``probes.npy``.
    """
    refuse_link(partial)
    if (partial / "probes.npy").exists():
        return
    sample = _sample_vectors(root, entry, SAMPLE_PER_CELL * max(len(entry.cells), N_PROBES // SAMPLE_PER_CELL))
    partial.mkdir(exist_ok=True)
    write_array(partial / "centroids.npy", train_cells(sample, len(entry.cells)))
    write_array(partial / "probes.npy", sample[:N_PROBES].astype(np.float32))


def spool(
    root: Path, entry: SegmentEntry, routed: Path, into: Path, source_ids: Sequence[str], only: int | None
) -> NDArray[np.int64]:
    """Sort the vectors of some sources by cell, and write them to a spool. A spool that exists is used.

    Parameters
    ----------
    root : Path
        Folder of the corpus.
    entry : SegmentEntry
        The routed segment.
    routed : Path
        Folder with its centroids.
    into : Path
        Folder for the spool.
    source_ids : sequence of str
        Sources to read.
    only : int or None
        If given, write only the vectors of this cell.

    Returns
    -------
    (cells,) int64
        Number of vectors of each cell in the spool.
    """
    refuse_link(into)
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
    """Build the segment of one cell. A segment that exists is only opened.

    Parameters
    ----------
    routed : Path
        Folder of the routed segment.
    folder : Path
        Folder of the cell.
    spools : sequence of Path
        Folders with vectors, sorted by cell (:func:`spool`).
    cell : int
        Number of the cell.
    source_ids : tuple of str
        Sources of the routed segment.

    Returns
    -------
    (probes, NEIGHBOURS + 1) float32 or None
        The best scores of the probes in this cell; None if the segment has no probes.
    """
    segment = (Segment.open(folder, source_ids) if folder.exists() else
               build_segment(folder, *rows_of_cell(spools, cell), source_ids, is_cell=True))
    if not (routed / "probes.npy").exists():
        return None
    return segment.search(read_array(routed / "probes.npy"), NEIGHBOURS + 1).score


def spool_of(folder: Path, source_ids: Sequence[str], only: int | None) -> Path:
    """Return the path of the spool that :func:`spool` writes for the same arguments."""
    digest = hashlib.sha256("\n".join([str(only), *source_ids]).encode()).hexdigest()[:12]
    return folder / f"spool-{digest}"


def _sample_vectors(root: Path, entry: SegmentEntry, count: int) -> NDArray[np.float16]:
    """Draw up to ``count`` vectors of a segment, in random order.

    They come from at most :data:`MAX_SAMPLED_SOURCES` sources. Sources are drawn with probabilities proportional to
    their number of vectors.
    """
    rng = np.random.default_rng(0)
    sources = CorpusStore.open(root).manifest().sources
    counts = np.array([sources[source_id].vectors[entry.encoder_key] for source_id in entry.source_ids])
    n_chosen = min(MAX_SAMPLED_SOURCES, len(counts))
    chosen = np.sort(rng.choice(len(counts), n_chosen, replace=False, p=counts / counts.sum()))
    share = min(1.0, count / counts[chosen].sum())
    drawn = []
    for i in chosen:
        group = VectorGroup.open(root, entry.encoder_key, entry.source_ids[i])
        rows = np.sort(rng.choice(group.count, int(np.ceil(share * group.count)), replace=False))
        drawn.append(group.vectors()[rows].astype(np.float16))
    sample: NDArray[np.float16] = rng.permutation(np.concatenate(drawn))
    return sample
