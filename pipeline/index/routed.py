"""A routed segment on disk: a record, ``centroids.npy``, and its cells, each of which is a segment.

It is built in a folder with a fixed name, so that a run continues after a kill: every file and folder in it with its
final name is complete. Vectors arrive source by source and are needed cell by cell. *Spools* lie in between: each holds
the vectors of some sources, sorted by cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged, SegmentDamaged
from pipeline.index.cells import SHARES, cells_of
from pipeline.index.folder import (
    PARTIAL_SUFFIX,
    ROUTED_ARRAY_TYPES,
    map_arrays,
    mapped,
    new_folder,
    read_record,
    verify_arrays,
    write_segment,
)
from pipeline.support.durable import atomic_file, publish_folder, write_npy
from pipeline.support.safe_files import is_own, refuse_link, remove_file, remove_tree

_SPOOLED = ("vectors", "source", "number", "starts")


@dataclass(frozen=True, slots=True)
class Routing:
    """Selects the cells of a routed segment near a query."""

    centroids: NDArray[np.float32]
    """(m, d) centroid of each cell."""
    margins: tuple[float, ...]
    """Distances beyond the nearest centroid within which cells are read: for a normal and for a careful search."""

    @classmethod
    def open(cls, folder: Path, cells: int, dimension: int) -> Self:
        """Read the centroids of a routed segment with this number of cells, and compare their digest.

        Raises
        ------
        SegmentDamaged
            A file is missing or altered. The message names it.
        CorpusMismatch
            Another version of this program wrote it.
        """
        record = read_record(folder)
        centroids = map_arrays(folder, record, ROUTED_ARRAY_TYPES)["centroids"]
        verify_arrays(folder, record)
        margins = tuple(record.get("margins") or ())
        if centroids.shape != (cells, dimension) or len(margins) != len(SHARES):
            raise SegmentDamaged(f"{folder}: has centroids of shape {centroids.shape} and {len(margins)} margins, not "
                                 f"{(cells, dimension)} and {len(SHARES)}")
        if not np.isfinite(centroids).all() or not np.any(centroids, axis=1).all():
            raise SegmentDamaged(f"{folder / 'centroids.npy'}: a centroid is zero or not finite")
        return cls(np.array(centroids), margins)


def partial_of(folder: Path) -> Path:
    """Return the folder in which the routed segment ``folder`` is built."""
    return folder.with_name(folder.name + PARTIAL_SUFFIX)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array to a file, which appears whole."""
    with atomic_file(path) as file:
        write_npy(file, array)


def read_array(path: Path) -> NDArray[Any]:
    """Memory-map an array of a build. Raise :class:`CorpusDamaged` if it cannot be read."""
    try:
        array = mapped(path)
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        raise CorpusDamaged(f"{path}: cannot be read ({error}); delete {path.parent} and build the index") from error
    return array


def write_spool(
    folder: Path, vectors: NDArray[np.float16], source: NDArray[np.int32], number: NDArray[np.int64],
    centroids: NDArray[np.float32], only: int | None = None,
) -> None:
    """Write rows, sorted by cell, into a new folder.

    Parameters
    ----------
    folder
        Folder of the spool.
    vectors, source, number
        (n, d) and (n,), as for :func:`pipeline.index.build_segment`.
    centroids
        (m, d) centroid of each cell.
    only
        Write the rows of this cell only.
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
    """Return the number of rows (m,) of each cell in a spool."""
    return np.diff(read_array(spool / "starts.npy"))


def rows_of_cell(
    spools: Sequence[Path], cell: int
) -> tuple[NDArray[np.float16], NDArray[np.int32], NDArray[np.int64]]:
    """Return vectors (n, d), sources (n,) and window numbers (n,) of a cell from all spools."""
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
    """Write the record of a routed segment whose cells are built, delete temporary files, and publish it.

    Parameters
    ----------
    partial, folder
        Folder in which it was built, and its final folder.
    cells
        Name of each cell, in order → number of rows. Cells without rows have no folder.
    source_ids
        Ids of the sources whose vectors it holds.
    margins
        See :attr:`Routing.margins`.
    """
    if folder.exists():  # a task whose answer was lost has published it
        return
    refuse_link(partial)  # files are deleted inside this folder below
    centroids = np.array(read_array(partial / "centroids.npy"))
    for path in sorted(partial.iterdir()):
        if not is_own(path.name):  # a foreign file
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
