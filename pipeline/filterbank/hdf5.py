"""The HDF5 format: a dataset ``data`` (spectra, products, channels) whose attributes are the header."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers bitshuffle with HDF5
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason, SourceError
from pipeline.filterbank.access import access_error, refusal
from pipeline.filterbank.attributes import attribute
from pipeline.filterbank.fetched import Room, Undecoded
from pipeline.filterbank.header import OPTIONAL, REQUIRED, header_from_keywords
from pipeline.filterbank.heaps import guarded
from pipeline.filterbank.links import Links, Piece
from pipeline.model import Header

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIGNATURE_OFFSETS = (0, *(512 << i for i in range(12)))
"""At the start or, behind a user block, at a power of two."""
SUPERBLOCK_BYTES = 96
SAMPLE_TYPES = frozenset({"f4", "f8", "u1", "i1", "u2", "i2"})
NBITS = (8, 16, 32, 64)


def is_hdf5(descriptor: int) -> bool:
    """Tell whether an open file has HDF5's signature."""
    return any(os.pread(descriptor, len(SIGNATURE), offset) == SIGNATURE for offset in SIGNATURE_OFFSETS)


class Hdf5File:
    """An open HDF5 filterbank file."""

    def __init__(self, path: Path, root: Path, polarisation: int) -> None:
        self._path = path
        self._polarisation = polarisation
        with ExitStack() as files:
            try:
                _opened_plainly(path).close()  # tells whether it is still being written
                with ExitStack() as guarded_files:  # safe, then fast
                    _opened(path, Links(root, guarded_files, guarded))
                data, self.header, self._pieces = _opened(path, Links(root, files, _opened_plainly))
            except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
                raise _open_error(error, path) from error
            self.chunk_shape = (data.chunks[0], data.chunks[2]) if data.chunks else None
            self._files = files.pop_all()

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Read float32 (spectra, channels), channels counted as in the file, into C-contiguous ``memory``."""
        first = (spectrum_start, self._polarisation, channel_start)
        end = (spectrum_stop, self._polarisation + 1, channel_stop)
        for piece in self._pieces:
            start, stop = np.maximum(first, piece.start), np.minimum(end, piece.stop)
            if np.any(start >= stop):
                continue
            shift = np.subtract(piece.source_start, piece.start)
            row, _, column = (start - first).tolist()
            piece.chunks.read(tuple((start + shift).tolist()), tuple((stop + shift).tolist()), memory, row, column)

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Room) -> Undecoded | None:
        """Read what is stored of a range, channels counted as in the file; None where it is to be read decoded."""
        if len(self._pieces) > 1 or self._pieces[0].start != self._pieces[0].source_start:
            return None
        start = (spectrum_start, self._polarisation, channel_start)
        fetched = self._pieces[0].chunks.fetch(start, (spectrum_stop, self._polarisation + 1, channel_stop), room)
        return fetched and replace(fetched, product=self._polarisation)

    def close(self) -> None:
        """Close the file and those it leads to."""
        self._files.close()


def _opened(path: Path, links: Links) -> tuple[h5py.Dataset, Header, list[Piece]]:
    data, holder = _find_data(links.open_file(path), path, links)
    return data, _read_header(data, path), links.pieces(data, holder)


def _opened_plainly(path: Path) -> h5py.File:
    """Open one file, without locks: network file systems often have none."""
    try:
        return h5py.File(os.fsencode(path), "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(os.fsencode(path), "r")  # already open in this process, by blimpy say, with the default


def _find_data(file: h5py.File, path: Path, links: Links) -> tuple[h5py.Dataset, Path]:
    """Return dataset ``data`` and the file it lies in; without it or the class the file is something else."""
    of_class = attribute(file, "CLASS") in ("FILTERBANK", b"FILTERBANK")
    data, holder = links.find(file, path, "data")
    if data is None and of_class:
        raise refusal(Reason.NO_DATA, path, "a filterbank file without a dataset 'data'")
    if not isinstance(data, h5py.Dataset) or not (of_class or "fch1" in data.attrs):
        raise refusal(Reason.NOT_FILTERBANK, path, "HDF5, but not of class FILTERBANK with a dataset 'data'")
    return data, holder


def _read_header(data: h5py.Dataset, path: Path) -> Header:
    keywords = {name: value for name in (*REQUIRED, *OPTIONAL) if (value := attribute(data, name)) is not None}
    if data.ndim != 3:
        raise refusal(Reason.HEADER_INCONSISTENT, path, f"'data' has {data.ndim} axes, not 3")
    header = header_from_keywords(keywords, data.shape[0], path)
    if header.nbits not in NBITS or data.dtype.str[1:] not in SAMPLE_TYPES:
        raise refusal(Reason.UNSUPPORTED_NBITS, path, f"samples of {header.nbits} bits, stored as "
                      f"{data.dtype}; integers of 8 and 16 bits and floats of 32 and 64 are read")
    if (header.nifs, header.nchans) != data.shape[1:]:
        raise refusal(Reason.HEADER_INCONSISTENT, path, f"the header says {header.nchans} channels × "
                      f"{header.nifs} products, 'data' has {data.shape[2]} × {data.shape[1]}")
    if data.shape[0] == 0 or (not data.is_virtual and data.id.get_storage_size() == 0):
        raise refusal(Reason.NO_DATA, path, "a header without data")
    return replace(header, nbits=8 * data.dtype.itemsize)


def _open_error(error: Exception, path: Path) -> SourceError:
    """Translate what HDF5 says while it opens a file."""
    is_beyond = isinstance(error, OverflowError) or (isinstance(error, OSError) and error.errno == errno.EINVAL)
    said = "it leads beyond any file" if is_beyond else str(error)
    if isinstance(error, OSError) and error.errno and not is_beyond:
        return access_error(error, path)
    if "truncated file" in said or path.stat().st_size < SUPERBLOCK_BYTES:
        return refusal(Reason.TRUNCATED, path, f"its end is missing ({said}); try again when it is complete")
    if "already open for write" in said:
        return refusal(Reason.BUSY, path, "another process is writing it; try again later")
    return refusal(Reason.BAD_HEADER, path, f"HDF5 cannot open it ({said}); fetch the file again")

