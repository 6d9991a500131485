"""What is known of an HDF5 file once it is parsed: plain numbers and text, which lie between two processes as JSON.

A file is parsed in a process that may crash (:mod:`pipeline.filterbank.parser`); samples are read in this one, by these
facts and without HDF5. What comes out of that process is checked like anything else that a file says.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank.fetched import Corner
from pipeline.model import Header

COLUMNS = 4
"""Of a table of chunks: number in the grid, first byte, bytes, filters left out."""
MOST_SAMPLES = 1 << 60
"""Of a dataset: positions are computed in 64 bits."""
LENGTH_BYTES = 8

Identity = tuple[int, ...]
"""Device, inode, size, and the times of the last change of content and of state."""


def identity_of(state: os.stat_result) -> Identity:
    """Tell one state of a file from another."""
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset of three axes and where its bytes lie."""

    path: str
    name: str
    """Within the file."""
    shape: Corner
    dtype: str
    """numpy's name, with the order of bytes."""
    chunks: Corner | None
    filters: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """Number and settings of each."""
    offset: int | None = None
    """First byte of one without chunks."""
    content: bytes = b""
    """All of one that lies in the file's metadata."""
    table: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, COLUMNS), np.int64))
    """Stored chunks, by ascending number in the grid."""

    @property
    def grid(self) -> Corner:
        """Chunks along each axis."""
        return tuple(-(-length // size) for length, size in zip(self.shape, self.chunks or self.shape, strict=True))


@dataclass(frozen=True, slots=True)
class Box:
    """A box of samples, and which dataset stores it."""

    number: int
    """Of the dataset in :attr:`Facts.datasets`."""
    start: Corner
    """First sample of the box, as the file's own dataset counts."""
    stop: Corner
    source_start: Corner
    """The same sample as the dataset that stores it counts."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that reading a file takes."""

    header: Header
    chunks: Corner | None
    """Of the file's own dataset."""
    boxes: list[Box]
    """Later ones lie above earlier ones."""
    datasets: list[Dataset]
    files: dict[str, Identity]
    """Every file that was parsed, and its state then."""

    def packed(self) -> bytes:
        """Return the facts as JSON, its length before it, and the tables of chunks behind it."""
        datasets = [{**asdict(one), "content": one.content.hex(), "table": len(one.table)} for one in self.datasets]
        said = {"header": asdict(self.header), "chunks": self.chunks, "boxes": [asdict(box) for box in self.boxes],
                "datasets": datasets, "files": self.files}
        text = json.dumps(said).encode()
        return b"".join([len(text).to_bytes(LENGTH_BYTES, "little"), text, *(d.table.tobytes() for d in self.datasets)])


def unpacked(raw: bytes, root: Path, path: Path) -> Facts:
    """Return the facts that were packed, once they are possible.

    Raises
    ------
    ValueError, TypeError, KeyError, IndexError
        They are not.
    """
    at = LENGTH_BYTES + int.from_bytes(raw[:LENGTH_BYTES], "little")
    said = json.loads(raw[LENGTH_BYTES:at])
    datasets = []
    for one in said["datasets"]:
        size = 8 * COLUMNS * one["table"]
        table = np.frombuffer(raw[at : at + size], np.int64).reshape(one["table"], COLUMNS)
        at += size
        datasets.append(_dataset(one, table))
    boxes = [Box(one["number"], _corner(one["start"]), _corner(one["stop"]), _corner(one["source_start"]))
             for one in said["boxes"]]
    files = {str(name): tuple(map(int, identity)) for name, identity in said["files"].items()}
    facts = Facts(Header(**said["header"]), said["chunks"] and _corner(said["chunks"]), boxes, datasets, files)
    _require_possible(facts, root, path)
    return facts


def _dataset(said: dict[str, Any], table: NDArray[np.int64]) -> Dataset:
    filters = tuple((int(number), tuple(map(int, values))) for number, values in said["filters"])
    return Dataset(str(said["path"]), str(said["name"]), _corner(said["shape"]), str(np.dtype(said["dtype"]).str),
                   said["chunks"] and _corner(said["chunks"]), filters, said["offset"],
                   bytes.fromhex(said["content"]), table)


def _corner(said: list[int]) -> Corner:
    corner = tuple(map(int, said))
    if len(corner) != 3 or min(corner) < 0 or max(corner) > MOST_SAMPLES:
        raise ValueError(f"{corner} is no place in a dataset")
    return corner


def _require_possible(facts: Facts, root: Path, path: Path) -> None:
    """Raise ``ValueError`` where a box lies outside its dataset, or a dataset outside the root."""
    for box in facts.boxes:
        source = facts.datasets[box.number]
        stop = (c + b - a for a, b, c in zip(box.start, box.stop, box.source_start, strict=True))
        if any(end > size for end, size in zip(stop, source.shape, strict=True)):
            raise ValueError("a part is larger than what stores it")
    for dataset in facts.datasets:
        if dataset.path != str(path) and not Path(os.path.realpath(dataset.path)).is_relative_to(root):
            raise ValueError("its samples lie outside the data root")
        if math.prod(dataset.shape) > MOST_SAMPLES or (dataset.chunks and min(dataset.chunks) < 1):
            raise ValueError(f"{dataset.shape} samples in chunks of {dataset.chunks}")
        if len(dataset.table) and (dataset.table[:, :3].min() < 0 or np.any(np.diff(dataset.table[:, 0]) <= 0)):
            raise ValueError("its list of chunks is out of order")
