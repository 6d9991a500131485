"""A routed segment on disk: a record and ``centroids.npy``, and beside them its cells, each a segment.

It is built in a folder of one name, so that a run that was killed is gone on with: whatever is in it under its own name
is whole. Vectors come source by source and leave cell by cell: *spools*, some sources' vectors sorted by cell, lie
between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.durable import atomic_file, publish_folder, write_npy
from pipeline.errors import CorpusDamaged, SegmentDamaged
from pipeline.index.cells import SHARES, cells_of
from pipeline.index.folder import (
    PARTIAL_SUFFIX,
    ROUTED_ARRAY_TYPES,
    map_arrays,
    new_folder,
    read_record,
    verify_arrays,
    write_segment,
)
from pipeline.safe import is_own, refuse_link, remove_file, remove_tree

_SPOOLED = ("vectors", "source", "number", "starts")


@dataclass(frozen=True, slots=True)
class Routing:
    """Which cells of a routed segment are near a query."""

    centroids: NDArray[np.float32]
    """(m, d)."""
    margins: tuple[float, ...]
    """How far beyond the nearest a cell is still asked, by default and by a careful search."""

    @classmethod
    def open(cls, folder: Path, cells: int) -> Self:
        """Read the centroids of a routed segment of so many cells, having compared their digest.

        Raises
        ------
        SegmentDamaged
            A file is missing or is not what was written; the message names it.
        CorpusMismatch
            It was written by a newer version of this program.
        """
        record = read_record(folder)
        centroids = map_arrays(folder, record, ROUTED_ARRAY_TYPES)["centroids"]
        verify_arrays(folder, record)
        if len(centroids) != cells or len(record["margins"]) != len(SHARES):
            raise SegmentDamaged(f"{folder}: has {len(centroids)} cells, not {cells}")
        return cls(np.array(centroids), tuple(record["margins"]))


def partial_of(folder: Path) -> Path:
    """Return the folder in which a routed segment is built."""
    return folder.with_name(folder.name + PARTIAL_SUFFIX)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array that appears whole."""
    with atomic_file(path) as file:
        write_npy(file, array)


def read_array(path: Path) -> NDArray[Any]:
    """Map an array that :func:`write_array` or a spool has written; :class:`CorpusDamaged` where that is no use."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CorpusDamaged(f"{path}: cannot be read ({error}); delete {path.parent} and build the index") from error
    return array


def write_spool(
    folder: Path, vectors: NDArray[np.float16], source: NDArray[np.int32], number: NDArray[np.int64],
    centroids: NDArray[np.float32], only: int | None = None,
) -> None:
    """Write rows sorted by cell, of all cells or one only.

    Parameters
    ----------
    vectors, source, number
        (n, d) and (n,): as :func:`pipeline.index.build_segment` takes them.
    """
    cells = cells_of(vectors, centroids)
    order = np.argsort(cells, kind="stable")
    if only is not None:
        order = order[cells[order] == only]
    starts = np.searchsorted(cells[order], np.arange(len(centroids) + 1))
    arrays: tuple[NDArray[Any], ...] = (vectors[order], source[order], number[order], starts)
    with new_folder(folder) as partial:
        for name, array in zip(_SPOOLED, arrays, strict=True):
            write_array(partial / f"{name}.npy", array)


def rows_in_spool(spool: Path) -> NDArray[np.int64]:
    """Return the number of rows of each cell in a spool."""
    return np.diff(read_array(spool / "starts.npy"))


def rows_of_cell(
    spools: Sequence[Path], cell: int
) -> tuple[NDArray[np.float16], NDArray[np.int32], NDArray[np.int64]]:
    """Return vectors, sources and numbers of a cell, as they were given to :func:`write_spool`."""
    found: list[list[NDArray[Any]]] = [[], [], []]
    for spool in spools:
        vectors, source, number, starts = (read_array(spool / f"{name}.npy") for name in _SPOOLED)
        for arrays, array in zip(found, (vectors, source, number), strict=True):
            arrays.append(array[starts[cell] : starts[cell + 1]])
    vectors, source, number = (np.concatenate(arrays) for arrays in found)
    return vectors, source, number


def publish_routed(
    partial: Path, folder: Path, cells: Mapping[str, int], source_ids: Sequence[str], margins: Sequence[float]
) -> None:
    """Give a routed segment that is all built its record and its name; what its building left is deleted.

    Parameters
    ----------
    cells
        Names of the cells, in order → rows; those of no rows have no folder.
    """
    if folder.exists():  # done before, by a task whose answer was lost
        return
    centroids = np.array(read_array(partial / "centroids.npy"))
    for path in sorted(partial.iterdir()):
        if not is_own(path.name):  # somebody else's
            continue
        refuse_link(path)
        if path.name not in cells and path.is_dir():
            remove_tree(partial, path)
        elif path.name != "centroids.npy":
            remove_file(partial, path)
    facts = {"metric": "cosine", "dimension": centroids.shape[1], "rows": sum(cells.values()), "cells": dict(cells),
             "margins": list(margins), "source_ids": list(source_ids)}
    write_segment(partial, facts, {"centroids": centroids})
    publish_folder(partial, folder)
