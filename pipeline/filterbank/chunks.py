"""Stored chunks of an HDF5 dataset.

The usual kind is decoded here. HDF5 decodes the others, in a process that may crash.

HDF5's decoder of bitshuffle trusts the lengths in a chunk (drawn in :mod:`pipeline.filterbank.bitshuffle`), so they are
checked first. A flipped bit *within* a compressed block often decodes silently, because the format has no checksum.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import parser_client
from pipeline.filterbank.access import refusal
from pipeline.filterbank.facts import Dataset, identity_of
from pipeline.filterbank.fetched import Buffer, Corner, UndecodedChunks, place_parts

BITSHUFFLE = 32008
FLETCHER32 = 3
HEAD_BYTES = 12
GROUP = 8
"""Number of elements that bitshuffle processes together."""
LZ4, ZSTANDARD = 2, 3
"""bitshuffle's numbers of the compressions that store their blocks in the same layout."""
MAX_DECODED_BYTES = 1 << 30
"""Largest chunk that HDF5 may decode. It needs the memory of several chunks."""

Form = Literal["usual", "frames", "whole", "plain", "other"]
"""How chunks are stored: ``usual``, float32 by bitshuffle and LZ4; ``frames``, other samples or another compression by
bitshuffle; ``whole``, bitshuffle without compression; ``plain``, no filters; ``other``, other filters."""

