"""Calls of the HDF5 library for unchecked files. They run only in a process that may crash.

There are three tasks: collect all facts that are needed to read a file (:func:`describe`), read samples that only the
library can decode (:func:`decode`), and try what blimpy will do (:func:`rehearse`).
"""

from __future__ import annotations

import errno
import mmap
import os
import re
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason, SourceError
from pipeline.filterbank.access import access_error, refusal
from pipeline.filterbank.attributes import MAX_LABEL_VALUES, attribute
from pipeline.filterbank.facts import COLUMNS, MAX_SAMPLES, Box, Dataset, Facts, identity_of
from pipeline.filterbank.fetched import Corner
from pipeline.filterbank.header import LABELS, REQUIRED, Remarks, header_from_keywords
from pipeline.filterbank.heaps import guarded
from pipeline.filterbank.links import Links
from pipeline.model import Header

SUPERBLOCK_BYTES = 96
REAL_KINDS = "iufb"
"""numpy's letters for the kinds of real numbers: integers, floats, and 0 or 1."""
NBITS = (8, 16, 32, 64)
"""Values of the keyword ``nbits`` that are accepted. The type of the dataset decides, not this keyword."""
FULL_BITFIELDS = tuple(getattr(h5py.h5t, f"STD_B{bits}{order}") for bits in NBITS for order in ("LE", "BE"))
CONVERTED_BY_HDF5 = frozenset({h5py.h5t.INTEGER, h5py.h5t.FLOAT})
"""Classes of types that HDF5 converts to float32. The others are converted by numpy."""
REHEARSED_BYTES = 1 << 26
"""Size of the samples that a rehearsal reads at once."""

