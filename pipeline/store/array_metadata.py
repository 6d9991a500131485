"""The description of a stored array, ``zarr.json``, checked before Zarr reads it.

Zarr does not check what it reads: it makes an array of any shape, and reads a chunk without a file as zeros. So the
description must be one that this program writes, and there must be exactly the files that its shape needs.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from pipeline.store.arrays import CHUNK_BYTES
from pipeline.store.digests import MAX_METADATA_BYTES, METADATA
from pipeline.store.npy_file import DataType
from pipeline.support.records import Bounds, RowCount, json_of, record_of
from pipeline.support.regular_files import read_file

MAX_ROW_BYTES = 1 << 28
"""Largest size of a row, uncompressed."""
_MAX_CHUNK_RATIO = 4  # by how much a chunk may be larger than this version makes it
_MAX_CHUNKS_PER_SHARD = 1 << 12

_Shape = tuple[RowCount, ...]


@dataclass(frozen=True, slots=True)
class _Chunks:
    chunk_shape: _Shape


@dataclass(frozen=True, slots=True)
class _Grid:
    configuration: _Chunks
    name: Literal["regular"]


@dataclass(frozen=True, slots=True)
class _Separator:
    separator: Literal["/", "."] = "/"


@dataclass(frozen=True, slots=True)
class _Keys:
    name: Literal["default"]
    configuration: _Separator = _Separator()


@dataclass(frozen=True, slots=True)
class _Codec:
    name: Literal["bytes", "zstd", "crc32c"]
    configuration: dict[str, bool | Annotated[int, Bounds(-100, 100)] | str] | None = None


@dataclass(frozen=True, slots=True)
class _Inner:
    chunk_shape: _Shape
    codecs: tuple[_Codec, ...]
    index_codecs: tuple[_Codec, ...]
    index_location: Literal["end"] = "end"


@dataclass(frozen=True, slots=True)
class _Sharding:
    configuration: _Inner
    name: Literal["sharding_indexed"]


@dataclass(frozen=True, slots=True)
class ArrayMetadata:
    """The parts of ``zarr.json`` that decide what Zarr reads. Other keys have no effect."""

    shape: _Shape
    data_type: DataType
    chunk_grid: _Grid
    chunk_key_encoding: _Keys
    codecs: tuple[_Sharding]
    fill_value: bool | float
    zarr_format: Literal[3]
    node_type: Literal["array"]

    @property
    def row_bytes(self) -> int:
        """Size of one row, uncompressed."""
        return math.prod(self.shape[1:]) * np.dtype(self.data_type).itemsize


def read_metadata(group: Path, name: str, files: Collection[str]) -> ArrayMetadata:
    """Read the description of an array of a group, and check it.

    Parameters
    ----------
    group : Path
        Folder of the root group.
    name : str
        Path of the array in the group.
    files : collection of str
        Paths of all files of the group, relative to it.

    Raises
    ------
    ValueError
        The description is not one that this program writes, or files are missing or too many.
    OSError
        The file cannot be read.
    """
    content = json_of(read_file(group / name / METADATA, MAX_METADATA_BYTES))
    metadata = record_of(ArrayMetadata, content, has_more=True)
    _check_chunks(metadata)
    (sharding,) = metadata.codecs
    inner = sharding.configuration
    names = [codec.name for codec in inner.codecs], [codec.name for codec in inner.index_codecs]
    if names != (["bytes", "zstd", "crc32c"], ["bytes", "crc32c"]):
        raise ValueError(f"chunks are coded by {names[0]} and {names[1]}, which this program does not write")
    if content.get("storage_transformers"):
        raise ValueError("it names storage transformers, which this program does not write")
    shard_rows = metadata.chunk_grid.configuration.chunk_shape[0]
    between = metadata.chunk_key_encoding.configuration.separator
    found = {path for path in files if path.startswith(f"{name}/c{between}")}
    n_shards = -(-metadata.shape[0] // shard_rows)
    expected = (between.join((f"{name}/c", str(i), *"0" * (len(metadata.shape) - 1))) for i in range(n_shards))
    if n_shards != len(found) or not found.issuperset(expected):
        raise ValueError(f"shape {metadata.shape} needs {n_shards} files of data, there are {len(found)}, or they have "
                         "other names")
    return metadata


def _check_chunks(metadata: ArrayMetadata) -> None:
    """Raise ``ValueError`` unless chunks and shards consist of whole rows and have a size that this program writes."""
    shape = metadata.shape
    shard = metadata.chunk_grid.configuration.chunk_shape
    chunk = metadata.codecs[0].configuration.chunk_shape
    if not shape or not shape[1:] == shard[1:] == chunk[1:] or not all((*shape[1:], *shard[:1], *chunk[:1])):
        raise ValueError(f"shape {shape} has shards of {shard} and chunks of {chunk}")
    row_bytes, per_shard = metadata.row_bytes, shard[0] // chunk[0]
    if (row_bytes > MAX_ROW_BYTES or chunk[0] * row_bytes > _MAX_CHUNK_RATIO * max(CHUNK_BYTES, row_bytes)
            or shard[0] % chunk[0] or per_shard > _MAX_CHUNKS_PER_SHARD):
        raise ValueError(f"shape {shape} of {metadata.data_type} has shards of {shard} and chunks of {chunk}, which "
                         "this program does not write")
