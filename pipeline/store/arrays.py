"""Arrays of rows in Zarr v3: sharded, compressed, a checksum on every chunk. The only importer of zarr."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# zarr takes 0.4 s to import: it is, inside the functions that need it, so that a manifest is read without

Array = NDArray[Any]
Rows = slice | NDArray[np.int64]

CHUNK_BYTES = 2**20
"""About what is decoded to read one row."""
CHUNKS_PER_SHARD = 64
"""A shard, one file, is what is in memory while an array is written."""


def create_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Create the root group in a new folder."""
    import zarr

    zarr.create_group(str(folder), attributes=dict(attributes))


def write_array(folder: Path, name: str, pieces: Iterable[Array], n_rows: int) -> None:
    """Write the array ``name`` of a root group from pieces of rows, in order, one whole shard at a time.

    Parameters
    ----------
    folder : Path
        Root group.
    name : str
        Path of the array in it.
    pieces : iterable of arrays (n_i, ...)
        At least one, all of one dtype and row shape, together ``n_rows`` rows.

    Raises
    ------
    ValueError
        The pieces differ in dtype or row shape, or are not ``n_rows`` rows.
    """
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    pieces = iter(pieces)
    first = next(pieces)
    row = first.shape[1:]
    chunk_rows, shard_rows = _chunking(n_rows, math.prod(row) * first.dtype.itemsize)
    array = zarr.create_array(
        str(folder), name=name, shape=(n_rows, *row), dtype=first.dtype,
        chunks=(chunk_rows, *row), shards=(shard_rows, *row),
        compressors=[ZstdCodec(level=3), Crc32cCodec()], fill_value=0,
        config={"write_empty_chunks": True},  # else a shard of zeros leaves no file
    )
    written = 0
    for block in _regroup(name, chain([first], pieces), shard_rows):
        if written + len(block) <= n_rows:
            array[written : written + len(block)] = block
        written += len(block)
    if written != n_rows:
        raise ValueError(f"{name}: {written} rows where {n_rows} were expected")


def open_array(folder: Path, name: str) -> Any:
    """Open the array ``name`` of a root group for reading."""
    import zarr

    return zarr.open_array(str(folder), path=name, mode="r")


def read_rows(array: Any, rows: Rows) -> Array:
    """Read rows by slice, or by their numbers in any order, repeats included."""
    return np.asarray(array[rows] if isinstance(rows, slice) else array.oindex[rows])


def _chunking(n_rows: int, row_bytes: int) -> tuple[int, int]:
    """Return rows a chunk and rows a shard (a multiple of it), no larger than ``n_rows`` calls for."""
    chunk = min(max(1, CHUNK_BYTES // row_bytes), max(1, n_rows))
    return chunk, chunk * max(1, min(CHUNKS_PER_SHARD, math.ceil(n_rows / chunk)))


def _regroup(name: str, pieces: Iterable[Array], size: int) -> Iterator[Array]:
    """Yield the rows of ``pieces`` in blocks of ``size``, the last one shorter; one buffer serves all."""
    buffer: Array | None = None
    filled = 0
    for piece in pieces:
        if buffer is None:
            buffer = np.empty((size, *piece.shape[1:]), dtype=piece.dtype)
        if piece.dtype != buffer.dtype or piece.shape[1:] != buffer.shape[1:]:
            raise ValueError(f"{name}: rows of {piece.dtype} {piece.shape[1:]} among rows of "
                             f"{buffer.dtype} {buffer.shape[1:]}")
        done = 0
        while done < len(piece):
            taken = min(size - filled, len(piece) - done)
            buffer[filled : filled + taken] = piece[done : done + taken]
            done, filled = done + taken, filled + taken
            if filled == size:
                yield buffer
                filled = 0
    if buffer is not None and filled:
        yield buffer[:filled]
