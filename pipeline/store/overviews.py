"""Overviews of scans on disk: made of parts, published whole or not at all, and read level by level.

The folder of an overview lies beside that of the windows, and has three files: ``cells.npy`` with the codes of all
levels, ``overview.json`` and ``digests.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged, CorpusMismatch
from pipeline.model import Header, Source
from pipeline.overview import CELL_CHANNELS, FACTOR, Cells, OverviewLayout, Pyramid, overview_name
from pipeline.store.checked_file import CheckedFile
from pipeline.store.digests import Digests
from pipeline.store.layout import mending_of, overview_folder, parts_folder
from pipeline.store.npy_file import NpyFile
from pipeline.store.publish import Build, publish
from pipeline.store.staging import member, opened_part, part_path, remove_parts
from pipeline.support.durable import atomic_file, write_npy
from pipeline.support.records import Integer, json_of, value_of
from pipeline.support.text import shown

FORMAT = 1
CELLS_FILE = "cells.npy"
METADATA_FILE = "overview.json"
_COLUMNS = ("total", "largest", "count")


def write_overview_part(staging: Path, scan_id: str, part_no: int, cells: Cells) -> None:
    """Write the cells of level 0 that one scan task has summed up. They replace those of an earlier attempt."""
    path = part_path(staging, overview_name(scan_id), part_no)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, flush=False) as file:
        np.savez(file, allow_pickle=False, first=np.int64(cells.first),
                 **{name: getattr(cells, name) for name in _COLUMNS})


def _read_part(path: Path) -> Cells:
    with opened_part(path) as file, np.load(file, allow_pickle=False) as held:
        first, *columns = (member(held, name) for name in ("first", *_COLUMNS))
        return Cells(int(first), *columns)


def commit_overview(root: Path, staging: Path, source: Source, n_parts: int) -> None:
    """Make the overview of a scan from the parts 0 to ``n_parts`` − 1, then remove these.

    Does nothing if the overview exists: another process may have committed it.

    Raises
    ------
    CorpusDamaged
        A part or the existing overview is missing or altered.
    """
    parts = overview_name(source.id)
    publish([Build(parts_folder(staging, parts), overview_folder(root, source.id),
                   partial(_write, staging, source, n_parts))])
    StoredOverview.open(root, source.id, source.header)
    remove_parts(staging, parts)


def _write(staging: Path, source: Source, n_parts: int, folder: Path) -> None:
    """Write all files of an overview."""
    layout = OverviewLayout.of(source.header)
    pyramid = Pyramid(layout)
    for part_no in range(n_parts):
        pyramid.add(_read_part(part_path(staging, overview_name(source.id), part_no)))
    record = {"format": FORMAT, "source_id": source.id, "nchans": layout.nchans, "nsamples": layout.nsamples,
              "channels_per_cell": CELL_CHANNELS, "factor": FACTOR, "spectra_per_row": layout.spectra_per_row,
              "columns": [layout.columns(level) for level in range(layout.levels)]}
    with (folder / CELLS_FILE).open("wb") as file:
        write_npy(file, pyramid.codes())
    (folder / METADATA_FILE).write_text(json.dumps(record), encoding="ascii")
    Digests.of(folder).write()


class StoredOverview:
    """The overview of a scan. Threads may share it."""

    def __init__(self, folder: Path, header: Header | None = None) -> None:
        """Open an overview. Check that every file is there, and that it belongs to the scan of its name.

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
        with self._reading(METADATA_FILE):
            content = CheckedFile(self.folder / METADATA_FILE, *self._digests.files[METADATA_FILE]).start
            record: dict[str, Any] = value_of(dict[str, Any], json_of(content))
            for name in ("format", "nchans", "nsamples"):
                if value_of(Integer, record[name]) < 1:
                    raise ValueError(f"{name} is {record[name]}")
            value_of(str, record["source_id"])
        return record

    def read_codes(self) -> NDArray[np.uint8]:
        """Read the codes of all levels, of :attr:`pipeline.overview.OverviewLayout.shape`, and check their digest."""
        with self._reading(CELLS_FILE):
            file = NpyFile(self.folder / CELLS_FILE, *self._digests.files[CELLS_FILE])
            if (file.dtype, file.shape) != (np.dtype(np.uint8), self.layout.shape):
                raise ValueError(f"holds {file.dtype} of shape {file.shape}, not uint8 of {self.layout.shape}")
            return file.read()

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Add to an error within the block which file is wrong, and how to mend the overview."""
        try:
            yield
        except PermissionError:
            raise
        except (OSError, KeyError, ValueError) as error:
            raise CorpusDamaged(f"{self.folder}: {name} is not that of this overview ({error!r}); "
                                f"{mending_of(self.folder)}") from error
