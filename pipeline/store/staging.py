"""Parts: the results of single tasks, one file each in the staging folder of a run, until the source is committed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged
from pipeline.store.layout import parts_folder
from pipeline.store.npy_file import Array, table_of
from pipeline.store.safe_names import checked
from pipeline.store.stored_arrays import CUTOUT, EXPOSURE, WINDOWS
from pipeline.support.array_headers import evaluated
from pipeline.support.durable import atomic_file, write_npy
from pipeline.support.safe_files import is_own, remove_file, remove_tree


@dataclass(frozen=True, slots=True)
class Part:
    """The windows that one scan task kept, and what it searched to find them."""

    windows: Mapping[str, Array]
    """Column → one row for each kept window. ``number`` int64 (n,) and ``cutout`` uint8 (n, spectra, channels) are
    required."""
    exposure: Mapping[str, Array]
    """Column → one row for each piece of the band that was searched."""

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
        """Number of kept windows in this part."""
        return len(self.windows["number"])


def write_part(staging: Path, source_id: str, part_no: int, part: Part) -> None:
    """Write a part. It replaces the part of an earlier attempt."""
    path = part_path(staging, source_id, part_no)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, flush=False) as file:
        np.savez(file, allow_pickle=False, **tables_of(part))


def tables_of(part: Part) -> dict[str, Array]:
    """Return the arrays of a part: ``windows`` and ``exposure``, tables with a field for each column; and ``cutout``.
    """
    windows = {name: column for name, column in part.windows.items() if name != CUTOUT}
    tables = {WINDOWS: table_of(windows), CUTOUT: part.windows[CUTOUT]}
    return {**tables, EXPOSURE: table_of(part.exposure)} if part.exposure else tables


def read_part(staging: Path, source_id: str, part_no: int) -> Part:
    """Read a part. Raise :class:`CorpusDamaged` if it is missing or altered."""
    path = part_path(staging, source_id, part_no)
    with opened_part(path) as file, np.load(file, allow_pickle=False) as arrays:
        tables = {name: member(arrays, name) for name in (WINDOWS, EXPOSURE, CUTOUT) if name in arrays.files}
        cutout = tables.pop(CUTOUT)
        columns = {name: {field: table[field] for field in table.dtype.names or ()} for name, table in tables.items()}
        return Part({**columns[WINDOWS], CUTOUT: cutout}, columns.get(EXPOSURE, {}))


def member(arrays: Mapping[str, Array], name: str) -> Array:
    """Read one array of an open ``.npz``."""
    return evaluated(lambda: arrays[name])


class StagedPart:
    """The arrays of an open part. Each is read on request."""

    def __init__(self, path: Path, arrays: Mapping[str, Array]) -> None:
        self._path = path
        self._arrays = arrays
        self.names = frozenset(arrays)
        """Names as in :func:`tables_of`."""

    def read(self, name: str) -> Array:
        """Read one array. Raise :class:`CorpusDamaged` if it is missing or altered."""
        with _reading(self._path):
            return member(self._arrays, name)


@contextmanager
def opened_parts(staging: Path, source_id: str, count: int) -> Iterator[list[StagedPart]]:
    """Open the parts 0 to ``count`` − 1 of a source. Raise :class:`CorpusDamaged` if one is missing or altered."""
    with ExitStack() as files:
        parts = []
        for part_no in range(count):
            path = part_path(staging, source_id, part_no)
            with _reading(path):
                file = files.enter_context(open(path, "rb"))
                parts.append(StagedPart(path, files.enter_context(np.load(file, allow_pickle=False))))
        yield parts


def write_part_vectors(staging: Path, source_id: str, part_no: int, encoder_key: str, vectors: Array) -> None:
    """Write the vectors (n, dimension) of a part's windows as float16, in the order of its rows.

    Raises
    ------
    ValueError
        The array is not two-dimensional, or a component is not finite as float16.
    """
    halves = as_stored(vectors, f"{source_id} part {part_no}, {encoder_key}")
    path = vectors_path(staging, source_id, part_no, encoder_key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, flush=False) as file:
        write_npy(file, halves)


def as_stored(vectors: Array, what: str) -> NDArray[np.float16]:
    """Return vectors as float16. Raise ``ValueError`` as :func:`write_part_vectors` does; ``what`` names them."""
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be (windows, dimension), got shape {vectors.shape}")
    with np.errstate(over="ignore"):
        halves = vectors.astype(np.float16)
    refuse_non_finite(halves, what)
    return halves


def read_part_vectors(staging: Path, source_id: str, part_no: int, encoder_key: str) -> NDArray[np.float16]:
    """Read the vectors (n, dimension) of a part. Raise :class:`CorpusDamaged` if they are missing or altered."""
    path = vectors_path(staging, source_id, part_no, encoder_key)

    def load() -> Array:
        file.seek(0)
        vectors: Array = np.load(file, allow_pickle=False)
        return vectors

    with opened_part(path) as file:
        vectors = evaluated(load)
        if vectors.dtype != np.float16 or vectors.ndim != 2:
            raise ValueError(f"holds {vectors.dtype} of shape {vectors.shape}")
        return np.asarray(vectors, dtype=np.float16)


def remove_windows(staging: Path, source_id: str) -> None:
    """Delete the windows of a source that is committed. Vectors stay, as they may not be committed yet."""
    for path in parts_folder(staging, source_id).glob("part-*.npz"):
        if is_own(path.name):
            remove_file(staging, path)


def remove_parts(staging: Path, source_id: str) -> None:
    """Delete the parts of a source that is committed or has failed."""
    remove_tree(staging, parts_folder(staging, source_id))


def refuse_non_finite(vectors: Array, what: str) -> None:
    """Raise ``ValueError``, which names the first row of ``vectors`` with a NaN or an infinity, if there is one."""
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise ValueError(f"{what}: {int(bad.sum())} vectors are not finite, first in row {int(bad.argmax())}")


def part_path(staging: Path, source_id: str, part_no: int) -> Path:
    """Return the file of a part's windows and exposure."""
    return parts_folder(staging, source_id) / f"part-{part_no:05d}.npz"


def vectors_path(staging: Path, source_id: str, part_no: int, encoder_key: str) -> Path:
    """Return the file of a part's vectors."""
    return parts_folder(staging, source_id) / f"part-{part_no:05d}.{checked(encoder_key)}.npy"


@contextmanager
def opened_part(path: Path) -> Iterator[BinaryIO]:
    """Open a file of a part. Errors in reading it become :class:`CorpusDamaged` with its path."""
    with _reading(path), open(path, "rb") as file:  # given a path, np.load leaves the file open if it fails
        yield file


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorpusDamaged(f"{path}: missing or altered ({error}); run again") from error
