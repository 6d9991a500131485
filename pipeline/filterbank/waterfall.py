"""Load a file as blimpy's ``Waterfall``. Where blimpy would end the process or load other data, an error is raised.

Files that this package reads and blimpy does not are loaded here: samples of 1, 2 or 4 bits, keywords that blimpy does
not know, and missing attributes, such as the class, or a keyword that follows from the dataset.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import QueryError, Reason
from pipeline.filterbank import parser_client
from pipeline.filterbank.access import open_regular, refusal
from pipeline.filterbank.hdf5 import is_hdf5
from pipeline.filterbank.reader import open_filterbank
from pipeline.filterbank.sigproc import PACKED_BITS
from pipeline.filterbank.sigproc_header import keywords_of
from pipeline.model import Header
from pipeline.support.text import shown

TOLERANCE = 1e-3
"""Channels by which a range may exceed the band, because frequencies are often given rounded."""

BLIMPY_ERRORS = (KeyError, ValueError, TypeError, IndexError, RuntimeError, OSError, struct.error)
"""Errors of blimpy for a file that it cannot read."""
MIN_SPECTRA = 3
"""blimpy ends the process for a file with fewer spectra."""
REHEARSAL_BYTES = 1 << 30
"""Memory in bytes of the process that tries whether HDF5 can decode a file. Several chunks fit into it."""


def read_waterfall(path: str | Path, f_start_mhz: float | None = None,
                   f_stop_mhz: float | None = None) -> Any:
    """Load a file, or the channels between two frequencies, as a ``blimpy.Waterfall``.

    Parameters
    ----------
    path : path
        The file.
    f_start_mhz, f_stop_mhz : float, optional
        Edges of channels, as in :class:`~pipeline.model.Window`, rounded to whole channels. Default: the whole band.

    Returns
    -------
    blimpy.Waterfall
        Its data have three axes (spectra, polarisations, channels), in the order and type of the file. If blimpy
        cannot read the file, the type is float32, and the header is that of the range.

    Raises
    ------
    SourceError
        The file cannot be used. (blimpy would end the process.)
    QueryError
        The range lies outside the band, or does not fit into memory. (blimpy would load everything or nothing.)
    """
    with open_filterbank(path) as filterbank:
        header = filterbank.header
    f_start, f_stop = _blimpy_range(header, f_start_mhz, f_stop_mhz, path)
    _rehearse(Path(path), header, f_start, f_stop)
    if header.nbits in PACKED_BITS:
        return _loaded_here(Path(path), header, f_start, f_stop)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            waterfall = _blimpy_class()(os.fspath(path), f_start=f_start, f_stop=f_stop)
    except SystemExit as exit_:
        if header.nsamples < MIN_SPECTRA:
            told = " ".join(said.getvalue().split())
            raise refusal(Reason.TOO_FEW_SAMPLES, path, f"its {header.nsamples} spectra are too few for blimpy "
                          f"({told}); load a file of {MIN_SPECTRA} or more") from exit_
        return _loaded_here(Path(path), header, f_start, f_stop)
    except BLIMPY_ERRORS:
        return _loaded_here(Path(path), header, f_start, f_stop)
    if waterfall.data.ndim != 3:
        raise _too_large(path)
    return waterfall


def _loaded_here(path: Path, header: Header, f_start_mhz: float, f_stop_mhz: float) -> Any:
    """Load a range with the reader of this package."""
    first, end = _channels_in_file(header, f_start_mhz, f_stop_mhz)
    if 4 * header.nsamples * header.nifs * (end - first) > _memory_bytes():
        raise _too_large(path)
    start, stop = (first, end) if header.foff_mhz > 0 else (header.nchans - end, header.nchans - first)
    products = []
    for product in range(header.nifs):
        with open_filterbank(path, polarisation=product) as filterbank:
            power = filterbank.read(0, header.nsamples, start, stop)
            products.append(power if header.foff_mhz > 0 else power[:, ::-1])
    data = np.stack(products, axis=1)
    # the constructor accepts one polarisation, so all of them are set afterwards
    waterfall = _blimpy_class()(header_dict=_blimpy_header(header, first, end), data_array=data[:, :1])
    waterfall.data = data
    waterfall.selection_shape = waterfall.container.selection_shape = data.shape
    return waterfall


def _blimpy_header(header: Header, first: int, end: int) -> dict[str, Any]:
    """Return blimpy's header for a range of channels, which are counted as in the file."""
    from blimpy.io.sigproc import Angle, u

    known: dict[str, Any] = keywords_of(header)
    return known | {
        "fch1": header.fch1_mhz + first * header.foff_mhz, "nchans": end - first, "nbits": 32,
        "src_raj": Angle(header.ra_hours, unit=u.hour), "src_dej": Angle(header.dec_deg, unit=u.deg),
    }


def _too_large(path: str | Path) -> QueryError:
    return QueryError(f"{shown(path)}: the range does not fit into memory; ask for a narrower one")


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _channels_in_file(header: Header, f_start_mhz: float, f_stop_mhz: float) -> tuple[int, int]:
    """Return the first channel of blimpy's range and the one behind it, counted as in the file."""
    first, end = sorted(round((edge - header.fch1_mhz) / header.foff_mhz) for edge in (f_start_mhz, f_stop_mhz))
    return first, end


def _blimpy_range(header: Header, f_start_mhz: float | None, f_stop_mhz: float | None, path: str | Path
                  ) -> tuple[float, float]:
    """Return the range as blimpy expects it, exactly on blimpy's grid, so that its rounding changes nothing.

    In blimpy, channel i of the file spans fch1 + i·foff to fch1 + (i + 1)·foff, which is half a channel off.
    """
    first = 0.0 if f_start_mhz is None else header.channel_at(f_start_mhz)
    end = float(header.nchans) if f_stop_mhz is None else header.channel_at(f_stop_mhz)
    if not (first >= -TOLERANCE and end <= header.nchans + TOLERANCE and round(first) < round(end)):
        raise QueryError(f"{shown(path)}: {f_start_mhz}–{f_stop_mhz} MHz is not a part, one channel wide or "
                         f"more, of its band {header.f_min_mhz:.6f}–{header.f_max_mhz:.6f} MHz")
    edges = (round(first), round(end))
    if header.foff_mhz < 0:
        edges = (header.nchans - edges[0], header.nchans - edges[1])
    return header.fch1_mhz + edges[0] * header.foff_mhz, header.fch1_mhz + edges[1] * header.foff_mhz


def _rehearse(path: Path, header: Header, f_start_mhz: float, f_stop_mhz: float) -> None:
    """Let HDF5 read the range in a process that may crash. Afterwards blimpy reads it by HDF5 in this process."""
    descriptor = open_regular(path)
    try:
        if not is_hdf5(descriptor):
            return
    finally:
        os.close(descriptor)
    first, end = _channels_in_file(header, f_start_mhz, f_stop_mhz)
    decoded_bytes = header.nsamples * header.nifs * (end - first) * header.nbits // 8
    if decoded_bytes > _memory_bytes():
        first = end  # blimpy loads nothing of a range that exceeds memory
    os.close(parser_client.ask(path, "rehearse", REHEARSAL_BYTES, first=first, end=end))


def _blimpy_class() -> Any:
    """Import blimpy. Suppress its warnings and undo its changes of the root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from blimpy import Waterfall
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return Waterfall
