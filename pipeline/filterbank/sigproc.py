"""The sigproc format (``.fil``): a header of keywords with their lengths, then one spectrum after another."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.filterbank.access import refusal
from pipeline.filterbank.fetched import Buffer, limits_of
from pipeline.filterbank.header import header_from_keywords
from pipeline.model import Header

INTEGERS = frozenset({"telescope_id", "machine_id", "data_type", "barycentric", "pulsarcentric", "nbits",
                      "nsamples", "nchans", "nifs", "nbeams", "ibeam"})
REALS = frozenset({"az_start", "za_start", "tstart", "tsamp", "fch1", "foff", "refdm", "period"})
ANGLES = frozenset({"src_raj", "src_dej"})
"""Stored as the digits of hhmmss.s and ddmmss.s."""
TEXTS = frozenset({"rawdatafile", "source_name"})

SAMPLE_TYPES: dict[int, np.dtype[Any]] = {8: np.dtype("u1"), 16: np.dtype("<u2"), 32: np.dtype("<f4")}
MAX_KEYWORD_BYTES = 80
MAX_HEADER_BYTES = 1 << 20
MAGIC = b"\x0c\x00\x00\x00HEADER_START"


class SigprocFile:
    """An open ``.fil``. It is read, not mapped: a file that becomes shorter raises an error, and no SIGBUS."""

    chunk_shape = None

    def __init__(self, descriptor: int, path: Path, polarisation: int, accept_truncated: bool = False) -> None:
        self._descriptor = descriptor
        self._path = path
        self._polarisation = polarisation
        keywords, self._data_start = parse_header(os.pread(descriptor, MAX_HEADER_BYTES, 0), path)
        self.header = header_from_keywords(keywords, 0, path)
        if self.header.nbits not in SAMPLE_TYPES:
            raise refusal(Reason.UNSUPPORTED_NBITS, path,
                          f"samples of {self.header.nbits} bits; 8, 16 and 32 are read")
        self._sample = SAMPLE_TYPES[self.header.nbits]
        self.limits = limits_of(self._sample)
        data_bytes = os.fstat(descriptor).st_size - self._data_start
        nsamples, self.shortfall = self._spectra(data_bytes, keywords.get("nsamples", 0))
        if self.shortfall and not accept_truncated:
            raise refusal(Reason.TRUNCATED, path, f"{self.shortfall}; try again when it is complete")
        self.header = replace(self.header, nsamples=nsamples)

    def _spectra(self, data_bytes: int, promised: int) -> tuple[int, str]:
        """Return the number of whole spectra in ``data_bytes``, and what is missing at the end.

        ``promised`` is the keyword ``nsamples``, 0 if unknown.
        """
        header, path = self.header, self._path
        spectrum_bytes = header.nifs * header.nchans * self._sample.itemsize
        if data_bytes == 0:
            raise refusal(Reason.NO_DATA, path, "a header without data")
        if data_bytes < spectrum_bytes:
            raise refusal(Reason.HEADER_INCONSISTENT, path,
                          f"one spectrum of {header.nchans} channels × {header.nifs} polarisations × "
                          f"{header.nbits} bits is more than all of its {data_bytes} bytes of data")
        nsamples, rest = divmod(data_bytes, spectrum_bytes)
        if rest:
            return nsamples, f"ends within spectrum {nsamples}, {spectrum_bytes - rest} bytes short"
        if nsamples < promised:
            return nsamples, f"holds {nsamples} of the {promised} spectra its header promises"
        return nsamples, ""

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Read float32 (spectra, channels), channels counted as in the file, into C-contiguous ``memory``."""
        header = self.header
        direct = self._sample == memory.dtype
        stored = np.empty(0 if direct else memory.shape[1], self._sample)
        for row, spectrum in zip(memory, range(spectrum_start, spectrum_stop), strict=True):
            sample = (spectrum * header.nifs + self._polarisation) * header.nchans + channel_start
            self._fill(row if direct else stored, self._data_start + sample * self._sample.itemsize)
            if not direct:
                row[:] = stored

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Buffer) -> None:
        """Return None: nothing is to be decoded, because samples are stored as they are."""

    def _fill(self, target: NDArray[Any], offset: int) -> None:
        view = memoryview(target.view(np.uint8).data)
        while view:
            count = os.preadv(self._descriptor, [view], offset)
            if count == 0:
                raise refusal(Reason.TRUNCATED, self._path, f"ends at byte {offset}, shorter than when it "
                              "was opened; try again when it is complete")
            view, offset = view[count:], offset + count

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def parse_header(head: bytes, path: Path) -> tuple[dict[str, Any], int]:
    """Parse the keywords at the beginning of a file.

    Returns
    -------
    dict, int
        The keywords (angles in hours and degrees), and the first byte of the data.

    Raises
    ------
    SourceError
        NOT_FILTERBANK if no header begins here. BAD_HEADER names an unknown keyword, or where the header is cut off.
    """
    if not head.startswith(MAGIC):
        if MAGIC.startswith(head):
            raise refusal(Reason.BAD_HEADER, path, "cut off within HEADER_START")
        raise refusal(Reason.NOT_FILTERBANK, path, "begins neither as HDF5 nor with HEADER_START")
    keywords: dict[str, Any] = {}
    last, at = "HEADER_START", len(MAGIC)
    try:
        while True:
            keyword, at = _take_text(head, at, MAX_KEYWORD_BYTES)
            if keyword == "HEADER_END":
                return keywords, at
            if keyword in TEXTS:
                keywords[keyword], at = _take_text(head, at, len(head))
            elif keyword in INTEGERS:
                (keywords[keyword],) = struct.unpack_from("<i", head, at)
                at += 4
            elif keyword in REALS | ANGLES:
                (value,) = struct.unpack_from("<d", head, at)
                keywords[keyword] = unpack_angle(value) if keyword in ANGLES else value
                at += 8
            else:
                raise refusal(Reason.BAD_HEADER, path, f"unknown keyword {keyword!r} after {last}: how long "
                              "its value is cannot be known")
            last = keyword
    except struct.error:
        raise refusal(Reason.BAD_HEADER, path, f"the header is cut off or damaged after {last}") from None


