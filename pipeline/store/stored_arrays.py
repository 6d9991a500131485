"""The arrays of a group, in both formats. Each array has a name: ``windows/COLUMN``, ``exposure/COLUMN`` or ``vector``.

Format 1 has a Zarr array for each name. Format 2 has few files: tables in ``windows.npy`` and ``exposure.npy``. Two
arrays are Zarr arrays: the cutouts, which are sharded and compressed, and the vectors, which are neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.store import arrays
from pipeline.store.array_metadata import ArrayMetadata, read_metadata
from pipeline.store.arrays import Rows
from pipeline.store.digests import GROUP_FILE, MAX_METADATA_BYTES, METADATA, Digests
from pipeline.store.npy_file import Array, NpyFile, fields_of
from pipeline.store.raw_array import RawArray
from pipeline.store.shard_rows import ShardRows
from pipeline.support.records import json_of, value_of
from pipeline.support.regular_files import read_file

WINDOWS = "windows"
EXPOSURE = "exposure"
VECTOR = "vector"
CUTOUT = "cutout"
WINDOWS_FILE, EXPOSURE_FILE = "windows.npy", "exposure.npy"


@dataclass(frozen=True, slots=True)
class Described:
    """Type and shape of a stored array."""

    data_type: str
    shape: tuple[int, ...]


class StoredArrays(Protocol):
    """Reads the arrays of a group. ``describe`` and ``read`` raise ``ValueError`` or ``OSError`` for altered ones."""

    def names(self) -> frozenset[str]:
        """Return the names of all arrays."""

    def file_of(self, name: str) -> str:
        """Return the file, relative to the group, that says what an array holds."""

    def describe(self, name: str) -> Described:
        """Return type and shape of an array, after checking that its files fit them."""

    def read(self, name: str, rows: Rows) -> Array:
        """Read rows of an array."""

    def digest(self) -> str:
        """Return a sha256 of all columns of windows. It does not depend on the exposure and the attributes."""


class ZarrArrays:
    """Arrays of a group of format 1, or some Zarr arrays of any group."""

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self._metadata: dict[str, ArrayMetadata] = {}
        self._arrays: dict[str, Any] = {}
        self._rows: dict[str, ShardRows] = {}

    def names(self) -> frozenset[str]:
        """Return the names of all arrays."""
        found = (path.removesuffix(f"/{METADATA}") for path in self._digests.files if path.endswith(f"/{METADATA}"))
        return frozenset(found) - {WINDOWS, EXPOSURE}

    def file_of(self, name: str) -> str:
        """Return the file that says what an array holds."""
        return f"{name}/{METADATA}"

    def describe(self, name: str) -> Described:
        """Return type and shape of an array, after checking that its files fit them."""
        if name not in self._metadata:
            self._metadata[name] = read_metadata(self._digests.folder, name, self._digests.files)
        metadata = self._metadata[name]
        return Described(metadata.data_type, metadata.shape)

    def read(self, name: str, rows: Rows) -> Array:
        """Read rows of an array."""
        self._digests.check(f"{name}/")
        described = self.describe(name)
        if described.shape[0] == 0 and isinstance(rows, slice):  # many views have no window, and zarr takes 5 ms
            return np.empty(described.shape, described.data_type)
        if not isinstance(rows, slice):
            if name not in self._rows:
                self._rows[name] = ShardRows(self._digests.folder, name, self._metadata[name])
            return self._rows[name].read(rows)
        if name not in self._arrays:
            self._arrays[name] = arrays.open_array(self._digests.folder, name)
        return np.asarray(self._arrays[name][rows])

    def digest(self) -> str:
        """Return a sha256 of all columns of windows."""
        return self._digests.digest(f"{WINDOWS}/")


class FewFiles:
    """Arrays of a group of format 2."""

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self._files = {path: NpyFile(digests.folder / path, *entry) for path, entry in digests.files.items()
                       if path in (WINDOWS_FILE, EXPOSURE_FILE)}
        self._zarr = ZarrArrays(digests)

    def names(self) -> frozenset[str]:
        """Return the names of all arrays."""
        found = {f"{Path(path).stem}/{name}" for path, file in self._files.items() for name in fields_of(file.dtype)}
        return frozenset(found | {name if name == VECTOR else f"{WINDOWS}/{name}" for name in self._zarr.names()})

    def file_of(self, name: str) -> str:
        """Return the file that says what an array holds."""
        kind, _, column = name.partition("/")
        return self._zarr.file_of(column or kind) if column in ("", CUTOUT) else f"{kind}.npy"

    def describe(self, name: str) -> Described:
        """Return type and shape of an array, after checking that its files fit them."""
        column = name.partition("/")[2]
        if column == CUTOUT:
            return self._zarr.describe(column)
        if name == VECTOR:
            return Described(self._vector.data_type, self._vector.shape)
        file = self._file(name)
        fields = fields_of(file.dtype)
        if column not in fields or len(file.shape) != 1:
            raise ValueError(f"holds {file.dtype} of shape {file.shape}, which is no table with {name}")
        return Described(fields[column].base.name, (*file.shape, *fields[column].shape))

    def read(self, name: str, rows: Rows) -> Array:
        """Read rows of an array."""
        column = name.partition("/")[2]
        if column == CUTOUT:
            return self._zarr.read(column, rows)
        if name == VECTOR:
            self._digests.check(f"{VECTOR}/")
            return self._vector.read(rows)
        self._digests.check(self.file_of(name))
        self.describe(name)
        file = self._file(name)
        found = file.read(rows.start, rows.stop) if isinstance(rows, slice) else file.read()[rows]
        return np.ascontiguousarray(found[column])

    def digest(self) -> str:
        """Return a sha256 of all columns of windows."""
        return self._digests.digest(WINDOWS_FILE, f"{CUTOUT}/")

    @cached_property
    def _vector(self) -> RawArray:
        return RawArray(self._digests.folder, VECTOR, self._digests.files)

    def _file(self, name: str) -> NpyFile:
        path = self.file_of(name)
        if path not in self._files:
            raise ValueError(f"there is no {path}")
        return self._files[path]


def arrays_of(digests: Digests) -> StoredArrays:
    """Return the reader of a group's arrays."""
    return FewFiles(digests) if digests.name == GROUP_FILE else ZarrArrays(digests)


def attributes_of(digests: Digests) -> dict[str, Any]:
    """Return the attributes of a group: format, source and so on."""
    if digests.attributes:
        return dict(digests.attributes)
    record = json_of(read_file(digests.folder / METADATA, MAX_METADATA_BYTES))
    attributes: dict[str, Any] = value_of(dict[str, Any], record["attributes"])
    return attributes
