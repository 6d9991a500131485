"""Builds a routed segment in steps: k-means of a sample, temporary files of vectors sorted by cell, cells, segment.

Each step is several tasks at once. A step that is done is not repeated, so the next run resumes one that was killed. No
task holds more vectors than a segment has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.catalogue import SegmentEntry, cell_id
from pipeline.index import margins_of, partial_of, publish_routed, read_array, read_record
from pipeline.store import CorpusStore, segment_folder
from pipeline.support.safe_files import remove_tree
from pipeline.tasks import build_cell, spool, spool_of, train

RunAll = Callable[[Sequence[tuple[Any, ...]]], list[Any]]
"""Runs tasks, each given as (task, argument, …). Returns their results in order, or raises what a task raises."""


def build_routed(root: Path, entry: SegmentEntry, segment_vectors: int, run_all: RunAll) -> SegmentEntry:
    """Build a routed segment that is planned; return its entry, to be published."""
    folder = segment_folder(root, entry.id)
    if folder.exists():  # built by a run that died before it published it
        return replace(entry, cells=tuple(read_record(folder)["cells"].values()))
    partial = partial_of(folder)
    run_all([(train, root, entry, partial)])
    centroids = read_array(partial / "centroids.npy")
    chunks = list(_chunks(root, entry, segment_vectors))
    rows = np.sum(run_all([(spool, root, entry, partial, partial, chunk, None) for chunk in chunks]), axis=0)
    spools = [spool_of(partial, chunk, None) for chunk in chunks]
    built = replace(entry, cells=tuple(rows.tolist()))
    cells = np.flatnonzero(rows).tolist()
    scores = run_all([(build_cell, partial, partial / _name(cell), spools, cell, entry.source_ids) for cell in cells])
    margins = margins_of(centroids, read_array(partial / "probes.npy"), scores, cells)
    named = {_name(cell): count for cell, count in enumerate(built.cells)}
    run_all([(publish_routed, partial, folder, named, entry.source_ids, margins)])
    return built


def rebuild_cell(root: Path, entry: SegmentEntry, piece: SegmentEntry, segment_vectors: int, run_all: RunAll) -> None:
    """Build one missing cell of a routed segment again. All sources of the segment must be there."""
    folder = segment_folder(root, entry.id)
    partial, cell = partial_of(folder), [cell_id(entry.id, i) for i in range(len(entry.cells))].index(piece.id)
    chunks = list(_chunks(root, entry, segment_vectors))
    run_all([(spool, root, entry, folder, partial, chunk, cell) for chunk in chunks])
    spools = [spool_of(partial, chunk, cell) for chunk in chunks]
    run_all([(build_cell, folder, segment_folder(root, piece.id), spools, cell, entry.source_ids)])
    remove_tree(root, partial)


def _name(cell: int) -> str:
    return cell_id("", cell)[1:]


def _chunks(root: Path, entry: SegmentEntry, most: int) -> Iterator[tuple[str, ...]]:
    """Divide a segment's sources into chunks of at most ``most`` vectors, but at least one source each."""
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
