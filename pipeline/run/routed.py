"""Building a routed segment: k-means of a sample, spools of some sources each, cells, and a name for all of it.

Each step is some tasks at once, and a step that was done is not done again: a run that was killed is gone on with. No
task holds more vectors than a segment has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.index import Segment, build_segment
from pipeline.index.cells import NEAREST, SAMPLE, margins_of, train_cells
from pipeline.index.folder import read_record
from pipeline.index.routed import (
    partial_of,
    publish_routed,
    read_array,
    rows_in_spool,
    rows_of_cell,
    write_array,
    write_spool,
)
from pipeline.safe import remove_tree
from pipeline.store import CorpusStore, SegmentEntry, SourceGroup, VectorGroup, cell_id, segment_folder

SAMPLED_SOURCES = 256
"""Sources that k-means looks at, at most."""
PROBES = 512
"""Vectors whose neighbours say how many cells are to be asked."""

RunAll = Callable[[Sequence[tuple[Any, ...]]], list[Any]]
"""Runs (task, argument, …) of each call, returns what they return in their order, raises what one raises."""


def build_routed(root: Path, entry: SegmentEntry, segment_vectors: int, run_all: RunAll) -> SegmentEntry:
    """Build a routed segment that is planned; return it as it is to be published."""
    folder = segment_folder(root, entry.id)
    if folder.exists():  # by a run that died before it was published
        return replace(entry, cells=tuple(read_record(folder)["cells"].values()))
    partial = partial_of(folder)
    run_all([(train, root, entry, partial)])
    centroids = read_array(partial / "centroids.npy")
    chunks = list(_chunks(root, entry, segment_vectors))
    rows = np.sum(run_all([(spool, root, entry, partial, partial, chunk, None) for chunk in chunks]), axis=0)
    spools = [_spool_of(partial, chunk, None) for chunk in chunks]
    built = replace(entry, cells=tuple(rows.tolist()))
    cells = np.flatnonzero(rows).tolist()
    scores = run_all([(build_cell, partial, partial / _name(cell), spools, cell, entry.source_ids) for cell in cells])
    margins = margins_of(centroids, read_array(partial / "probes.npy"), scores, cells)
    named = {_name(cell): count for cell, count in enumerate(built.cells)}
    run_all([(publish_routed, partial, folder, named, entry.source_ids, margins)])
    return built


def rebuild_cell(root: Path, entry: SegmentEntry, piece: SegmentEntry, segment_vectors: int, run_all: RunAll) -> None:
    """Build a cell, one of the pieces of a routed segment, where it is gone; all sources must be there."""
    folder = segment_folder(root, entry.id)
    partial, cell = partial_of(folder), [cell_id(entry.id, i) for i in range(len(entry.cells))].index(piece.id)
    chunks = list(_chunks(root, entry, segment_vectors))
    run_all([(spool, root, entry, folder, partial, chunk, cell) for chunk in chunks])
    spools = [_spool_of(partial, chunk, cell) for chunk in chunks]
    run_all([(build_cell, folder, segment_folder(root, piece.id), spools, cell, entry.source_ids)])
    remove_tree(root, partial)


def train(root: Path, entry: SegmentEntry, partial: Path) -> None:
    """Find the centroids of a segment's cells and draw the vectors that margins are measured by; once."""
    if (partial / "probes.npy").exists():
        return
    sample = _sample(root, entry, SAMPLE * max(len(entry.cells), PROBES // SAMPLE))
    partial.mkdir(exist_ok=True)
    write_array(partial / "centroids.npy", train_cells(sample, len(entry.cells)))
    write_array(partial / "probes.npy", sample[:PROBES].astype(np.float32))


def spool(
    root: Path, entry: SegmentEntry, routed: Path, into: Path, source_ids: Sequence[str], only: int | None
) -> NDArray[np.int64]:
    """Sort the vectors of some sources by cell and write them down; return the rows of each cell."""
    path = _spool_of(into, source_ids, only)
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
    """Build a cell; return what the probes, where there are any, find best in it: (probes, NEAREST + 1) scores."""
    segment = (Segment.open(folder, source_ids) if folder.exists() else
               build_segment(folder, *rows_of_cell(spools, cell), source_ids, is_cell=True))
    if not (routed / "probes.npy").exists():
        return None
    return segment.search(read_array(routed / "probes.npy"), NEAREST + 1).score


def _name(cell: int) -> str:
    return cell_id("", cell)[1:]


def _chunks(root: Path, entry: SegmentEntry, most: int) -> Iterator[tuple[str, ...]]:
    """Divide a segment's sources into runs of about as many vectors as a segment holds, at least one source each."""
    sources = CorpusStore.open(root).manifest().sources
    chunk: list[str] = []
    total = 0
    for source_id in entry.source_ids:
        count = sources[source_id].vectors[entry.encoder_key]
        if chunk and total + count > most:
            yield tuple(chunk)
            chunk, total = [], 0
        chunk.append(source_id)
        total += count
    yield tuple(chunk)


def _spool_of(folder: Path, source_ids: Sequence[str], only: int | None) -> Path:
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
