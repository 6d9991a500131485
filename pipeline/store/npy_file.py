"""Tables in ``.npy`` files, with a field for each column. They are read in slices.

The header of a file may come from a stranger. So an array has one of the data types that this program writes, and
exactly as many rows as the size of the file says.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from pipeline.store.checked_file import CheckedFile
from pipeline.support.array_headers import evaluated

Array = NDArray[Any]

DataType = Literal["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
                   "float32", "float64"]
"""Name of a data type of stored numbers. All are little-endian."""


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

    Raises
    ------
    ValueError, OSError
        Every method and property: the file is not what was written.
    """

    def __init__(self, path: Path, size: int, sha256: str) -> None:
        self._file = CheckedFile(path, size, sha256)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of a number, or of a record."""
        return self._header[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and shape of a row."""
        return self._header[1]

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Read rows ``start`` to ``stop``, as in a slice."""
        dtype, shape, offset = self._header
        rows, numbers = range(shape[0])[start:stop], math.prod(shape[1:])
        found = self._file.numbers(dtype, len(rows) * numbers, offset + rows.start * numbers * dtype.itemsize)
        return found.reshape(len(rows), *shape[1:])

    @cached_property
    def _header(self) -> tuple[np.dtype[Any], tuple[int, ...], int]:
        """Data type, shape, and place of the first row in bytes."""
        return _header_of(self._file.path.name, self._file.start, self._file.size)


def _header_of(name: str, start: bytes, size: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Read the header of a file, given its first bytes and its size: data type, shape, place of the first row."""
    file = io.BytesIO(start)

    def read() -> tuple[Any, ...]:
        file.seek(0)
        return npy.read_magic(file), *npy.read_array_header_1_0(file)

    try:
        version, shape, is_fortran, dtype = evaluated(read)
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