Errors = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""Errors that h5py raises for a damaged file."""


def describe(path: Path, root: Path, memory: int) -> None:
    """Collect the facts that are needed to read a file. Write them into ``memory`` in the form of :meth:`Facts.packed`.

    Parameters
    ----------
    path : Path
        The file.
    root : Path
        Folder that links must not leave.
    memory : int
        Descriptor to write to.

    Raises
    ------
    SourceError
        The file cannot be used.
    """
    try:
        _opened_plainly(path).close()  # an error here says whether the file is still being written
        with ExitStack() as files:
            facts = _facts(path, Links(root, files, guarded))
        os.pwrite(memory, facts.packed(), 0)
    except Errors as error:
        raise open_error(error, path) from error


def decode(path: Path, name: str, identity: tuple[int, ...], start: Corner, stop: Corner, memory: int) -> None:
    """Write the samples between two corners of a dataset into ``memory``, as float32.

    Raises
    ------
    SourceError
        CORRUPT_CHUNK if they cannot be decoded, BUSY if the file has changed since it was described.
    """
    import hdf5plugin  # noqa: F401 - registers bitshuffle with HDF5

    if identity_of(os.stat(path)) != identity:
        raise refusal(Reason.BUSY, path, "changed while it was read; try again when it is complete")
    shape = tuple(b - a for a, b in zip(start, stop, strict=True))
    samples = np.frombuffer(_mapped(memory, 4 * int(np.prod(shape))), np.float32).reshape(shape)
    try:
        with _opened_plainly(path) as file:
            _read_samples(file[name], tuple(slice(a, b) for a, b in zip(start, stop, strict=True)), samples)
    except Errors as error:
        raise refusal(Reason.CORRUPT_CHUNK, path, f"spectra {start[0]}–{stop[0]}, channels {start[2]}–{stop[2]} cannot "
                      f"be decoded ({error}); fetch the file again") from error


def rehearse(path: Path, first: int, end: int) -> None:
    """Read what blimpy will read: every attribute, and all samples of a range of channels.

    Raises
    ------
    SourceError
        HDF5 cannot read it.
    """
    import hdf5plugin  # noqa: F401 - registers bitshuffle with HDF5

    try:
        with _opened_plainly(path) as file:
            data = file["data"]
            for of in (file, data):
                for name in of.attrs:
                    of.attrs[name]
            rows = max(1, REHEARSED_BYTES // (data.dtype.itemsize * data.shape[1] * max(1, end - first)))
            for spectrum in range(0, data.shape[0] if first < end else 0, rows):
                data[spectrum : spectrum + rows, :, first:end]
    except Errors as error:
        raise open_error(error, path) from error


def _read_samples(dataset: h5py.Dataset, box: tuple[slice, ...], samples: NDArray[np.float32]) -> None:
    """Read a box of samples into float32. HDF5 converts float16 slowly, and bitfields and enumerations not at all."""
    if dataset.id.get_type().get_class() in CONVERTED_BY_HDF5 and dataset.dtype != np.float16:
        dataset.read_direct(samples, box)
        return
    with np.errstate(over="ignore", invalid="ignore"):
        samples[...] = dataset[box]


def _mapped(memory: int, count: int) -> mmap.mmap:
    os.ftruncate(memory, count)
    return mmap.mmap(memory, count)


def _opened_plainly(path: Path) -> h5py.File:
    """Open one file without locks, because network file systems often have none."""
    return h5py.File(os.fsencode(path), "r", locking=False)


def _facts(path: Path, links: Links) -> Facts:
    data, holder = _find_data(links.open_file(path), path, links)
    header, remarks = _read_header(data, path)
    datasets: dict[tuple[Path, str], Dataset] = {}
    boxes, numbers = [], {}
    for piece in links.pieces(data, holder):
        key = piece.path, piece.dataset.name
        if key not in datasets:
            numbers[key] = len(datasets)
            datasets[key] = _dataset_facts(piece.dataset, piece.path)
        boxes.append(Box(numbers[key], piece.start, piece.stop, piece.source_start))
    files = {str(one): identity_of(os.stat(one)) for one in links.paths}
    return Facts(header, remarks, data.chunks, boxes, list(datasets.values()), files)


def _find_data(file: h5py.File, path: Path, links: Links) -> tuple[h5py.Dataset, Path]:
    """Return the dataset ``data`` and the file that holds it. Raise an error if this is no filterbank file."""
    of_class = attribute(file, "CLASS") in ("FILTERBANK", b"FILTERBANK")
    data, holder = links.find(file, path, "data")
    if data is None and of_class:
        raise refusal(Reason.NO_DATA, path, "a filterbank file without a dataset 'data'; fetch the file again")
    if not isinstance(data, h5py.Dataset) or not (of_class or "fch1" in data.attrs):
        raise refusal(Reason.NOT_FILTERBANK, path, "an HDF5 file, but not of class FILTERBANK with a dataset 'data'")
    return data, holder


def _read_header(data: h5py.Dataset, path: Path) -> tuple[Header, Remarks]:
    """Return the header and remarks on it. Shape and type of the dataset supply what the keywords do not."""
    if data.ndim != 3:
        raise refusal(Reason.HEADER_INCONSISTENT, path, f"'data' has the shape {data.shape}, and not three axes "
                      "(spectra, polarisations, channels); write it with three")
    nsamples, nifs, nchans = data.shape
    nbits = _bits_of(data, path)
    keywords, unreadable = _read_keywords(data, path)
    header, remarks = header_from_keywords({"nbits": nbits, "nifs": nifs, "nchans": nchans} | keywords, nsamples, path)
    if header.nbits not in (*NBITS, nbits):
        raise refusal(Reason.UNSUPPORTED_NBITS, path, f"the header says that samples have {header.nbits} bits, but "
                      f"they are stored as {data.dtype}; write them unpacked, and correct nbits")
    if (header.nifs, header.nchans) != (nifs, nchans):
        raise refusal(Reason.HEADER_INCONSISTENT, path, f"the header says {header.nchans} channels × "
                      f"{header.nifs} polarisations, 'data' has {nchans} × {nifs}; correct nchans or nifs")
    if nsamples == 0 or (not data.is_virtual and data.id.get_storage_size() == 0):
        raise refusal(Reason.NO_DATA, path, f"'data' has the shape {data.shape}, and no sample is stored; fetch the "
                      "file again")
    return replace(header, nbits=nbits), remarks | unreadable


def _read_keywords(data: h5py.Dataset, path: Path) -> tuple[dict[str, Any], Remarks]:
    """Return the known attributes of a dataset, and remarks on labels that cannot be read."""
    keywords: dict[str, Any] = {}
    remarks = {}
    for name in (*REQUIRED, *LABELS):
        try:
            keywords[name] = attribute(data, name, MAX_LABEL_VALUES if name in LABELS else 1)
        except TypeError as error:
            if name in REQUIRED:
                raise refusal(Reason.BAD_HEADER, path, f"the keyword {error}, and must be one number; correct the "
                              "header") from None
            remarks[name] = f"the keyword {name} is left out, because {error}"
    return {name: value for name, value in keywords.items() if value is not None}, remarks


def _bits_of(data: h5py.Dataset, path: Path) -> int:
    """Return the bits of a sample. Raise UNSUPPORTED_NBITS if samples are not real numbers."""
    try:
        dtype = data.dtype
    except TypeError as error:
        raise refusal(Reason.UNSUPPORTED_NBITS, path, f"numpy has no type for its samples ({error}); convert them to "
                      "32-bit floats") from error
    if dtype.kind == "c":
        raise refusal(Reason.UNSUPPORTED_NBITS, path, f"samples are complex ({dtype}): they are voltages, and power is "
                      "searched; make a filterbank file of their squares, such as rawspec does")
    if dtype.kind not in REAL_KINDS:
        raise refusal(Reason.UNSUPPORTED_NBITS, path, f"samples are {dtype}, and not numbers; convert them to 32-bit "
                      "floats")
    return 8 * int(data.id.get_type().get_size())


def _dataset_facts(dataset: h5py.Dataset, path: Path) -> Dataset:
    """Return the facts about a dataset that stores samples."""
    _bits_of(dataset, path)
    stored = dataset.id.get_type()
    dtype = f"|V{stored.get_size()}" if _is_foreign(stored, dataset.dtype) else dataset.dtype.str
    if np.prod(dataset.shape, dtype=object) > MAX_SAMPLES:
        raise refusal(Reason.BAD_HEADER, path, f"{dataset.shape} samples fit on no disk; fetch the file again")
    creation = dataset.id.get_create_plist()
    known = [creation.get_filter(i) for i in range(creation.get_nfilters())]
    filters = tuple((int(number), tuple(map(int, values))) for number, _, values, _ in known)
    facts = Dataset(str(path), dataset.name, dataset.shape, dtype, dataset.chunks, filters)
    if dataset.chunks:
        return replace(facts, table=_table(dataset, facts.grid))
    if creation.get_layout() == h5py.h5d.COMPACT:
        return replace(facts, content=dataset[...].tobytes())
    return replace(facts, offset=dataset.id.get_offset())


def _is_foreign(stored: h5py.h5t.TypeID, dtype: np.dtype[Any]) -> bool:
    """Return True if the bytes of a stored number are not those of numpy's type, as in integers of 12 bits.

    A bitfield that fills its bytes is an unsigned integer. rawspec writes samples of 8 and 16 bits as bitfields.
    """
    if stored.get_class() == h5py.h5t.BITFIELD:
        return not any(stored.equal(full) for full in FULL_BITFIELDS)
    return not stored.equal(h5py.h5t.py_create(dtype))


def _table(dataset: h5py.Dataset, grid: Corner) -> Any:
    rows = array("q")
    dataset.id.chunk_iter(_row_adder(rows, dataset.chunks, grid))
    table = np.frombuffer(rows, np.int64).reshape(-1, COLUMNS)
    return table[np.unique(table[:, 0], return_index=True)[1]]


def _row_adder(rows: array[int], chunk: Corner, grid: Corner) -> Callable[[Any], None]:
    """Return a callback that adds a row for each chunk that HDF5 reports. It takes a microsecond per chunk."""
    extend = rows.extend
    (spectra, products, channels), (n_spectra, n_products, n_channels) = chunk, grid

    def add(info: Any) -> None:
        corner, mask, start, size = info
        i, j, k = corner[0] // spectra, corner[1] // products, corner[2] // channels
        if i < n_spectra and j < n_products and k < n_channels:  # else the chunk lies outside the data
            extend(((i * n_products + j) * n_channels + k, start, size, mask))

    return add


def open_error(error: Exception, path: Path) -> SourceError:
    """Translate an error of HDF5 in opening a file."""
    is_beyond = isinstance(error, OverflowError) or (isinstance(error, OSError) and error.errno == errno.EINVAL)
    said = "it contains an address that is too large for any file" if is_beyond else str(error)
    if isinstance(error, MemoryError):
        said = "it needs more memory than any undamaged file"
    if isinstance(error, OSError) and error.errno and not is_beyond:
        return access_error(error, path)
    size = path.stat().st_size
    if "truncated file" in said or size < SUPERBLOCK_BYTES:
        promised = re.search(r"stored_eof = (\d+)", said)
        there = f"holds {size:,} of {int(promised[1]):,} bytes" if promised else f"ends after {size:,} bytes"
        return refusal(Reason.TRUNCATED, path, f"{there}, and HDF5 opens no file whose end is missing, not even with "
                       "--accept-truncated; wait until it is complete, or copy it again")
    if "already open for write" in said:
        return refusal(Reason.BUSY, path, "another process is writing it; try again later")
    return refusal(Reason.BAD_HEADER, path, f"HDF5 cannot open it ({said}); fetch the file again")
