"""A segment on disk: a folder of ``.npy`` arrays and ``segment.json``, which holds size and digest of each array.

A segment is written under another name, flushed, and renamed. So a folder with its final name is complete. Nothing is
ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusError, CorpusMismatch, SegmentDamaged
from pipeline.model import MAX_DIMENSION
from pipeline.support.array_headers import evaluated
from pipeline.support.durable import atomic_file, make_folder, publish_folder, write_npy
from pipeline.support.records import Bounds, ByteCount, Count, RowCount, json_of, record_of, value_of
from pipeline.support.regular_files import file_size, read_file
from pipeline.support.safe_files import is_own, remove_tree

_INSIDE = re.compile(r"[a-z_]+|cell-[0-9]{4,9}")
"""Valid names of arrays and cells. Names come from a file and become paths, so they are checked."""
RECORD_FILE = "segment.json"
FORMAT = "lookalike-segment"
FORMAT_VERSION = 1
_MAX_HEADER_BYTES = 1 << 16
MAX_RECORD_BYTES = 1 << 28
"""Largest size of ``segment.json``: some million sources."""
PARTIAL_SUFFIX = ".partial"
"""Suffix of a folder that is being written. A killed run leaves it behind; it may be deleted."""

ARRAY_TYPES: Mapping[str, tuple[str, int]] = {
    "vectors": ("<f4", 2),
    "posting_indptr": ("<i4", 1),
    "row_source": ("<i4", 1),
    "row_number": ("<i8", 1),
}
"""Name → data type and number of axes, for the arrays of every segment."""
GRAPH_ARRAY_TYPES: Mapping[str, tuple[str, int]] = {
    "graph_indptr": ("<i4", 1),
    "graph_indices": ("<i4", 1),
    "tree_hyperplanes": ("<f4", 2),
    "tree_offsets": ("<f4", 1),
    "tree_children": ("<i4", 2),
}
"""Name → data type and number of axes, for the additional arrays of a segment with a graph."""
ROUTED_ARRAY_TYPES: Mapping[str, tuple[str, int]] = {"centroids": ("<f4", 2)}
"""Name → data type and number of axes, for the only array of a routed segment (:mod:`pipeline.index.routed`)."""


@dataclass(frozen=True, slots=True)
class _ArrayEntry:
    """What a record says of one array."""

    shape: tuple[RowCount, ...]
    bytes: ByteCount
    sha256: str


@dataclass(frozen=True, slots=True)
class _Record:
    """Types of the values of ``segment.json``. A routed one has ``cells`` and ``margins`` instead of ``vectors``."""

    metric: str
    dimension: Annotated[int, Bounds(1, MAX_DIMENSION)]
    rows: Annotated[int, Bounds(1, 2**40)]
    source_ids: tuple[str, ...] | None
    arrays: dict[str, _ArrayEntry]
    vectors: Annotated[int, Bounds(1, 2**31 - 1)] | None = None
    graph: dict[str, Count | str | None] | None = None
    cells: dict[str, RowCount] | None = None
    margins: tuple[Annotated[float, Bounds(0, 4)], ...] | None = None


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``, then flush and rename it to ``folder``. Delete it after an error.

    If another process has published the same segment meanwhile, that one stays.

    Raises
    ------
    CorpusError
        ``folder`` exists. Segments are never overwritten.
    """
    if folder.exists():
        raise CorpusError(f"{folder}: exists, and segments are never written over; choose another name")
    partial = folder.with_name(f"{folder.name}.{uuid4().hex}{PARTIAL_SUFFIX}")
    make_folder(partial)
    try:
        yield partial
        with suppress(FileExistsError):
            publish_folder(partial, folder)
    finally:
        remove_tree(partial.parent, partial)


