"""Arrays in ``.npy`` files: tables with a field for each column, and vectors. They are read in slices.

The header of a file may come from a stranger. So an array has one of the data types that this program writes, and
exactly as many rows as the size of the file says. The digest of the file is compared before anything is read.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from pipeline.support.regular_files import file_size, read_file

Array = NDArray[Any]

DataType = Literal["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
                   "float32", "float64"]
"""Name of a data type of stored numbers. All are little-endian."""
MAX_KEPT_BYTES = 1 << 16
"""Largest size of a file that is kept in memory once it was read."""
_MAX_HEADER_BYTES = 1 << 16


def table_of(columns: Mapping[str, Array]) -> Array:
    """Return columns (n, ...) of equal length as one array (n,) of records, with a field for each column."""
    table = np.empty(len(next(iter(columns.values()))), [(name, c.dtype, c.shape[1:]) for name, c in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


def write_rows(path: Path, dtype: DTypeLike, shape: tuple[int, ...], pieces: Iterable[Array]) -> None:
    """Write an array of ``shape`` from pieces of rows, in order, one piece at a time.

    Raises
    ------
    ValueError
        A piece has another dtype or another shape of a row, or the pieces do not have ``shape[0]`` rows together.
    """
    dtype, written = np.dtype(dtype), 0
    with path.open("xb") as file:
        npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
        for piece in pieces:
            require_alike(path.stem, piece, dtype, shape[1:])
            file.write(np.ascontiguousarray(piece).data)
            written += len(piece)
    if written != shape[0]:
        raise ValueError(f"{path.stem}: {written} rows where {shape[0]} were expected")


def require_alike(name: str, piece: Array, dtype: np.dtype[Any], row: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless a piece has rows of this dtype and shape."""
    if (piece.dtype, piece.shape[1:]) != (dtype, row):
        raise ValueError(f"{name}: rows of {piece.dtype} {piece.shape[1:]} among rows of {dtype} {row}")


class NpyFile:
    """A file of one array, to be read. Threads may share it.

    A small file is read once and kept. The digest of a larger one is compared once, and its rows are read when they are
    asked for.

    Raises
    ------
    ValueError, OSError
        Every method and property: the file is not what was written.
    """

    def __init__(self, path: Path, size: int, sha256: str) -> None:
        self.path = path
        self._size = size
        self._sha256 = sha256

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of a number, or of a record."""
        return self._opened[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and shape of a row."""
        return self._opened[1]

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Read rows ``start`` to ``stop``, as in a slice."""
        dtype, shape, offset, content = self._opened
        rows, numbers = range(shape[0])[start:stop], math.prod(shape[1:])
        if not rows:
            return np.empty((0, *shape[1:]), dtype)
        begin, count = offset + rows.start * numbers * dtype.itemsize, len(rows) * numbers
        if content:
            return np.frombuffer(content, dtype, count, begin).reshape(len(rows), *shape[1:])
        if file_size(self.path) != self._size:
            raise ValueError(f"{self.path.name} does not have {self._size} bytes")
        return np.fromfile(self.path, dtype, count, offset=begin).reshape(len(rows), *shape[1:])

    @cached_property
    def _opened(self) -> tuple[np.dtype[Any], tuple[int, ...], int, bytes]:
        """Data type, shape, place of the first row in bytes, and the content of a small file."""
        if self._size <= MAX_KEPT_BYTES:
            content = read_file(self.path, self._size, is_text=False)
            found, start = hashlib.sha256(content), content
        else:
            file_size(self.path)  # raises for a pipe, which would be waited for
            with self.path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256")
                file.seek(0)
                content, start = b"", file.read(_MAX_HEADER_BYTES)
        if found.hexdigest() != self._sha256:
            raise ValueError(f"{self.path.name} does not match its digest")
        return *_header_of(self.path.name, start, self._size), content


def _header_of(name: str, start: bytes, size: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Read the header of a file, given its first bytes and its size: data type, shape, place of the first row."""
    file = io.BytesIO(start)
    try:
        version = npy.read_magic(file)
        shape, is_fortran, dtype = npy.read_array_header_1_0(file)
    except Exception as error:  # numpy evaluates the header, so almost any error can be raised
        raise ValueError(f"the header of {name} makes no sense: {type(error).__name__}: {error}") from error
    if strange := [one for one in fields_of(dtype).values()
                   if one.base.name not in get_args(DataType) or one.base.byteorder == ">"]:
        raise ValueError(f"{name} holds {strange[0]}, which this program does not write")
    held = size - file.tell()
    if (version != (1, 0) or is_fortran or not shape or shape[0] < 0 or not all(length > 0 for length in shape[1:])
            or held != math.prod((*shape, dtype.itemsize))):
        raise ValueError(f"{held} bytes of {name} are no array of shape {shape} and {dtype}")
    return dtype, shape, file.tell()


def fields_of(dtype: np.dtype[Any]) -> dict[str, np.dtype[Any]]:
    """Return the name and the data type of each field; one of an empty name for a data type without fields."""
    return {name: dtype.fields[name][0] for name in dtype.names} if dtype.fields and dtype.names else {"": dtype}
