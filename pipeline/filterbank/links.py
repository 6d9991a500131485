"""Find where the samples of an HDF5 file lie: resolve links and virtual datasets here, never by HDF5.

HDF5 would follow external links and virtual datasets to any file of the machine, try several folders in turn, and read
zeros if a file is missing. Here every target must exist and lie below the data root.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from pipeline.errors import Reason, SourceError
from pipeline.filterbank.access import refusal
from pipeline.filterbank.fetched import Corner
from pipeline.support.text import shown

MAX_LINKS = 8
"""Largest number of links that are followed one after another."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A box of samples, and the dataset that stores it."""

    dataset: h5py.Dataset
    path: Path
    """File that holds the dataset."""
    start: Corner
    """First sample of the box, in the coordinates of the file's own dataset."""
    stop: Corner
    source_start: Corner
    """First sample of the box, in the coordinates of ``dataset``."""


class Links:
    """Resolves names within and between files. The files are opened on a stack that the caller closes."""

    def __init__(
        self, root: Path, files: ExitStack, opened: Callable[[Path], AbstractContextManager[h5py.File]]
    ) -> None:
        self._root = Path(os.path.realpath(root))
        self._files = files
        self._opened = opened
        self._known: dict[Path, h5py.File] = {}

    @property
    def paths(self) -> list[Path]:
        """Every file that was opened."""
        return list(self._known)

    def open_file(self, path: Path) -> h5py.File:
        """Open a file, with the function that the constructor got. Each file is opened once."""
        if path not in self._known:
            self._known[path] = self._files.enter_context(self._opened(path))
        return self._known[path]

    def find(self, file: h5py.File, path: Path, name: str) -> tuple[h5py.HLObject | None, Path]:
        """Return the object ``name`` of the file at ``path``, and the file that holds it; None if there is none.

        Raises
        ------
        SourceError
            REFUSED_LINK if a link leaves the root, BAD_LINK if its target is missing.
        """
        for _ in range(MAX_LINKS):
            here: h5py.HLObject = file
            parts = [part for part in name.split("/") if part]
            for depth, part in enumerate(parts):
                link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
                if link is None:
                    return None, path
                if isinstance(link, h5py.HardLink):
                    here = here[part]
                    continue
                above = parts[:depth]
                if isinstance(link, h5py.ExternalLink):
                    path = self.target(link.filename, path)
                    file, above = self.open_file(path), []
                elif link.path.startswith("/"):
                    above = []
                name = "/".join([*above, link.path, *parts[depth + 1:]])
                break
            else:
                return here, path
        raise refusal(Reason.BAD_LINK, path, f"more than {MAX_LINKS} links lead from one to the next; link to the "
                      "data directly")

    def target(self, name: str, path: Path) -> Path:
        """Return the path of the file that ``path`` refers to as ``name``. It must exist and lie below the root."""
        target = Path(os.path.realpath(path.parent / name))
        if not target.is_relative_to(self._root):
            raise refusal(Reason.REFUSED_LINK, path, f"its samples lie in {shown(target)}, outside the "
                          f"data root {shown(self._root)}; name a folder that holds both")
        if not target.is_file():
            raise refusal(Reason.BAD_LINK, path, f"its samples lie in {shown(target)}, which does not exist; put that "
                          "file there, or correct the link")
        return target

    def pieces(self, dataset: h5py.Dataset, path: Path) -> list[Piece]:
        """Return the boxes that make up ``dataset`` in the file at ``path``. Only a virtual dataset has several."""
        if not dataset.is_virtual:
            zero = (0,) * dataset.ndim
            return [_piece(dataset, path, zero, dataset.shape, zero)]
        pieces = [self._virtual_piece(dataset, path, mapping) for mapping in dataset.virtual_sources()]
        supplied = sum(math.prod(np.subtract(piece.stop, piece.start).tolist()) for piece in pieces)
        if supplied < math.prod(dataset.shape):  # parts that overlap may still leave gaps, which are masked later
            raise refusal(Reason.TRUNCATED, path, "its data are virtual, and no file supplies some parts of them; try "
                          "again when all parts are written")
        return pieces

    def _virtual_piece(self, dataset: h5py.Dataset, path: Path, mapping: h5py._hl.vds.VDSmap) -> Piece:
        start, stop = _box(mapping.vspace, dataset.shape, path)
        file, source_path = dataset.file, path
        if mapping.file_name != ".":
            source_path = self.target(mapping.file_name, path)
            file = self.open_file(source_path)
        source, source_path = self.find(file, source_path, mapping.dset_name)
        if not isinstance(source, h5py.Dataset) or source.is_virtual or source.ndim != dataset.ndim:
            raise refusal(Reason.BAD_HEADER, path, f"its data are virtual and lie in {mapping.dset_name!r} of "
                          f"{shown(source_path)}, which is no plain dataset of {dataset.ndim} axes; write the data as "
                          "one plain dataset")
        source_start, source_stop = _box(mapping.src_space, source.shape, path)
        if any(d - c != b - a for a, b, c, d in zip(start, stop, source_start, source_stop, strict=True)):
            raise _irregular(path)
        if any(end > size for end, size in zip(source_stop, source.shape, strict=True)):
            raise refusal(Reason.TRUNCATED, path, f"its data are virtual, and {shown(source_path)} "
                          "holds only a part of them; try again when it is complete")
        return _piece(source, source_path, start, stop, source_start)


def _piece(dataset: h5py.Dataset, path: Path, start: Corner, stop: Corner, source_start: Corner) -> Piece:
    if dataset.external:
        raise refusal(Reason.REFUSED_LINK, path, "its samples lie in raw files beside it, which cannot be "
                      "checked; make it one file with h5repack")
    return Piece(dataset, path, start, stop, source_start)


def _box(space: h5py.h5s.SpaceID, shape: Corner, path: Path) -> tuple[Corner, Corner]:
    """Return the corners of a selection of a dataset with this shape. The selection must be one solid box."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:  # h5py does not give the size of such a selection
        return (0,) * len(shape), shape
    first, last = space.get_select_bounds()
    start, stop = tuple(map(int, first)), tuple(int(index) + 1 for index in last)
    if math.prod(np.subtract(stop, start).tolist()) != space.get_select_npoints():
        raise _irregular(path)
    return start, stop


def _irregular(path: Path) -> SourceError:
    return refusal(Reason.BAD_HEADER, path, "its data are virtual, and some of their parts are not solid boxes of "
                   "samples, which cannot be read; write the data as one plain dataset")