def write_segment(folder: Path, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write ``arrays`` and then their record, with ``facts``, into ``folder``.

    Each file is written under another name and renamed, so an existing file, such as a link, is never written into.
    """
    types = {**ARRAY_TYPES, **GRAPH_ARRAY_TYPES, **ROUTED_ARRAY_TYPES}
    entries = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        with atomic_file(path, flush=False) as file:
            write_npy(file, np.asarray(array, dtype=types[name][0]))
        entries[name] = {"shape": list(array.shape), "bytes": path.stat().st_size, "sha256": _sha256(path)}
    record = {"format": FORMAT, "format_version": FORMAT_VERSION, **facts, "arrays": entries}
    with atomic_file(folder / RECORD_FILE, flush=False) as file:
        file.write(json.dumps({**record, "sha256": _record_digest(record)}, indent=1).encode())


def read_record(folder: Path) -> dict[str, Any]:
    """Read ``segment.json`` and check its digest and its format.

    Raises
    ------
    SegmentDamaged
        The folder or the file is missing or altered.
    CorpusMismatch
        Another version of this program wrote it.
    """
    path = folder / RECORD_FILE
    try:
        record: dict[str, Any] = value_of(dict[str, Any], json_of(read_file(path, MAX_RECORD_BYTES)))
        _refuse_strange_names(record)
        is_whole = record.pop("sha256") == _record_digest(record) and record["format"] == FORMAT
        version = value_of(int, record["format_version"])
    except PermissionError:  # no damage: another user owns it
        raise
    except OSError as error:
        raise SegmentDamaged(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, RecursionError) as error:
        raise SegmentDamaged(f"{path}: not the record of a segment ({error!r})") from error
    if not is_whole:
        raise SegmentDamaged(f"{path}: altered since it was written")
    if version != FORMAT_VERSION:
        raise CorpusMismatch(f"{path}: format version {version}, this program reads {FORMAT_VERSION}; "
                             "update the program or rebuild the index")
    try:
        _check_shapes(record_of(_Record, record, has_more=True))
    except ValueError as error:
        raise SegmentDamaged(f"{path}: not the record of a segment ({error})") from error
    return record


def _refuse_strange_names(record: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for a name of an array or a cell that would lead out of the folder."""
    for field in ("arrays", "cells"):
        names = record.get(field)
        if strange := [name for name in (names if isinstance(names, dict) else ()) if not _INSIDE.fullmatch(name)]:
            raise ValueError(f"it names {strange[0][:100]!r}, which is no array and no cell")


def _check_shapes(record: _Record) -> None:
    """Raise ``ValueError`` unless a record has the arrays of its kind of segment, in shapes that fit its counts."""
    count, rows, dimension = record.vectors or 0, record.rows, record.dimension
    shapes = {"vectors": (count, dimension), "posting_indptr": (count + 1,), "row_source": (rows,),
              "row_number": (rows,), "graph_indptr": (count + 1,)}
    needed = {**ARRAY_TYPES, **(GRAPH_ARRAY_TYPES if record.graph is not None else {})}
    if record.cells is not None:
        shapes, needed = {"centroids": (len(record.cells), dimension)}, {**ROUTED_ARRAY_TYPES}
    for name, (dtype, axes) in needed.items():
        entry = record.arrays.get(name)
        if entry is None:
            raise ValueError(f"there is no array {name}")
        if len(entry.shape) != axes or entry.shape != shapes.get(name, entry.shape):
            raise ValueError(f"{name} has shape {entry.shape}, which fits no segment of {count} vectors of {dimension} "
                             f"components and {rows} rows")
        if not 0 < entry.bytes - math.prod(entry.shape) * np.dtype(dtype).itemsize <= _MAX_HEADER_BYTES:
            raise ValueError(f"{name} has {entry.bytes} bytes, which do not fit its shape {entry.shape}")


def map_arrays(
    folder: Path, record: Mapping[str, Any], types: Mapping[str, tuple[str, int]]
) -> dict[str, NDArray[Any]]:
    """Memory-map the arrays named in ``types`` read-only, after checking size, type and shape."""
    arrays = {}
    for name, (dtype, axes) in types.items():
        path, entry = folder / f"{name}.npy", record["arrays"].get(name)
        if entry is None:
            raise SegmentDamaged(f"{path}: is not in {RECORD_FILE}")
        try:
            size = file_size(path)
            if size != entry["bytes"]:
                raise SegmentDamaged(f"{path}: {size} bytes, but {entry['bytes']} were written")
            array = mapped(path)
        except PermissionError:
            raise
        except OSError as error:
            raise SegmentDamaged(f"{path}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise SegmentDamaged(f"{path}: not a plain array ({error})") from error
        found = (array.dtype.str, array.ndim, list(array.shape), array.flags.c_contiguous)
        if found != (dtype, axes, entry["shape"], True):
            raise SegmentDamaged(f"{path}: type {array.dtype.str} and shape {list(array.shape)}, "
                                f"but {dtype} and {entry['shape']} were written")
        arrays[name] = array.view(np.ndarray)
    return arrays


def mapped(path: Path) -> NDArray[Any]:
    """Memory-map a file of one array, read-only.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, is no regular file, or holds no plain array.
    """
    file_size(path)  # raises for a pipe, which would be waited for
    try:
        array: NDArray[Any] = evaluated(lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError):
        raise
    except Exception as error:  # numpy evaluates the header, so almost any error can be raised
        raise ValueError(f"its header makes no sense: {type(error).__name__}: {error}") from error
    if not isinstance(array, np.memmap):
        raise ValueError("holds more than one array")
    return array


def verify_arrays(folder: Path, record: Mapping[str, Any]) -> None:
    """Compare the sha256 of every array. Raise :class:`SegmentDamaged`, which names the file, if one differs."""
    for path, message in array_faults(folder, record):
        raise SegmentDamaged(f"{path}: {message}")


def array_faults(folder: Path, record: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield each damaged array of a segment and what is wrong with it. Reads every byte."""
    for name, entry in record["arrays"].items():
        path = folder / f"{name}.npy"
        try:
            if file_size(path) != entry["bytes"] or _sha256(path) != entry["sha256"]:
                yield path, "altered since it was written"
        except PermissionError:
            raise
        except OSError as error:
            yield path, f"cannot be read ({error.strerror})"


def segment_faults(
    folder: Path, expected: tuple[Sequence[str] | None, int] | None = None, *, cells: bool = True
) -> Iterator[tuple[Path, str]]:
    """Yield each damaged file of a segment and what is wrong with it. Reads every byte.

    Parameters
    ----------
    folder : Path
        Folder of the segment.
    expected : (source ids, rows), optional
        What the segment must hold. The source ids of a cell are None.
    cells : bool
        Also read the cells of a routed segment.
    """
    path = folder / RECORD_FILE
    if not folder.is_dir():
        yield folder, "is missing"
        return
    try:
        record = read_record(folder)
    except (SegmentDamaged, CorpusMismatch) as error:
        yield path, str(error).removeprefix(f"{path}: ")
        return
    yield from _faults(folder, record, expected, cells)


def _faults(
    folder: Path, record: Mapping[str, Any], expected: tuple[Sequence[str] | None, int] | None, cells: bool
) -> Iterator[tuple[Path, str]]:
    path, own_cells = folder / RECORD_FILE, record.get("cells") or {}
    if expected is not None and (_tuple(record["source_ids"]), record["rows"]) != (_tuple(expected[0]), expected[1]):
        sources = "" if record["source_ids"] is None else f" of {len(record['source_ids'])} sources"
        yield path, f"holds {record['rows']} rows{sources}, not what the manifest says"
        return
    yield from array_faults(folder, record)
    if cells:
        for name, rows in own_cells.items():
            if rows:
                yield from segment_faults(folder / name, (None, rows))
    known = {path, *(folder / f"{name}.npy" for name in record["arrays"]), *(folder / name for name in own_cells)}
    for other in sorted(folder.glob("[!.]*")):
        if other not in known and is_own(other.name):  # others are foreign files
            yield other, f"is not in {RECORD_FILE}"


def _tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _record_digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
