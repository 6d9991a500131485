"""Zarr arrays that are neither compressed nor sharded: their files hold the numbers as they are.

They are read and written without Zarr, whose import takes 0.4 s, and which takes 3 ms for an array. What is read is the
same: the description of an array is checked as for every other array.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from pipeline.store.array_metadata import files_of, read_metadata
from pipeline.store.arrays import RAW_CHUNK_BYTES, Rows, described_array, regroup
from pipeline.store.checked_file import CheckedFile
from pipeline.store.digests import METADATA
from pipeline.store.npy_file import Array


def write_raw(folder: Path, dtype: DTypeLike, shape: tuple[int, ...], pieces: Iterable[Array]) -> None:
    """Write an array of ``shape`` from pieces of rows, in order. It has as few files as their size allows.

    Parameters
    ----------
    folder : Path
        Folder of the array, which must not exist.
    dtype : dtype
        A data type of more than one byte.
    shape : tuple of int
        Number of rows, and shape of a row.
    pieces : iterable of arrays (n_i, ...)

    Raises
    ------
    ValueError
        A piece has another dtype or another shape of a row, or the pieces do not have ``shape[0]`` rows together.
    """
    dtype, written, nothing = np.dtype(dtype), 0, np.empty((0, *shape[1:]), dtype)
    row_bytes = math.prod((*shape[1:], dtype.itemsize))
    file_rows = _rows_of_a_file(shape[0], row_bytes)
    folder.mkdir()
    description = described_array(dtype, shape, (file_rows, *shape[1:]),
                                  {"name": "bytes", "configuration": {"endian": "little"}})
    (folder / METADATA).write_text(json.dumps(description, indent=2), encoding="ascii")
    for i, block in enumerate(regroup(folder.name, chain([nothing], pieces), file_rows)):
        with (folder / ".".join(("c", str(i), *"0" * len(shape[1:])))).open("xb") as file:
            file.write(block.data)
            file.write(bytes((file_rows - len(block)) * row_bytes))  # each file holds a whole chunk
        written += len(block)
    if written != shape[0]:
        raise ValueError(f"{folder.name}: {written} rows where {shape[0]} were expected")


def _rows_of_a_file(n_rows: int, row_bytes: int) -> int:
    """Return the rows of a chunk. Chunks are of about equal size, so that the last one needs little padding."""
    n_files = math.ceil(n_rows / max(1, RAW_CHUNK_BYTES // row_bytes))
    return max(1, math.ceil(n_rows / max(1, n_files)))


class RawArray:
    """An array of a group, to be read. Threads may share it.

    Raises
    ------
    ValueError, OSError
        The constructor and every method: the array is not what was written.
    """

    def __init__(self, group: Path, name: str, files: Mapping[str, tuple[int, str]]) -> None:
        """Open an array. ``files`` has size and digest of each file of the group."""
        metadata = read_metadata(group, name, files, is_raw=True)
        self.data_type = metadata.data_type
        """Name of the data type."""
        self.shape = metadata.shape
        """Number of rows, and shape of a row."""
        self._file_rows = metadata.file_rows
        self._files = [CheckedFile(group / path, *files[path]) for path in files_of(name, metadata)]
        for file in self._files:
            if file.size != self._file_rows * metadata.row_bytes:
                raise ValueError(f"{file.path.name} has {file.size} bytes, not those of {self._file_rows} rows")

    def read(self, rows: Rows) -> Array:
        """Read rows by slice, or by row numbers in any order."""
        if not isinstance(rows, slice):
            return self.read(slice(None))[rows]
        wanted, dtype = range(self.shape[0])[rows], np.dtype(self.data_type).newbyteorder("<")
        row = math.prod(self.shape[1:])
        found = [np.empty(0, dtype)]
        for i, file in enumerate(self._files):
            first = i * self._file_rows
            start, stop = max(wanted.start, first), min(wanted.stop, first + self._file_rows)
            if start < stop:
                found.append(file.numbers(dtype, (stop - start) * row, (start - first) * row * dtype.itemsize))
        return np.concatenate(found).reshape(len(wanted), *self.shape[1:])
