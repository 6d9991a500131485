"""Overviews of scans on disk: made of parts, published whole or not at all, and read level by level.

The folder of an overview lies beside that of the windows, and has three files: ``cells.npy`` with the codes of all
levels, ``overview.json`` and ``digests.json``.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.model import Header, Source
from pipeline.overview import CELL_CHANNELS, FACTOR, Cells, OverviewLayout, Pyramid, overview_name
from pipeline.store.digests import MAX_METADATA_BYTES, Digests
from pipeline.store.layout import mending_of, overview_folder, parts_folder
from pipeline.store.staging import part_path, remove_parts
from pipeline.support.durable import atomic_file, make_folder, publish_folder, sync_folder, write_npy
from pipeline.support.records import Integer, json_of, value_of
from pipeline.support.regular_files import read_file
from pipeline.support.text import shown

FORMAT = 1
CELLS_FILE = "cells.npy"
METADATA_FILE = "overview.json"
MAX_CELLS_BYTES = 1 << 34
"""Largest size of the file of codes: that of a scan of 6 TB."""
_COLUMNS = ("total", "largest", "count")


def write_overview_part(staging: Path, scan_id: str, part_no: int, cells: Cells) -> None:
    """Write the cells of level 0 that one scan task has summed up. They replace those of an earlier attempt."""
    path = part_path(staging, overview_name(scan_id), part_no)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, flush=False) as file:
        np.savez(file, allow_pickle=False, first=np.int64(cells.first),
                 **{name: getattr(cells, name) for name in _COLUMNS})


def _read_part(path: Path) -> Cells:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as held:
            return Cells(int(held["first"]), *(held[name] for name in _COLUMNS))
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorpusDamaged(f"{path}: missing or altered ({error}); run again") from error


def commit_overview(root: Path, staging: Path, source: Source, n_parts: int) -> None:
    """Make the overview of a scan of the parts 0 to ``n_parts`` − 1, which are removed then.

    Does nothing if the overview exists: another process may have committed it.

    Raises
    ------
    CorpusDamaged
        A part or the existing overview is missing or altered.
    """
    final, parts = overview_folder(root, source.id), overview_name(source.id)
    if not final.exists():
        pyramid = Pyramid(OverviewLayout.of(source.header))
        folder = parts_folder(staging, parts) / f"group-{uuid4().hex}"
        try:
            for part_no in range(n_parts):
                pyramid.add(_read_part(part_path(staging, parts, part_no)))
            _write(folder, source, pyramid.codes())
            make_folder(final.parent)
            publish_folder(folder, final)
        except (OSError, CorpusDamaged):
            if not final.is_dir():  # else another process has committed it, and removed the parts
                raise
    sync_folder(final.parent)  # its writer may have died before the name was on disk
    StoredOverview.open(root, source.id, source.header)
    remove_parts(staging, parts)


def _write(folder: Path, source: Source, codes: NDArray[np.uint8]) -> None:
    """Write all files of an overview."""
    layout = OverviewLayout.of(source.header)
    record = {"format": FORMAT, "source_id": source.id, "nchans": layout.nchans, "nsamples": layout.nsamples,
              "channels_per_cell": CELL_CHANNELS, "factor": FACTOR, "spectra_per_row": layout.spectra_per_row,
              "columns": [layout.columns(level) for level in range(layout.levels)]}
    folder.mkdir(parents=True)
    with (folder / CELLS_FILE).open("wb") as file:
        write_npy(file, codes)
    (folder / METADATA_FILE).write_text(json.dumps(record), encoding="ascii")
    Digests.of(folder).write()


class StoredOverview:
    """The overview of a scan. Threads may share it."""

    def __init__(self, folder: Path, header: Header | None = None) -> None:
        """Open an overview. Check that every file is there, and that it is of the scan that its name says.

        Parameters
        ----------
        header : Header, optional
            Header of the scan. Levels, rows and columns must be those of this header.

        Raises
        ------
        CorpusDamaged
            A file is missing or altered, or it is the overview of another scan.
        CorpusMismatch
            A newer version of the program wrote it.
        """
        self.folder = folder
        self._digests = Digests.open(folder)
        record = self._metadata()
        if record["format"] > FORMAT:
            raise CorpusMismatch(f"{folder}: has format {record['format']}, this version reads up to {FORMAT}; update "
                                 "the program")
        self.scan_id = str(record["source_id"])
        """Id of the scan."""
        self.layout = OverviewLayout(record["nchans"], record["nsamples"])
        if overview_name(self.scan_id) != folder.name:
            raise CorpusDamaged(f"{folder}: holds the overview of {shown(self.scan_id[:100])}; {mending_of(folder)}")
        if header is not None and self.layout != OverviewLayout.of(header):
            raise CorpusDamaged(f"{folder}: has {self.layout.nchans} channels and {self.layout.nsamples} spectra, its "
                                f"scan {header.nchans} and {header.nsamples}; {mending_of(folder)}")

    @classmethod
    def open(cls, root: Path, scan_id: str, header: Header | None = None) -> Self:
        """Open the overview of a scan of the corpus in ``root``."""
        return cls(overview_folder(root, scan_id), header)

    def _metadata(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = value_of(dict[str, Any], json_of(self._content(METADATA_FILE, MAX_METADATA_BYTES)))
            for name in ("format", "nchans", "nsamples"):
                if value_of(Integer, record[name]) < 1:
                    raise ValueError(f"{name} is {record[name]}")
            value_of(str, record["source_id"])
        except (KeyError, ValueError) as error:
            raise CorpusDamaged(f"{self.folder}: {METADATA_FILE} is not that of an overview ({error!r}); "
                                f"{mending_of(self.folder)}") from error
        return record

    def _content(self, name: str, most: int) -> bytes:
        """Read a file and compare it with its digest."""
        size, digest = self._digests.files.get(name, (0, ""))
        try:
            content = read_file(self.folder / name, min(most, size), is_text=False)
        except PermissionError:
            raise
        except OSError as error:
            raise CorpusDamaged(f"{self.folder}: {name}: {error.strerror}; {mending_of(self.folder)}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise CorpusDamaged(f"{self.folder}: {name} does not match its digest; {mending_of(self.folder)}")
        return content

    def read_codes(self) -> NDArray[np.uint8]:
        """Read the codes of all levels, of :attr:`pipeline.overview.OverviewLayout.shape`, and check their digest."""
        content = self._content(CELLS_FILE, MAX_CELLS_BYTES)
        try:  # numpy.load would make room for whatever shape the file claims
            file = io.BytesIO(content)
            np.lib.format.read_magic(file)
            shape, is_transposed, kind = np.lib.format.read_array_header_1_0(file)
            if (shape, is_transposed, kind) != (self.layout.shape, False, np.dtype(np.uint8)):
                raise ValueError(f"holds {kind} of shape {shape}, not uint8 of {self.layout.shape}")
            return np.frombuffer(content, np.uint8, offset=file.tell()).reshape(shape)
        except ValueError as error:
            raise CorpusDamaged(f"{self.folder}: {CELLS_FILE} is not that of this overview ({error}); "
                                f"{mending_of(self.folder)}") from error