def build_header(header: Header) -> bytes:
    """Return the bytes of a header, the inverse of :func:`parse_header`."""
    parts = [MAGIC]
    for keyword, value in keywords_of(header).items():
        parts.append(_pack_text(keyword))
        if isinstance(value, str):
            parts.append(_pack_text(value))
        elif keyword in INTEGERS:
            parts.append(struct.pack("<i", value))
        else:
            parts.append(struct.pack("<d", pack_angle(value) if keyword in ANGLES else value))
    parts.append(_pack_text("HEADER_END"))
    return b"".join(parts)


def keywords_of(header: Header) -> dict[str, int | float | str]:
    """Return the values of a header under the names of sigproc and HDF5 files. Angles are in hours and degrees."""
    return {
        "machine_id": header.machine_id,
        "telescope_id": header.telescope_id,
        "src_raj": header.ra_hours,
        "src_dej": header.dec_deg,
        "az_start": 0.0,
        "za_start": 0.0,
        "data_type": 1,
        "fch1": header.fch1_mhz,
        "foff": header.foff_mhz,
        "nchans": header.nchans,
        "nbits": header.nbits,
        "nsamples": header.nsamples,
        "tstart": header.tstart_mjd,
        "tsamp": header.tsamp_s,
        "nifs": header.nifs,
        "source_name": header.source_name,
        "rawdatafile": header.rawdatafile,
    }


def unpack_angle(packed: float) -> float:
    """Convert the digits ddmmss.s (hhmmss.s) to degrees (hours)."""
    whole, seconds = divmod(abs(packed), 100.0)
    degrees, minutes = divmod(whole, 100.0)
    return float(np.copysign(degrees + minutes / 60 + seconds / 3600, packed))


def pack_angle(angle: float) -> float:
    """Convert degrees (hours) to the digits ddmmss.s (hhmmss.s), rounded to a ten-millionth of a second."""
    minutes, seconds = divmod(round(abs(angle) * 3600, 7), 60.0)
    degrees, minutes = divmod(minutes, 60.0)
    return float(np.copysign(degrees * 10_000 + minutes * 100 + seconds, angle))


def _pack_text(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack("<i", len(encoded)) + encoded


def _take_text(head: bytes, at: int, longest: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", head, at)
    at += 4
    if length > longest or at + length > len(head):
        raise struct.error("text runs past the end")
    return head[at:at + length].decode("utf-8", "backslashreplace"), at + length