ReadAt = Callable[[int, int], bytes]
"""Reads a number of bytes at a position; fewer at the end of the file."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """The bytes that encode one chunk."""

    read_at: ReadAt
    start: int
    """Position of the first byte."""
    size: int
    is_unfiltered: bool = False
    """True if some filters of the dataset were not applied to this chunk."""
    is_plain: bool = False
    """True if no filters were applied to this chunk."""


def frame_fault(chunk: StoredChunk, itemsize: int, decoded_bytes: int) -> str:
    """Return what is wrong with the lengths in a compressed chunk; an empty text if they are valid."""
    if chunk.size < HEAD_BYTES:
        return f"{chunk.size} bytes cannot hold its header"
    read_at, end = chunk.read_at, chunk.start + chunk.size
    head = read_at(HEAD_BYTES, chunk.start)
    total, block_bytes = int.from_bytes(head[:8]), int.from_bytes(head[8:])
    if total != decoded_bytes:
        return f"its header promises {total} bytes, the dataset {decoded_bytes}"
    group_bytes = GROUP * itemsize
    if block_bytes == 0 or block_bytes % group_bytes:
        return f"its block size {block_bytes} is no multiple of {group_bytes}"
    blocks, last = divmod(total, block_bytes)
    at = chunk.start + HEAD_BYTES
    for _ in range(blocks + (last >= group_bytes)):  # if a wrong length leads past `end`, later ones lead even farther
        at += 4 + int.from_bytes(read_at(4, at))
    at += last % group_bytes
    return "" if at == end else f"its blocks end at byte {at - chunk.start} of {chunk.size}"


class Chunks:
    """The samples of a dataset, chunk by chunk."""

    def __init__(self, dataset: Dataset, descriptor: int, may_end_early: bool = False) -> None:
        """Take an open file. ``may_end_early``: True if the whole spectra before its end can be accepted."""
        self._dataset = dataset
        self._may_end_early = may_end_early
        self._path = Path(dataset.path)
        self._descriptor = descriptor
        self._dtype = np.dtype(dataset.dtype)
        self._room = Buffer()
        self._decoded_bytes = math.prod(dataset.chunks or dataset.shape) * self._dtype.itemsize
        self._numbers = dataset.table[:, 0]
        self._form = self._form_of()

    def _form_of(self) -> Form:
        numbers = [number for number, _ in self._dataset.filters]
        if BITSHUFFLE not in numbers:
            return "other" if numbers else "plain"
        values = self._dataset.filters[0][1]
        itemsize = self._dtype.itemsize
        known = numbers in ([BITSHUFFLE], [BITSHUFFLE, FLETCHER32])
        if not known or len(values) < 5 or values[2] != itemsize:
            raise refusal(Reason.BAD_HEADER, self._path,
                          f"its HDF5 filters {numbers}, bitshuffle's settings {values}, cannot be read "
                          f"safely for samples of {itemsize} bytes; rewrite it with h5repack")
        if FLETCHER32 in numbers:
            return "other"
        if values[4] == LZ4 and self._dtype == np.dtype("<f4"):
            return "usual"
        return "frames" if values[4] in (LZ4, ZSTANDARD) else "whole"

    def read(self, start: Corner, stop: Corner, memory: NDArray[np.float32], row: int, column: int) -> None:
        """Read samples of one polarisation between two corners into ``memory`` (spectra, channels), at (row, column).

        Raises
        ------
        SourceError
            CORRUPT_CHUNK or TRUNCATED, which names the chunk, if it cannot be decoded.
        """
        target = memory[row : row + stop[0] - start[0], column : column + stop[2] - start[2]]
        is_foreign = self._dtype.kind == "V"
        if self._dataset.chunks is None and is_foreign:
            self._read_by_hdf5(start, stop, target)
            return
        if self._dataset.chunks is None:
            self._read_box((0, 0, 0), self._dataset.shape, self._dataset.offset, start, stop, target)
            return
        is_decoded = True
        for corner in self._corners(start, stop):
            chunk = self._locate(corner)
            if chunk.is_plain and not is_foreign:
                self._check(corner, chunk)
                self._read_box(corner, self._dataset.chunks, chunk.start, start, stop, target)
            elif self._form != "usual" or chunk.is_unfiltered:
                self._check(corner, chunk)
                is_decoded = False
            else:
                self._decode(corner, chunk, start, stop, memory, row, column)
        if not is_decoded:
            self._read_by_hdf5(start, stop, target)

    def _decode(self, corner: Corner, chunk: StoredChunk, start: Corner, stop: Corner, memory: NDArray[np.float32],
                row: int, column: int) -> None:
        from pipeline.filterbank.bitshuffle import decode_chunks  # loads numba, which searches do not need

        (place,), count = place_parts([chunk.start], [chunk.size])
        stored, blocks, block = self._load(corner, chunk, self._room.take(count)[place:])
        if decode_chunks(stored, blocks[None], block, np.array([corner], np.int64), self._dataset.chunks, start, stop,
                         memory.view(np.uint32), row, column) >= 0:
            raise self.refuse(corner)

    def _corners(self, start: Corner, stop: Corner) -> Iterable[Corner]:
        sizes = self._dataset.chunks or ()
        firsts = (range(a - a % size, b, size) for a, b, size in zip(start, stop, sizes, strict=False))
        return itertools.product(*firsts) if sizes else ()

    def fetch(self, start: Corner, stop: Corner, room: Buffer) -> UndecodedChunks | None:
        """Read the stored chunks between two corners. Return None if they are not stored in the usual way.

        Raises
        ------
        SourceError
            CORRUPT_CHUNK or TRUNCATED, which names the chunk.
        """
        if self._form != "usual" or self._dataset.chunks is None:
            return None
        corners = list(self._corners(start, stop))
        chunks = [self._locate(corner) for corner in corners]
        if any(chunk.is_unfiltered for chunk in chunks):
            return None
        places, count = place_parts([chunk.start for chunk in chunks], [chunk.size for chunk in chunks])
        stored, found = room.take(count), []
        for corner, chunk, place in zip(corners, chunks, places, strict=True):
            _, blocks, block = self._load(corner, chunk, stored[place : place + chunk.size])
            found.append((blocks + place, block))
        if len({(len(blocks), block) for blocks, block in found}) > 1:
            return None
        table = np.stack([blocks for blocks, _ in found])
        first_samples = np.array(corners, np.int64)
        return UndecodedChunks(stored, table, found[0][1], first_samples, self._dataset.chunks, self.refuse)

    def count_whole_spectra(self) -> int:
        """Return the number of spectra before the first one with a sample that was never written or is cut off."""
        shape, size = self._dataset.shape, os.fstat(self._descriptor).st_size
        if self._dataset.chunks is None:
            if self._dataset.offset is None:
                return int(shape[0])
            spectrum_bytes = shape[1] * shape[2] * self._dtype.itemsize
            return int(min(shape[0], max(0, size - self._dataset.offset) // max(1, spectrum_bytes)))
        rows, products, across = self._dataset.grid
        there = self._dataset.table[:, 1] + self._dataset.table[:, 2] <= size
        counts = np.bincount(self._numbers[there] // (products * across), minlength=rows)
        missing = np.flatnonzero(counts[:rows] < products * across)
        return int(min(shape[0], missing[0] * self._dataset.chunks[0])) if len(missing) else int(shape[0])

    def _remedy(self) -> str:
        """Return what to do about samples that are missing at the end."""
        if self._may_end_early and self.count_whole_spectra():
            return "try again when it is complete, copy it again, or accept its whole spectra (--accept-truncated)"
        return "try again when it is complete, or copy it again"

    def refuse(self, corner: Corner) -> SourceError:
        """Return the error for a chunk whose lengths are valid but that cannot be decompressed."""
        return self._refusal(Reason.CORRUPT_CHUNK, corner, "is damaged: a block does not expand to its length; "
                             "fetch the file again")

    def _load(
        self, corner: Corner, chunk: StoredChunk, room: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], int]:
        """Read a chunk into ``room``. Return its bytes, the places of its blocks, and the samples in a block."""
        from pipeline.filterbank.bitshuffle import blocks_of

        stored = room[: self._fill(room[: chunk.size], chunk.start)]
        blocks, block = blocks_of(stored, self._decoded_bytes // self._dtype.itemsize)
        if block == 0:
            self._check(corner, chunk)  # if it finds the fault, its message says more
            raise self.refuse(corner)
        return stored, blocks, block

    def _fill(self, room: NDArray[np.uint8], start: int) -> int:
        """Read bytes from a position of the file. Return how many were read."""
        at = 0
        while at < len(room) and (count := os.preadv(self._descriptor, [room[at:].data], start + at)):
            at += count
        return at

    def _check(self, corner: Corner, chunk: StoredChunk) -> None:
        fault = ""
        if self._form in ("usual", "frames") and not chunk.is_unfiltered:
            fault = frame_fault(chunk, self._dtype.itemsize, self._decoded_bytes)
        elif (self._form == "whole" or chunk.is_plain or chunk.is_unfiltered) and chunk.size != self._decoded_bytes:
            fault = f"{chunk.size} bytes are stored, {self._decoded_bytes} are needed"
        if fault:
            raise self._refusal(Reason.CORRUPT_CHUNK, corner, f"is damaged: {fault}; fetch the file again")

    def _read_box(self, corner: Corner, shape: Corner, offset: int | None, start: Corner, stop: Corner,
                  target: NDArray[np.float32]) -> None:
        """Read samples without filters from the box at ``corner`` into ``target``, whose first sample is ``start``."""
        a, b = np.maximum(start, corner), np.minimum(stop, np.add(corner, shape))
        first, product, channel = (a - corner).tolist()
        into = target[a[0] - start[0] : b[0] - start[0], a[2] - start[2] : b[2] - start[2]]
        for i, samples in enumerate(into):
            at = self._dtype.itemsize * (((first + i) * shape[1] + product) * shape[2] + channel)
            raw = self._raw(at, offset, samples)
            if raw is not samples:
                with np.errstate(over="ignore", invalid="ignore"):  # values beyond float32 become infinite
                    samples[:] = raw

    def _raw(self, at: int, offset: int | None, samples: NDArray[np.float32]) -> NDArray[np.generic]:
        """Return ``len(samples)`` samples from byte ``at`` of a box. float32 is read directly into ``samples``."""
        count = len(samples) * self._dtype.itemsize
        if offset is None:
            return np.frombuffer(self._dataset.content[at : at + count], self._dtype, len(samples))
        raw = samples if self._dtype == samples.dtype else np.empty(len(samples), self._dtype)
        if self._fill(raw.view(np.uint8), offset + at) < count:
            raise refusal(Reason.TRUNCATED, self._path, "its samples reach past the end of the file, to byte "
                          f"{offset + at + count}; {self._remedy()}")
        return raw

    def _read_by_hdf5(self, start: Corner, stop: Corner, target: NDArray[np.float32]) -> None:
        if self._decoded_bytes > MAX_DECODED_BYTES:
            raise refusal(Reason.BAD_HEADER, self._path, f"its chunks are of {self._decoded_bytes} bytes, and HDF5 "
                          f"decodes {MAX_DECODED_BYTES} at most here; rewrite it in smaller chunks with h5repack")
        more_bytes = 3 * (self._decoded_bytes + 4 * target.size)
        answer = parser_client.mapped(parser_client.ask(
            self._path, "decode", more_bytes, name=self._dataset.name, start=start, stop=stop,
            identity=identity_of(os.fstat(self._descriptor))))
        target[:] = np.frombuffer(answer, np.float32, target.size).reshape(target.shape)

    def _locate(self, corner: Corner) -> StoredChunk:
        """Find a chunk in the file."""
        grid, sizes = self._dataset.grid, self._dataset.chunks or self._dataset.shape
        i, j, k = (first // size for first, size in zip(corner, sizes, strict=True))
        number = (i * grid[1] + j) * grid[2] + k
        place = int(np.searchsorted(self._numbers, number))
        if place == len(self._numbers) or self._numbers[place] != number:
            raise self._refusal(Reason.TRUNCATED, corner, f"was never written; {self._remedy()}")
        _, start, size, mask = self._dataset.table[place].tolist()
        descriptor = self._descriptor
        if start + size > os.fstat(descriptor).st_size:
            raise self._refusal(Reason.TRUNCATED, corner, f"reaches past the end of the file; {self._remedy()}")
        if self._form == "usual" and size > self._max_bytes:  # checked before memory is reserved for it
            raise self._refusal(Reason.CORRUPT_CHUNK, corner, f"is damaged: {size} bytes are stored, "
                                f"too many for {self._decoded_bytes} decoded bytes; fetch the file again")
        if self._form in ("frames", "whole", "other"):  # the check reads a few bytes, the decoder then reads all
            os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_WILLNEED)
        filters = len(self._dataset.filters)
        is_plain = mask & ((1 << filters) - 1) == (1 << filters) - 1
        return StoredChunk(partial(os.pread, descriptor), start, size, mask != 0, is_plain)

    @property
    def _max_bytes(self) -> int:
        """Size that no valid chunk exceeds."""
        return 2 * int(self._decoded_bytes) + 4096

    def _refusal(self, reason: Reason, corner: Corner, fault: str) -> SourceError:
        return refusal(reason, self._path, f"the chunk at spectrum {corner[0]}, channel {corner[-1]} {fault}")
