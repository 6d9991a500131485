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

from pipeline.store.arrays import RAW_CHUNK_BYTES
from pipeline.store.digests import MAX_METADATA_BYTES, METADATA
from pipeline.store.npy_file import DataType
from pipeline.support.records import Bounds, RowCount, json_of, record_of
from pipeline.support.regular_files import read_file

MAX_ROW_BYTES = 1 << 28
"""Largest size of a row, uncompressed."""
_LARGEST_CHUNK_BYTES = 1 << 20  # earlier versions made larger chunks than this one
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
    fill_value: bool | float
    zarr_format: Literal[3]
    node_type: Literal["array"]

    @property
    def row_bytes(self) -> int:
        """Size of one row, uncompressed."""
        return math.prod(self.shape[1:]) * np.dtype(self.data_type).itemsize

    @property
    def file_rows(self) -> int:
        """Number of rows in a file; the last one may have fewer."""
        return self.chunk_grid.configuration.chunk_shape[0]

    @property
    def chunk_rows(self) -> int:
        """Number of rows that are coded together."""
        return self.file_rows

    @property
    def n_files(self) -> int:
        """Number of files of data."""
        return -(-self.shape[0] // self.file_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sharded(ArrayMetadata):
    codecs: tuple[_Sharding]

    @property
    def chunk_rows(self) -> int:
        """Number of rows that are coded together."""
        return self.codecs[0].configuration.chunk_shape[0]


@dataclass(frozen=True, slots=True)
class _LittleEndian:
    endian: Literal["little"]


@dataclass(frozen=True, slots=True)
class _Bytes:
    name: Literal["bytes"]
    configuration: _LittleEndian


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw(ArrayMetadata):
    codecs: tuple[_Bytes]


def read_metadata(group: Path, name: str, files: Collection[str], *, is_raw: bool = False) -> ArrayMetadata:
    """Read the description of an array of a group, and check it.

    Parameters
    ----------
    group : Path
        Folder of the root group.
    name : str
        Path of the array in the group.
    files : collection of str
        Paths of all files of the group, relative to it.
    is_raw : bool
        The array must be neither sharded nor compressed; else it must be both.

    Raises
    ------
    ValueError
        The description is not one that this program writes, or files are missing or too many.
    OSError
        The file cannot be read.
    """
    content = json_of(read_file(group / name / METADATA, MAX_METADATA_BYTES))
    metadata: ArrayMetadata
    if is_raw:
        metadata = record_of(_Raw, content, has_more=True)
        chunk = metadata.chunk_grid.configuration.chunk_shape
        _check_chunks(metadata, chunk, RAW_CHUNK_BYTES)
    else:
        metadata = sharded = record_of(_Sharded, content, has_more=True)
        _check_codecs(sharded.codecs[0].configuration)
        _check_chunks(metadata, sharded.codecs[0].configuration.chunk_shape, _LARGEST_CHUNK_BYTES)
    if content.get("storage_transformers"):
        raise ValueError("it names storage transformers, which this program does not write")
    between = metadata.chunk_key_encoding.configuration.separator
    found = {path for path in files if path.startswith(f"{name}/c{between}")}
    # the number is compared first: a forged one may be too large to list that many names
    if metadata.n_files != len(found) or not found.issuperset(files_of(name, metadata)):
        raise ValueError(f"shape {metadata.shape} needs {metadata.n_files} files of data, there are {len(found)}, or "
                         "they have other names")
    return metadata


def files_of(name: str, metadata: ArrayMetadata) -> list[str]:
    """Return the paths of an array's files of data, relative to the group, in the order of their rows."""
    between = metadata.chunk_key_encoding.configuration.separator
    return [between.join((f"{name}/c", str(i), *"0" * (len(metadata.shape) - 1))) for i in range(metadata.n_files)]


def _check_codecs(inner: _Inner) -> None:
    names = [codec.name for codec in inner.codecs], [codec.name for codec in inner.index_codecs]
    if names != (["bytes", "zstd", "crc32c"], ["bytes", "crc32c"]):
        raise ValueError(f"chunks are coded by {names[0]} and {names[1]}, which this program does not write")


def _check_chunks(metadata: ArrayMetadata, chunk: _Shape, chunk_bytes: int) -> None:
    """Raise ``ValueError`` unless chunks and shards consist of whole rows and have a size that this program writes."""
    shape = metadata.shape
    shard = metadata.chunk_grid.configuration.chunk_shape
    if not shape or not shape[1:] == shard[1:] == chunk[1:] or not all((*shape[1:], *shard[:1], *chunk[:1])):
        raise ValueError(f"shape {shape} has shards of {shard} and chunks of {chunk}")
    row_bytes, per_shard = metadata.row_bytes, shard[0] // chunk[0]
    if (row_bytes > MAX_ROW_BYTES or chunk[0] * row_bytes > _MAX_CHUNK_RATIO * max(chunk_bytes, row_bytes)
            or shard[0] % chunk[0] or per_shard > _MAX_CHUNKS_PER_SHARD):
        raise ValueError(f"shape {shape} of {metadata.data_type} has shards of {shard} and chunks of {chunk}, which "
                         "this program does not write")
