"""The HDF5 format: a dataset ``data`` (spectra, polarisations, channels), with the header as its attributes.

The HDF5 library parses a file only in another process, which may crash (:mod:`pipeline.filterbank.parser_process`).
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.filterbank import parser_client
from pipeline.filterbank.access import open_regular, refusal
from pipeline.filterbank.chunks import Chunks
from pipeline.filterbank.facts import Box, Facts, identity_of
from pipeline.filterbank.fetched import Buffer, UndecodedChunks, limits_of
from pipeline.support.text import shown

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIGNATURE_OFFSETS = (0, *(512 << i for i in range(12)))
"""Possible positions of the signature: the start of the file, or a power of two behind a user block."""


def is_hdf5(descriptor: int) -> bool:
    """Return True if an open file has the signature of HDF5."""
    return any(os.pread(descriptor, len(SIGNATURE), offset) == SIGNATURE for offset in SIGNATURE_OFFSETS)


@dataclass(frozen=True, slots=True)
class _Piece:
    box: Box
    chunks: Chunks


class Hdf5File:
    """An open HDF5 filterbank file."""

    def __init__(self, path: Path, root: Path, polarisation: int, accept_truncated: bool = False) -> None:
        self._polarisation = polarisation
        facts = parser_client.describe(path, Path(os.path.realpath(root)))
        self.header, self.remarks = facts.header, facts.remarks
        self.chunk_shape = (facts.chunks[0], facts.chunks[2]) if facts.chunks else None
        with ExitStack() as files:
            descriptors = {name: _descriptor(Path(name), facts, path, files) for name in facts.files}
            is_alone = len(facts.boxes) == 1
            stored = [Chunks(dataset, descriptors[dataset.path], is_alone) for dataset in facts.datasets]
            self._files = files.pop_all()
        self._pieces = [_Piece(box, stored[box.number]) for box in facts.boxes]
        limits = {limits_of(np.dtype(dataset.dtype)) for dataset in facts.datasets}
        self.limits = limits.pop() if len(limits) == 1 else (-np.inf, np.inf)
        self.shortfall = ""
        if accept_truncated and len(self._pieces) == 1:
            self._end_at(self._pieces[0].chunks.count_whole_spectra())

    def _end_at(self, whole: int) -> None:
        """Leave out the spectra after the first ``whole`` ones, whose samples were never written or are cut off.

        If no spectrum is whole, nothing is left out: reading then says what is missing.
        """
        promised = self.header.nsamples
        if 0 < whole < promised:
            self.shortfall = f"holds {whole} whole spectra of {promised}"
            self.header = replace(self.header, nsamples=whole)

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Read float32 (spectra, channels), channels counted as in the file, into C-contiguous ``memory``.

        Samples of a virtual dataset that no part supplies become NaN, so they are masked later.
        """
        first = (spectrum_start, self._polarisation, channel_start)
        end = (spectrum_stop, self._polarisation + 1, channel_stop)
        if len(self._pieces) > 1:
            memory.fill(np.nan)
        for piece in self._pieces:
            box = piece.box
            start, stop = np.maximum(first, box.start), np.minimum(end, box.stop)
            if np.any(start >= stop):
                continue
            shift = np.subtract(box.source_start, box.start)
            row, _, column = (start - first).tolist()
            piece.chunks.read(tuple((start + shift).tolist()), tuple((stop + shift).tolist()), memory, row, column)

    def fetch(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
              room: Buffer) -> UndecodedChunks | None:
        """Read the stored bytes of a range, channels counted as in the file; None if :meth:`read` is needed."""
        if len(self._pieces) > 1 or self._pieces[0].box.start != self._pieces[0].box.source_start:
            return None
        start = (spectrum_start, self._polarisation, channel_start)
        fetched = self._pieces[0].chunks.fetch(start, (spectrum_stop, self._polarisation + 1, channel_stop), room)
        return fetched and replace(fetched, product=self._polarisation)

    def close(self) -> None:
        """Close the file and the files that it refers to."""
        self._files.close()


def _descriptor(name: Path, facts: Facts, path: Path, files: ExitStack) -> int:
    """Open one of the parsed files. Raise BUSY if it has changed since."""
    descriptor = open_regular(name)
    files.callback(os.close, descriptor)
    if identity_of(os.fstat(descriptor)) != facts.files[str(name)]:
        where = "" if name == path else f" (in {shown(name)}, which it refers to)"
        raise refusal(Reason.BUSY, path, f"changed while it was opened{where}; try again when it is complete")
    return descriptor
