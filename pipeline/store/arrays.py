"""Arrays of rows in Zarr v3: sharded and compressed, with a checksum on every chunk. The only importer of zarr.

Slices are read by zarr, single rows by :mod:`pipeline.store.shard_rows`. Arrays are written without zarr: making one
takes zarr as long as the scan of a small file. Arrays that are neither sharded nor compressed are in
:mod:`pipeline.store.raw_array`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.store.digests import METADATA
from pipeline.store.npy_file import Array, require_alike

# Importing zarr takes 0.4 s. The functions that need it or its parts import them, so that a manifest is read without.

Rows = slice | NDArray[np.int64]

CHUNK_BYTES = 2**18
"""Target size of a chunk, uncompressed. Reading one row decodes one chunk, in 0.3 ms. Zarr reads 80 MB of such chunks
in 0.6 s; of 1 MB each in 0.3 s, and of 64 KB each in 0.9 s."""
CHUNKS_PER_SHARD = 256
"""Maximum number of chunks in a shard, which is one file. A writer holds one shard in memory."""
ZSTD_LEVEL = 3
CHECKSUM_BYTES = 4
_NO_CHUNK = 2**64 - 1  # place and size of a chunk that a shard does not hold
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
    pieces = iter(pieces)
    first = next(pieces)
    row = first.shape[1:]
    chunk_rows, shard_rows = _chunking(n_rows, math.prod(row) * first.dtype.itemsize)
    path = folder / name
    path.mkdir()
    description = _description(first.dtype, (n_rows, *row), (chunk_rows, *row), (shard_rows, *row))
    (path / METADATA).write_text(json.dumps(description, indent=2), encoding="ascii")
    written = 0
    for i, block in enumerate(regroup(name, chain([first], pieces), shard_rows)):
        if written + len(block) <= n_rows:
            _write_shard(path / ".".join(("c", str(i), *"0" * len(row))), block, chunk_rows, shard_rows // chunk_rows)
        written += len(block)
    if written != n_rows:
        raise ValueError(f"{name}: {written} rows where {n_rows} were expected")


def _write_shard(path: Path, block: Array, chunk_rows: int, n_chunks: int) -> None:
    """Write the file of a shard: its chunks, then the place and the size of each, then a checksum of these."""
    from google_crc32c import value as checksum
    from numcodecs.zstd import compress

    index = np.full((n_chunks, 2), _NO_CHUNK, np.uint64)
    with path.open("xb") as file:
        for k, start in enumerate(range(0, len(block), chunk_rows)):
            rows = block[start : start + chunk_rows]
            missing = bytes((chunk_rows - len(rows)) * rows[:1].nbytes)  # each chunk is whole
            chunk = compress(np.ascontiguousarray(rows).tobytes() + missing, level=ZSTD_LEVEL)
            index[k] = file.tell(), len(chunk) + CHECKSUM_BYTES
            file.write(chunk + checksum(chunk).to_bytes(CHECKSUM_BYTES, "little"))
        places = index.astype("<u8").tobytes()
        file.write(places + checksum(places).to_bytes(CHECKSUM_BYTES, "little"))


def _description(
    dtype: np.dtype[Any], shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...]
) -> dict[str, object]:
    """Return the content of ``zarr.json``."""
    little_endian = {"name": "bytes", "configuration": {"endian": "little"}}
    numbers = little_endian if dtype.itemsize > 1 else {"name": "bytes"}
    zstd = {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}}
    sharding = {"chunk_shape": chunk, "codecs": [numbers, zstd, {"name": "crc32c"}],
                "index_codecs": [little_endian, {"name": "crc32c"}], "index_location": "end"}
    return described_array(dtype, shape, shard, {"name": "sharding_indexed", "configuration": sharding})


def described_array(
    dtype: np.dtype[Any], shape: tuple[int, ...], of_file: tuple[int, ...], codec: dict[str, object]
) -> dict[str, object]:
    """Return the content of ``zarr.json`` of an array.

    Parameters
    ----------
    dtype : dtype
    shape : tuple of int
        Shape of the array.
    of_file : tuple of int
        Shape of the part that one file holds.
    codec : dict
        How a file is coded.
    """
    return {
        "shape": shape,
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": of_file}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": {"f": 0.0, "b": False}.get(dtype.kind, 0),
        "codecs": [codec],
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def open_array(folder: Path, name: str) -> Any:
    """Open the array in the folder ``name`` of a group for reading."""
    import zarr

    return zarr.open_array(folder / name, mode="r")


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
