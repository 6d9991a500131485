"""Parts: what one task hands over, a file each in the run's staging folder, until the source is committed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.durable import atomic_file, write_npy
from pipeline.errors import CorpusDamaged
from pipeline.safe import is_own, remove_file, remove_tree
from pipeline.store.arrays import Array
from pipeline.store.door import checked
from pipeline.store.layout import parts_folder


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a source's windows, and what was searched to find them."""

    windows: Mapping[str, Array]
    """Column → one row a kept window. Holds at least ``number`` int64 (n,) and ``cutout`` uint8 (n, T, F)."""
    exposure: Mapping[str, Array]
    """Column → one row a piece of band that was searched."""

    def __post_init__(self) -> None:
        for kind, columns in (("windows", self.windows), ("exposure", self.exposure)):
            for name, column in columns.items():
                if not name.isidentifier():
                    raise ValueError(f"{kind}: {name!r} cannot name a column")
                if column.ndim < 1 or column.dtype.kind not in "biuf":
                    raise ValueError(f"{kind}.{name}: {column.dtype} {column.shape} is no column of numbers")
            if len({len(column) for column in columns.values()}) > 1:
                lengths = {name: len(column) for name, column in columns.items()}
                raise ValueError(f"{kind}: columns differ in length: {lengths}")
        for name, dtype, ndim in (("number", np.int64, 1), ("cutout", np.uint8, 3)):
            if name not in self.windows:
                raise ValueError(f"windows: column {name!r} is missing")
            if self.windows[name].dtype != dtype or self.windows[name].ndim != ndim:
                raise ValueError(f"windows.{name}: must be {np.dtype(dtype)} of {ndim} dimensions")

    @property
    def n_windows(self) -> int:
        """Kept windows in this part."""
        return len(self.windows["number"])


def write_part(staging: Path, source_id: str, part_no: int, part: Part) -> None:
    """Write a part, replacing an earlier attempt's."""
    columns = {f"windows.{name}": column for name, column in part.windows.items()}
    columns |= {f"exposure.{name}": column for name, column in part.exposure.items()}
    path = part_path(staging, source_id, part_no)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, flush=False) as file:
        np.savez(file, allow_pickle=False, **columns)


def read_part(staging: Path, source_id: str, part_no: int) -> Part:
    """Read a part back; :class:`CorpusDamaged` if it is missing or altered."""
    path = part_path(staging, source_id, part_no)
    with _opened(path) as file, np.load(file, allow_pickle=False) as columns:
        split: dict[str, dict[str, Array]] = {"windows": {}, "exposure": {}}
        for key, column in columns.items():
            kind, _, name = key.partition(".")
            split[kind][name] = column
        return Part(**split)


class PartColumns:
    """The columns of a part that is open, each read when it is asked for."""

    def __init__(self, path: Path, columns: Any) -> None:
        self._path = path
        self._columns = columns
        self.names = frozenset(columns.files)
        """``windows.<column>`` and ``exposure.<column>``."""

    def read(self, name: str) -> Array:
        """Read one column; :class:`CorpusDamaged` if it is missing or altered."""
        with _reading(self._path):
            column: Array = self._columns[name]
            return column


@contextmanager
def opened_parts(staging: Path, source_id: str, count: int) -> Iterator[list[PartColumns]]:
    """Open the parts, numbered from 0, of a source; :class:`CorpusDamaged` if one is missing or altered."""
    with ExitStack() as files:
        parts = []
        for part_no in range(count):
            path = part_path(staging, source_id, part_no)
            with _reading(path):
                file = files.enter_context(open(path, "rb"))
                parts.append(PartColumns(path, files.enter_context(np.load(file, allow_pickle=False))))
        yield parts


def write_part_vectors(staging: Path, source_id: str, part_no: int, encoder_key: str, vectors: Array) -> None:
    """Write the vectors of a part's windows, in the order of its rows, as float16.

    Raises
    ------
    ValueError
        Not two-dimensional, or a component is not finite (as float16).
    """
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be (windows, dimension), got shape {vectors.shape}")
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    refuse_non_finite(halves, f"{source_id} part {part_no}, {encoder_key}")
    path = vectors_path(staging, source_id, part_no, encoder_key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, flush=False) as file:
        write_npy(file, halves)


def read_part_vectors(staging: Path, source_id: str, part_no: int, encoder_key: str) -> NDArray[np.float16]:
    """Read a part's vectors (n, dimension); :class:`CorpusDamaged` if they are missing or not such."""
    path = vectors_path(staging, source_id, part_no, encoder_key)
    with _opened(path) as file:
        vectors = np.load(file, allow_pickle=False)
        if vectors.dtype != np.float16 or vectors.ndim != 2:
            raise ValueError(f"holds {vectors.dtype} of shape {vectors.shape}")
        return np.asarray(vectors, dtype=np.float16)


def remove_windows(staging: Path, source_id: str) -> None:
    """Drop a source's windows, once they are committed. Vectors stay: the commit may be a late one."""
    for path in parts_folder(staging, source_id).glob("part-*.npz"):
        if is_own(path.name):
            remove_file(staging, path)


def remove_parts(staging: Path, source_id: str) -> None:
    """Drop a source's parts, once they are committed or given up."""
    remove_tree(staging, parts_folder(staging, source_id))


def refuse_non_finite(vectors: Array, what: str) -> None:
    """Raise ``ValueError`` naming the first row of ``vectors`` that holds a NaN or an infinity."""
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise ValueError(f"{what}: {int(bad.sum())} vectors are not finite, first in row {int(bad.argmax())}")


def part_path(staging: Path, source_id: str, part_no: int) -> Path:
    """File of a part's windows and exposure."""
    return parts_folder(staging, source_id) / f"part-{part_no:05d}.npz"


def vectors_path(staging: Path, source_id: str, part_no: int, encoder_key: str) -> Path:
    """File of a part's vectors."""
    return parts_folder(staging, source_id) / f"part-{part_no:05d}.{checked(encoder_key)}.npy"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file of this folder; whatever goes wrong in reading it is damage, under its name."""
    with _reading(path), open(path, "rb") as file:  # np.load, given the path, leaves it open where it fails
        yield file


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorpusDamaged(f"{path}: missing or altered ({error}); run again") from error
