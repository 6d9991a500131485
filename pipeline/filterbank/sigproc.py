"""The sigproc format (``.fil``): a header, then one spectrum after another. A byte may hold several samples."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.filterbank.access import refusal
from pipeline.filterbank.fetched import Buffer, limits_of
from pipeline.filterbank.header import header_from_keywords
from pipeline.filterbank.sigproc_header import (
    CHANNEL,
    MAX_HEADER_BYTES,
    MAX_TABLE_BYTES,
    ParsedHeader,
    parse_header,
)

SAMPLE_TYPES: dict[int, np.dtype[Any]] = {8: np.dtype("u1"), 16: np.dtype("<u2"), 32: np.dtype("<f4")}
"""Bits → type of samples that fill whole bytes."""
PACKED_BITS = (1, 2, 4)
"""Sizes, in bits, of samples that share a byte. The first sample of a byte is in the lowest bits."""
MAX_FIRST_BYTES = 1 << 16
"""Maximum number of bytes that are examined to find out whether 8-bit samples are signed."""
LOWEST, MIDDLE, HIGHEST = slice(1, 15), slice(112, 144), slice(241, 255)
"""Byte values whose frequencies tell whether samples are signed. 0 and 255 are left out: they also stand for dead
channels and saturated signals."""


class SigprocFile:
    """An open ``.fil``. It is not mapped into memory, so a file that becomes shorter raises an error and no SIGBUS."""

    chunk_shape = None

    def __init__(self, descriptor: int, path: Path, polarisation: int, accept_truncated: bool = False) -> None:
        self._descriptor = descriptor
        self._path = path
        self._polarisation = polarisation
        parsed = _read_header(descriptor, path)
        keywords, self._data_start = parsed.keywords, parsed.data_start
        self.header, self.remarks = header_from_keywords({"nifs": 1} | keywords, 0, path)
        self.remarks |= parsed.remarks
        self._require_readable()
        data_bytes = os.fstat(descriptor).st_size - self._data_start
        nsamples, self.shortfall = self._spectra(data_bytes, keywords.get("nsamples", 0))
        if self.shortfall and not accept_truncated:
            raise refusal(Reason.TRUNCATED, path, f"{self.shortfall}; try again when it is complete, copy "
                          "it again, or accept its whole spectra (--accept-truncated)")
        self.header = replace(self.header, nsamples=nsamples)
        self._packed = _PackedSamples(self.header.nbits) if self.header.nbits in PACKED_BITS else None
        self._sample = SAMPLE_TYPES.get(self.header.nbits, np.dtype("u1"))
        if self.header.nbits == 8 and keywords.get("signed", 0) and self._seems_signed(data_bytes):
            self._sample = np.dtype("i1")
        self.limits = limits_of(self._sample) if self._packed is None else (0.0, 2.0**self.header.nbits - 1)

    def _require_readable(self) -> None:
        header = self.header
        if header.nbits not in SAMPLE_TYPES and header.nbits not in PACKED_BITS:
            raise refusal(Reason.UNSUPPORTED_NBITS, self._path,
                          f"its samples have {header.nbits} bits, and 1, 2, 4, 8, 16 and 32 can be read; convert "
                          "them to 32-bit floats")
        if header.nbits * header.nifs * header.nchans % 8:
            raise refusal(Reason.UNSUPPORTED_NBITS, self._path,
                          f"one spectrum of {header.nchans} channels × {header.nifs} polarisations × {header.nbits} "
                          "bits is no whole number of bytes, so it is not known where the next one begins; convert "
                          "them to 8 bits")

    def _spectra(self, data_bytes: int, promised: int) -> tuple[int, str]:
        """Return the number of whole spectra in ``data_bytes``, and what is missing at the end.

        ``promised`` is the keyword ``nsamples``, 0 if unknown.
        """
        header, path = self.header, self._path
        spectrum_bytes = header.nifs * header.nchans * header.nbits // 8
        if data_bytes == 0:
            raise refusal(Reason.NO_DATA, path, f"ends with its header, at byte {self._data_start}; fetch the file "
                          "again")
        if data_bytes < spectrum_bytes:
            raise refusal(Reason.HEADER_INCONSISTENT, path,
                          f"one spectrum of {header.nchans} channels × {header.nifs} polarisations × "
                          f"{header.nbits} bits is more than all of its {data_bytes} bytes of data; correct the "
                          "header, or fetch the file again")
        nsamples, rest = divmod(data_bytes, spectrum_bytes)
        if rest:
            return nsamples, f"ends within spectrum {nsamples}, {spectrum_bytes - rest} bytes short"
        if nsamples < promised:
            return nsamples, f"holds {nsamples} of the {promised} spectra its header promises"
        return nsamples, ""

    def _seems_signed(self, data_bytes: int) -> bool:
        """Find out from the first samples whether bytes are signed.

        The keyword ``signed`` has two meanings: 1 means unsigned where sigproc and digifil write it, and signed where
        PRESTO reads it. Noise has one peak. If bytes are signed, the values just below 0 are about as frequent as
        those just above 0. If they are read as unsigned, these values lie at both ends of the range, and few values
        lie in the middle.
        """
        first = np.empty(min(MAX_FIRST_BYTES, data_bytes), np.uint8)
        self._fill(first, self._data_start)
        counts = np.bincount(first, minlength=256)
        low, middle, high = (int(counts[some].sum()) for some in (LOWEST, MIDDLE, HIGHEST))
        return low < 4 * high and high < 4 * low and low + high > middle

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Read float32 (spectra, channels), channels counted as in the file, into C-contiguous ``memory``."""
        header = self.header
        direct = self._sample == memory.dtype
        stored = np.empty(0 if direct else memory.shape[1], self._sample)
        for row, spectrum in zip(memory, range(spectrum_start, spectrum_stop), strict=True):
            sample = (spectrum * header.nifs + self._polarisation) * header.nchans + channel_start
            if self._packed is not None:
                first, count = self._packed.bytes_of(sample, len(row))
                self._fill(stored[:count], self._data_start + first)
                self._packed.unpack(stored[:count], sample, row)
                continue
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


class _PackedSamples:
    """Unsigned samples of 1, 2 or 4 bits, unpacked by a table of the samples in each possible byte."""

    def __init__(self, nbits: int) -> None:
        self._per_byte = 8 // nbits
        shifts = nbits * np.arange(self._per_byte)
        self._table = ((np.arange(256)[:, None] >> shifts) & ((1 << nbits) - 1)).astype(np.float32)

    def bytes_of(self, sample: int, count: int) -> tuple[int, int]:
        """Return the first byte, and the number of bytes, that hold ``count`` samples from number ``sample`` on."""
        first = sample // self._per_byte
        return first, -(-(sample + count) // self._per_byte) - first

    def unpack(self, stored: NDArray[np.uint8], sample: int, out: NDArray[np.float32]) -> None:
        """Unpack ``len(out)`` samples from number ``sample`` on. ``stored`` holds exactly the bytes with them."""
        skipped = sample % self._per_byte
        if skipped == 0 and len(out) == self._per_byte * len(stored):
            self._table.take(stored, axis=0, out=out.reshape(len(stored), self._per_byte), mode="clip")
        else:
            out[:] = self._table[stored].reshape(-1)[skipped : skipped + len(out)]


def _read_header(descriptor: int, path: Path) -> ParsedHeader:
    head = os.pread(descriptor, MAX_HEADER_BYTES, 0)
    if len(head) == MAX_HEADER_BYTES and CHANNEL.encode() in head:
        head = os.pread(descriptor, MAX_TABLE_BYTES, 0)
    return parse_header(head, path)
