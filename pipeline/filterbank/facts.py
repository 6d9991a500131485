"""Facts about a parsed HDF5 file, which one process sends to another as JSON and tables of numbers.

A file is parsed in a process of its own, which may crash (:mod:`pipeline.filterbank.parser`). That process sends these
facts. With them, the process that asked reads samples without HDF5. The facts are checked like everything else that a
file says.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank.fetched import Corner
from pipeline.model import Header
from pipeline.support.records import record_of

COLUMNS = 4
"""Columns of a table of chunks: number in the grid, first byte, size in bytes, mask of omitted filters."""
MAX_SAMPLES = 1 << 60
"""Largest number of samples in a dataset, because positions are computed in 64 bits."""
LENGTH_BYTES = 8

Identity = tuple[int, ...]
"""Device, inode, size, and times of the last change of content and of status."""


def identity_of(state: os.stat_result) -> Identity:
    """Return what identifies one state of a file."""
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset with three axes, and where its bytes lie."""

    path: str
    name: str
    """Path of the dataset within the file."""
    shape: Corner
    dtype: str
    """numpy's name of the type, with byte order. ``|V`` and a number of bytes if numpy has no such type: then HDF5 must
    convert the samples."""
    chunks: Corner | None
    filters: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """Number and settings of each HDF5 filter."""
    offset: int | None = None
    """First byte of a dataset without chunks."""
    content: bytes = b""
    """All samples of a dataset that is stored in the metadata of the file."""
    table: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, COLUMNS), np.int64))
    """(chunks, COLUMNS): stored chunks, in ascending order of their number in the grid."""

    @property
    def grid(self) -> Corner:
        """Number of chunks along each axis."""
        return tuple(-(-length // size) for length, size in zip(self.shape, self.chunks or self.shape, strict=True))


@dataclass(frozen=True, slots=True)
class Box:
    """A box of samples, and the dataset that stores it."""

    number: int
    """Index of the dataset in :attr:`Facts.datasets`."""
    start: Corner
    """First sample of the box, in the coordinates of the file's own dataset."""
    stop: Corner
    source_start: Corner
    """First sample of the box, in the coordinates of the dataset that stores it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is needed to read a file."""

    header: Header
    remarks: dict[str, str]
    """What a user should know of the header, see :data:`pipeline.filterbank.header.Remarks`."""
    chunks: Corner | None
    """Chunk shape of the file's own dataset."""
    boxes: list[Box]
    """Boxes of samples. A later box hides an earlier one where they overlap."""
    datasets: list[Dataset]
    files: dict[str, Identity]
    """Path of every file that was parsed → its state then."""

    def packed(self) -> bytes:
        """Return the facts as bytes: the length of the JSON text, the text, and the tables of chunks."""
        datasets = [{**asdict(one), "content": one.content.hex(), "table": len(one.table)} for one in self.datasets]
        said = {"header": asdict(self.header), "remarks": self.remarks, "chunks": self.chunks, "files": self.files,
                "boxes": [asdict(box) for box in self.boxes], "datasets": datasets}
        text = json.dumps(said).encode()
        return b"".join([len(text).to_bytes(LENGTH_BYTES, "little"), text, *(d.table.tobytes() for d in self.datasets)])


def unpacked(raw: bytes, root: Path, path: Path) -> Facts:
    """Return the facts in ``raw``, after checking that they are possible.

    Parameters
    ----------
    raw : bytes
        Output of :meth:`Facts.packed`.
    root : Path
        Folder that holds all datasets, except those in ``path`` itself.
    path : Path
        The file.

    Raises
    ------
    ValueError, TypeError, KeyError, IndexError
        The facts are impossible.
    """
    at = LENGTH_BYTES + int.from_bytes(raw[:LENGTH_BYTES], "little")
    said = json.loads(raw[LENGTH_BYTES:at])
    datasets = []
    for one in said["datasets"]:
        size = 8 * COLUMNS * one["table"]
        table = np.frombuffer(raw[at : at + size], np.int64).reshape(one["table"], COLUMNS)
        at += size
        datasets.append(_dataset(one, table))
    boxes = record_of(list[Box], said["boxes"])
    for box in boxes:
        for corner in (box.start, box.stop, box.source_start):
            _corner(corner)
    files = {str(name): tuple(map(int, identity)) for name, identity in said["files"].items()}
    remarks = record_of(dict[str, str], said["remarks"])
    chunks = said["chunks"] and _corner(said["chunks"])
    facts = Facts(record_of(Header, said["header"]), remarks, chunks, boxes, datasets, files)
    _require_possible(facts, root, path)
    return facts


def _dataset(said: dict[str, Any], table: NDArray[np.int64]) -> Dataset:
    filters = tuple((int(number), tuple(map(int, values))) for number, values in said["filters"])
    return Dataset(str(said["path"]), str(said["name"]), _corner(said["shape"]), str(np.dtype(said["dtype"]).str),
                   said["chunks"] and _corner(said["chunks"]), filters, said["offset"],
                   bytes.fromhex(said["content"]), table)


def _corner(said: Sequence[int]) -> Corner:
    corner = tuple(map(int, said))
    if len(corner) != 3 or min(corner) < 0 or max(corner) > MAX_SAMPLES:
        raise ValueError(f"{corner} is no place in a dataset")
    return corner


def _require_possible(facts: Facts, root: Path, path: Path) -> None:
    """Raise ``ValueError`` if a box lies outside its dataset, or a dataset outside the root."""
    for box in facts.boxes:
        source = facts.datasets[box.number]
        stop = (c + b - a for a, b, c in zip(box.start, box.stop, box.source_start, strict=True))
        if any(end > size for end, size in zip(stop, source.shape, strict=True)):
            raise ValueError("a part of the data is larger than the dataset that stores it")
    for dataset in facts.datasets:
        if dataset.path != str(path) and not Path(os.path.realpath(dataset.path)).is_relative_to(root):
            raise ValueError("its samples lie outside the data root")
        if math.prod(dataset.shape) > MAX_SAMPLES or (dataset.chunks and min(dataset.chunks) < 1):
            raise ValueError(f"impossible sizes: {dataset.shape} samples in chunks of {dataset.chunks}")
        if len(dataset.table) and (dataset.table[:, :3].min() < 0 or np.any(np.diff(dataset.table[:, 0]) <= 0)):
            raise ValueError("its list of chunks is out of order")
