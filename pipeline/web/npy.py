"""Arrays as ``.npy`` files in memory: written for downloads, and read from uploads without trusting them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.support.array_headers import evaluated
from pipeline.web.settings import MAX_PIXELS


def npy_of(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of a ``.npy`` file."""
    file = BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def array_of(content: bytes) -> NDArray[np.float64]:
    """Read an array of power from the bytes of a ``.npy`` file.

    Returns
    -------
    (spectra, channels) float64

    Raises
    ------
    QueryError
        It is no such file, or holds objects, too many pixels, or an array that is not one of real numbers with two
        axes.
    """
    file = BytesIO(content)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

    def read() -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
        file.seek(0)
        return read_header[np.lib.format.read_magic(file)](file)

    try:
        shape, is_fortran, dtype = evaluated(read)
    except Exception as error:  # numpy's parser raises errors of many kinds
        raise QueryError(f"this is no array as numpy.save writes it ({type(error).__name__})") from error
    if dtype.hasobject or dtype.kind not in "buif":
        raise QueryError(f"the array must hold real numbers, got {dtype}")
    if len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] > MAX_PIXELS:
        raise QueryError(f"the array must have two axes, spectra and channels, and at most {MAX_PIXELS:,} pixels, got "
                         f"the shape {shape}")
    if len(content) - file.tell() < shape[0] * shape[1] * dtype.itemsize:
        raise QueryError("the end of the array is missing")
    values = np.frombuffer(content, dtype, shape[0] * shape[1], file.tell())
    return values.reshape(shape, order="F" if is_fortran else "C").astype(np.float64)
