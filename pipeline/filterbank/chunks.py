"""The stored chunks of an HDF5 dataset: the usual ones are decoded here, others by HDF5, in a process that may crash.

HDF5's decoder of bitshuffle trusts the lengths it finds in a chunk (drawn in :mod:`pipeline.filterbank.bitshuffle`), so
they are checked before. A bit flipped *within* a compressed block mostly decodes silently: the format has no checksum.
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
from pipeline.filterbank.fetched import Corner, Room, Undecoded

BITSHUFFLE = 32008
FLETCHER32 = 3
HEAD_BYTES = 12
GROUP = 8
"""Elements that bitshuffle handles together."""
LZ4, ZSTANDARD = 2, 3
"""Bitshuffle's numbers for compressions, which frame their blocks alike."""
MOST_DECODED = 1 << 30
"""Bytes of a chunk that HDF5 decodes: it takes the memory of several."""

Form = Literal["usual", "frames", "whole", "plain", "other"]
"""How chunks are stored: float32 by bitshuffle and LZ4, by bitshuffle otherwise compressed, by bitshuffle alone, as in
memory, or by other filters."""

ReadAt = Callable[[int, int], bytes]
"""Returns a number of bytes from a position on; fewer where they end."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """The bytes that encode one chunk."""

    read_at: ReadAt
    start: int
    """Position of the first byte."""
    size: int
    is_unfiltered: bool = False
    """True where filters of the dataset were left out for this chunk."""
    is_plain: bool = False
    """True where all of them were, or there are none."""


def frame_fault(chunk: StoredChunk, itemsize: int, decoded_bytes: int) -> str:
    """Say what is wrong with the lengths within a compressed chunk; empty if they are sound."""
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
    for _ in range(blocks + (last >= group_bytes)):
        at += 4 + int.from_bytes(read_at(4, at))  # may leave the chunk, but then never comes back to its end
    at += last % group_bytes
    return "" if at == end else f"its blocks end at byte {at - chunk.start} of {chunk.size}"


class Chunks:
    """The samples of a dataset, chunk by chunk. One without chunks has nothing to check."""

    def __init__(self, dataset: Dataset, descriptor: int) -> None:
        self._dataset = dataset
        self._path = Path(dataset.path)
        self._descriptor = descriptor
        self._dtype = np.dtype(dataset.dtype)
        self._room = Room()
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
        """Read what lies between two corners, of one product, into ``memory`` (spectra, channels) from a place on.

        Raises CORRUPT_CHUNK or TRUNCATED, naming the chunk, where one cannot be decoded.
        """
        target = memory[row : row + stop[0] - start[0], column : column + stop[2] - start[2]]
        if self._dataset.chunks is None:
            self._read_box((0, 0, 0), self._dataset.shape, self._dataset.offset, start, stop, target)
            return
        is_decoded = True
        for corner in self._corners(start, stop):
            chunk = self._locate(corner)
            if chunk.is_plain:
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
        from pipeline.filterbank.bitshuffle import decode_chunks  # loads numba, which a search does without

        stored, blocks, block = self._load(corner, chunk, self._room.take(chunk.size))
        if decode_chunks(stored, blocks[None], block, np.array([corner], np.int64), self._dataset.chunks, start, stop,
                         memory.view(np.uint32), row, column) >= 0:
            raise self.refuse(corner)

    def _corners(self, start: Corner, stop: Corner) -> Iterable[Corner]:
        sizes = self._dataset.chunks or ()
        firsts = (range(a - a % size, b, size) for a, b, size in zip(start, stop, sizes, strict=False))
        return itertools.product(*firsts) if sizes else ()

    def fetch(self, start: Corner, stop: Corner, room: Room) -> Undecoded | None:
        """Read the chunks between two corners as they are stored; None where that is not in the usual way.

        Raises as :meth:`read` does.
        """
        if self._form != "usual" or self._dataset.chunks is None:
            return None
        corners = list(self._corners(start, stop))
        chunks = [self._locate(corner) for corner in corners]
        if any(chunk.is_unfiltered for chunk in chunks):
            return None
        ends = np.cumsum([chunk.size for chunk in chunks])
        stored, found = room.take(int(ends[-1])), []
        for corner, chunk, end in zip(corners, chunks, ends.tolist(), strict=True):
            _, blocks, block = self._load(corner, chunk, stored[end - chunk.size : end])
            found.append((blocks + (end - chunk.size), block))
        if len({(len(blocks), block) for blocks, block in found}) > 1:
            return None
        table = np.stack([blocks for blocks, _ in found])
        return Undecoded(stored, table, found[0][1], np.array(corners, np.int64), self._dataset.chunks, self.refuse)

    def refuse(self, corner: Corner) -> SourceError:
        """Return the error of a chunk of sound lengths that cannot be expanded."""
        return self._refusal(Reason.CORRUPT_CHUNK, corner, "is damaged: a block does not expand to its length; "
                             "fetch the file again")

    def _load(
        self, corner: Corner, chunk: StoredChunk, room: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], int]:
        """Return a chunk's bytes, read into ``room``, where its blocks lie in them, and samples a block."""
        from pipeline.filterbank.bitshuffle import blocks_of

        stored = room[: self._fill(room[: chunk.size], chunk.start)]
        blocks, block = blocks_of(stored, self._decoded_bytes // self._dtype.itemsize)
        if block == 0:
            self._check(corner, chunk)  # says more
            raise self.refuse(corner)
        return stored, blocks, block

    def _fill(self, room: NDArray[np.uint8], start: int) -> int:
        """Read bytes from a position of the file on; return how many there were."""
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
        """Read samples that are stored without filters, of the box at ``corner``, into ``target``, at ``start``."""
        a, b = np.maximum(start, corner), np.minimum(stop, np.add(corner, shape))
        first, product, channel = (a - corner).tolist()
        into = target[a[0] - start[0] : b[0] - start[0], a[2] - start[2] : b[2] - start[2]]
        for i, samples in enumerate(into):
            at = self._dtype.itemsize * (((first + i) * shape[1] + product) * shape[2] + channel)
            raw = self._raw(at, offset, samples)
            if raw is not samples:
                with np.errstate(over="ignore", invalid="ignore"):  # infinite where float32 ends
                    samples[:] = raw

    def _raw(self, at: int, offset: int | None, samples: NDArray[np.float32]) -> NDArray[np.generic]:
        """Return as many samples as ``samples`` holds, from a byte of a box on; float32 is read into it."""
        count = len(samples) * self._dtype.itemsize
        if offset is None:
            return np.frombuffer(self._dataset.content[at : at + count], self._dtype, len(samples))
        raw = samples if self._dtype == samples.dtype else np.empty(len(samples), self._dtype)
        if self._fill(raw.view(np.uint8), offset + at) < count:
            raise refusal(Reason.TRUNCATED, self._path, f"its samples reach past its end, byte {offset + at + count}; "
                          "try again when all is there")
        return raw

    def _read_by_hdf5(self, start: Corner, stop: Corner, target: NDArray[np.float32]) -> None:
        if self._decoded_bytes > MOST_DECODED:
            raise refusal(Reason.BAD_HEADER, self._path, f"its chunks are of {self._decoded_bytes} bytes, and HDF5 "
                          f"decodes {MOST_DECODED} at most here; rewrite it in smaller ones with h5repack")
        more_bytes = 3 * (self._decoded_bytes + 4 * target.size)
        answer = parser_client.mapped(parser_client.ask(
            self._path, "decode", more_bytes, name=self._dataset.name, start=start, stop=stop,
            identity=identity_of(os.fstat(self._descriptor))))
        target[:] = np.frombuffer(answer, np.float32, target.size).reshape(target.shape)

    def _locate(self, corner: Corner) -> StoredChunk:
        """Find a chunk in the file, to read a few bytes here and there."""
        grid, sizes = self._dataset.grid, self._dataset.chunks or self._dataset.shape
        i, j, k = (first // size for first, size in zip(corner, sizes, strict=True))
        number = (i * grid[1] + j) * grid[2] + k
        place = int(np.searchsorted(self._numbers, number))
        if place == len(self._numbers) or self._numbers[place] != number:
            raise self._refusal(Reason.TRUNCATED, corner, "was never written; try again when all is there")
        _, start, size, mask = self._dataset.table[place].tolist()
        descriptor = self._descriptor
        if start + size > os.fstat(descriptor).st_size:
            raise self._refusal(Reason.TRUNCATED, corner, "reaches past the end of the file; try again when all "
                                "is there")
        if self._form == "usual" and size > self._most_bytes:  # before memory is taken for it
            raise self._refusal(Reason.CORRUPT_CHUNK, corner, f"is damaged: {size} bytes are stored, "
                                f"{self._decoded_bytes} decoded ones never take as many; fetch the file again")
        if self._form in ("frames", "whole", "other"):  # wanted whole in a moment, after a few bytes here and there
            os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_WILLNEED)
        filters = len(self._dataset.filters)
        is_plain = mask & ((1 << filters) - 1) == (1 << filters) - 1
        return StoredChunk(partial(os.pread, descriptor), start, size, mask != 0, is_plain)

    @property
    def _most_bytes(self) -> int:
        """More than any sound chunk takes: a longer one is damaged."""
        return 2 * int(self._decoded_bytes) + 4096

    def _refusal(self, reason: Reason, corner: Corner, fault: str) -> SourceError:
        return refusal(reason, self._path, f"the chunk at spectrum {corner[0]}, channel {corner[-1]} {fault}")
