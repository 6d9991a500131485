"""Arrays of rows in Zarr v3: sharded and compressed, with a checksum on every chunk. The only importer of zarr.

Arrays that are neither are in :mod:`pipeline.store.raw_array`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.store.npy_file import Array, require_alike

# Importing zarr takes 0.4 s. The functions that need it import it, so that a manifest is read without it.

Rows = slice | NDArray[np.int64]

CHUNK_BYTES = 2**20
"""Target size of a chunk, uncompressed. Reading one row decodes one chunk."""
CHUNKS_PER_SHARD = 64
"""Maximum number of chunks in a shard, which is one file. A writer holds one shard in memory."""
RAW_CHUNK_BYTES = 2**26
"""Largest size of a chunk that is neither compressed nor in a shard. A writer holds one of them in memory."""


def write_array(folder: Path, name: str, pieces: Iterable[Array], n_rows: int) -> None:
    """Write an array from pieces of rows, in order, one whole shard at a time.

    Parameters
    ----------
    folder : Path
        Folder of the group.
    name : str
        Folder of the array in the folder of the group.
    pieces : iterable of arrays (n_i, ...)
        At least one piece. All have the same dtype and row shape.
    n_rows : int
        Number of rows of all pieces together.

    Raises
    ------
    ValueError
        The pieces differ in dtype or row shape, or do not have ``n_rows`` rows together.
    """
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    pieces = iter(pieces)
    first = next(pieces)
    row = first.shape[1:]
    chunk_rows, shard_rows = _chunking(n_rows, math.prod(row) * first.dtype.itemsize)
    array = zarr.create_array(  # given as a path: Zarr reads text as a URL, without its line breaks
        folder / name, shape=(n_rows, *row), dtype=first.dtype,
        chunks=(chunk_rows, *row), shards=(shard_rows, *row),
        chunk_key_encoding={"name": "default", "separator": "."},  # all shards in one folder
        compressors=[ZstdCodec(level=3), Crc32cCodec()], fill_value=0,
        config={"write_empty_chunks": True},  # otherwise a shard of zeros leaves no file
    )
    written = 0
    for block in regroup(name, chain([first], pieces), shard_rows):
        if written + len(block) <= n_rows:
            array[written : written + len(block)] = block
        written += len(block)
    if written != n_rows:
        raise ValueError(f"{name}: {written} rows where {n_rows} were expected")


def open_array(folder: Path, name: str) -> Any:
    """Open the array in the folder ``name`` of a group for reading."""
    import zarr

    return zarr.open_array(folder / name, mode="r")


def read_rows(array: Any, rows: Rows) -> Array:
    """Read rows by slice, or by row numbers. Numbers may be in any order and may repeat."""
    return np.asarray(array[rows] if isinstance(rows, slice) else array.oindex[rows])


def _chunking(n_rows: int, row_bytes: int) -> tuple[int, int]:
    """Return the rows of a chunk and of a shard, a whole number of chunks; both as small as ``n_rows`` allows."""
    chunk = min(max(1, CHUNK_BYTES // row_bytes), max(1, n_rows))
    return chunk, chunk * max(1, min(CHUNKS_PER_SHARD, math.ceil(n_rows / chunk)))


def regroup(name: str, pieces: Iterable[Array], size: int) -> Iterator[Array]:
    """Yield the rows of ``pieces`` in blocks of ``size``; the last may be shorter. All blocks share one buffer."""
    buffer: Array | None = None
    filled = 0
    for piece in pieces:
        if buffer is None:
            buffer = np.empty((size, *piece.shape[1:]), dtype=piece.dtype)
        require_alike(name, piece, buffer.dtype, buffer.shape[1:])
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
