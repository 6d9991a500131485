"""Finds faults of a segment of the index: altered files, numbers that make no sense, vectors of other windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Manifest, SegmentEntry
from pipeline.errors import CorpusError, SegmentDamaged
from pipeline.index import Routing, Segment, segment_faults
from pipeline.store import SourceGroup, VectorGroup, segment_folder, vector_folder
from pipeline.store.digests import Fault

COMPARED_ROWS = 16
"""Number of rows of each segment whose vectors are compared with the stored ones."""
_MAX_DIFFERENCE = 2e-3  # stored vectors are rounded to float16, and not of length 1 exactly


def faults_of_segment(root: Path, entry: SegmentEntry, manifest: Manifest) -> Iterator[Fault]:
    """Compare the files of a segment, or of a cell, with their digests, and check its numbers.

    Of a routed segment, the cells are not read: they are segments of their own.
    """
    folder = segment_folder(root, entry.id)
    in_record = None if entry.routed_id else entry.source_ids  # the record of a cell names no sources
    faults = list(segment_faults(folder, (in_record, entry.count), cells=False))
    yield from faults
    if faults:
        return
    try:
        if entry.cells:
            Routing.open(folder, len(entry.cells), manifest.encoders[entry.encoder_key].dimension)
            return
        segment = Segment.open(folder, entry.source_ids if entry.routed_id else None)
        segment.check()
    except SegmentDamaged as error:
        yield folder, str(error).removeprefix(f"{folder}: ").removeprefix(f"{folder}/")
        return
    yield from _foreign_rows(root, entry, segment)


def _foreign_rows(root: Path, entry: SegmentEntry, segment: Segment) -> Iterator[Fault]:
    """Compare some rows with the stored vectors. Yield the first row that is of another window."""
    rows = np.unique(np.linspace(0, segment.rows - 1, COMPARED_ROWS).astype(np.int64))
    vectors = segment.vectors_of(rows)
    source_group = cache(partial(SourceGroup.open, root))
    vector_group = cache(partial(_vector_group, root, entry.encoder_key, source_group))
    for row, vector in zip(rows, vectors, strict=True):
        source_id = segment.source_ids[segment.row_source[row]]
        if source_id in entry.dead:
            continue
        stored: NDArray[np.float32] | None = vector
        with suppress(CorpusError):  # reported as a fault of the windows or vectors
            found = np.flatnonzero(source_group(source_id).numbers == segment.row_number[row])
            stored = vector_group(source_id).vectors(int(found[0]), int(found[0]) + 1)[0] if len(found) else None
        if stored is None or not np.abs(stored - vector).max() <= _MAX_DIFFERENCE:
            yield segment.folder, f"row {row} is not the vector of window {segment.row_number[row]} of {source_id}"
            return


def _vector_group(root: Path, key: str, source_group: Callable[[str], SourceGroup], source_id: str) -> VectorGroup:
    return VectorGroup(vector_folder(root, key, source_id), source_group(source_id))
