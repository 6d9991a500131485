"""The stored chunks of an HDF5 dataset: the usual ones are decoded here, others checked before HDF5 decodes them.

HDF5's decoder of bitshuffle trusts the lengths it finds in a chunk (drawn in :mod:`pipeline.filterbank.bitshuffle`), so
one flipped bit there can crash the process. A bit flipped *within* a compressed block mostly decodes silently: the
format has no checksum.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason, SourceError
from pipeline.filterbank.access import refusal
from pipeline.filterbank.fetched import Corner, Room, Undecoded

BITSHUFFLE = 32008
FLETCHER32 = 3
HEAD_BYTES = 12
GROUP = 8
"""Elements that bitshuffle handles together."""
LZ4, ZSTANDARD = 2, 3
"""Bitshuffle's numbers for compressions, which frame their blocks alike."""
MOST_LISTED = 1 << 16
"""Chunks up to which a file's list of them is read (1 µs each)."""

Form = Literal["usual", "frames", "whole", "other"]
"""How chunks are stored: float32 by bitshuffle and LZ4, by bitshuffle otherwise compressed, at their full length, or by
filters that guard themselves."""

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
    """True where the dataset's filters were left out for this chunk."""
    whole: NDArray[np.uint8] | None = None
    """All of them, where they are in memory already."""


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

    def __init__(self, dataset: h5py.Dataset, path: Path) -> None:
        self._dataset = dataset
        self._path = path
        self._room = Room()
        sizes = dataset.chunks or dataset.shape
        self._decoded_bytes = math.prod(sizes) * dataset.dtype.itemsize
        chunks = math.prod(-(-length // size) for length, size in zip(dataset.shape, sizes, strict=True))
        self._locate = self._listed if chunks <= MOST_LISTED else self._fetched
        creation = dataset.id.get_create_plist()
        filters = [creation.get_filter(i) for i in range(creation.get_nfilters())]
        self._form = self._form_of(filters)

    def _form_of(self, filters: list[Any]) -> Form:
        numbers = [number for number, *_ in filters]
        if BITSHUFFLE not in numbers:
            return "other" if filters else "whole"
        values = filters[0][2]
        itemsize = self._dataset.dtype.itemsize
        known = numbers in ([BITSHUFFLE], [BITSHUFFLE, FLETCHER32])
        if not known or len(values) < 5 or values[2] != itemsize:
            raise refusal(Reason.BAD_HEADER, self._path,
                          f"its HDF5 filters {numbers}, bitshuffle's settings {values}, cannot be read "
                          f"safely for samples of {itemsize} bytes; rewrite it with h5repack")
        if FLETCHER32 in numbers:
            return "other"
        if values[4] == LZ4 and self._dataset.dtype == np.dtype("<f4"):
            return "usual"
        return "frames" if values[4] in (LZ4, ZSTANDARD) else "whole"

    def read(self, start: Corner, stop: Corner, memory: NDArray[np.float32], row: int, column: int) -> None:
        """Read what lies between two corners, of one product, into ``memory`` (spectra, channels) from a place on.

        Raises CORRUPT_CHUNK or TRUNCATED, naming the chunk, where one cannot be decoded.
        """
        from pipeline.filterbank.bitshuffle import decode_chunks  # loads numba, which a search does without

        is_decoded = self._dataset.chunks is not None
        for corner in self._corners(start, stop):
            chunk = self._locate(corner)
            if self._form != "usual" or chunk.is_unfiltered:
                self._check(corner, chunk)
                is_decoded = False
                continue
            stored, blocks, block = self._load(corner, chunk, self._room.take(chunk.size))
            corners = np.array([corner], np.int64)
            if decode_chunks(stored, blocks[None], block, corners, self._dataset.chunks, start, stop,
                             memory.view(np.uint32), row, column) >= 0:
                raise self.refuse(corner)
        if not is_decoded:
            self._read_by_hdf5(start, stop, memory, row, column)

    def _corners(self, start: Corner, stop: Corner) -> Iterable[Corner]:
        sizes = self._dataset.chunks or ()
        firsts = (range(a - a % size, b, size) for a, b, size in zip(start, stop, sizes, strict=False))
        return itertools.product(*firsts) if sizes else ()

    def fetch(self, start: Corner, stop: Corner, room: Room) -> Undecoded | None:
        """Read the chunks between two corners as they are stored; None where that is not in the usual way.

        Raises as :meth:`read` does.
        """
        corners = list(self._corners(start, stop))
        if self._form != "usual" or self._locate != self._listed:
            return None
        chunks = [self._listed(corner) for corner in corners]
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
        """Return a chunk's bytes, read into ``room`` if need be, where its blocks lie in them, and samples a block."""
        from pipeline.filterbank.bitshuffle import blocks_of

        stored = chunk.whole
        if stored is None:
            stored, at = room, 0
            while at < chunk.size and (count := os.preadv(self._descriptor, [stored[at:].data], chunk.start + at)):
                at += count
            stored = stored[:at]
        blocks, block = blocks_of(stored, self._decoded_bytes // self._dataset.dtype.itemsize)
        if block == 0:
            self._check(corner, chunk)  # says more
            raise self.refuse(corner)
        return stored, blocks, block

    def _check(self, corner: Corner, chunk: StoredChunk) -> None:
        fault = ""
        if self._form in ("usual", "frames") and not chunk.is_unfiltered:
            fault = frame_fault(chunk, self._dataset.dtype.itemsize, self._decoded_bytes)
        elif (self._form == "whole" or chunk.is_unfiltered) and chunk.size != self._decoded_bytes:
            fault = f"{chunk.size} bytes are stored, {self._decoded_bytes} are needed"
        if fault:
            raise self._refusal(Reason.CORRUPT_CHUNK, corner, f"is damaged: {fault}; fetch the file again")

    def _read_by_hdf5(self, start: Corner, stop: Corner, memory: NDArray[np.float32], row: int, column: int) -> None:
        # three axes on both sides: HDF5 copies between unlike shapes twenty times slower
        source = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        to = (slice(row, row + stop[0] - start[0]), slice(0, 1), slice(column, column + stop[2] - start[2]))
        try:
            self._dataset.read_direct(memory[:, None], source, to)
        except (OSError, RuntimeError) as error:
            raise refusal(Reason.CORRUPT_CHUNK, self._path, f"spectra {start[0]}–{stop[0]}, channels {start[2]}–"
                          f"{stop[2]} cannot be decoded ({error})") from error

    def _listed(self, corner: Corner) -> StoredChunk:
        """Find a chunk in the file, to read a few bytes here and there."""
        info = self._list.get(corner)
        if info is None:
            raise self._refusal(Reason.TRUNCATED, corner, "was never written; try again when all is there")
        descriptor = self._descriptor
        if info.byte_offset + info.size > os.fstat(descriptor).st_size:
            raise self._refusal(Reason.TRUNCATED, corner, "reaches past the end of the file; try again when all "
                                "is there")
        if self._form == "usual" and info.size > self._most_bytes:  # before memory is taken for it
            raise self._refusal(Reason.CORRUPT_CHUNK, corner, f"is damaged: {info.size} bytes are stored, "
                                f"{self._decoded_bytes} decoded ones never take as many; fetch the file again")
        if self._form != "usual":  # others are wanted whole in a moment, after a few bytes here and there
            os.posix_fadvise(descriptor, info.byte_offset, info.size, os.POSIX_FADV_WILLNEED)
        return StoredChunk(partial(os.pread, descriptor), info.byte_offset, info.size, info.filter_mask != 0)

    @cached_property
    def _descriptor(self) -> int:
        return int(self._dataset.file.id.get_vfd_handle())

    @cached_property
    def _list(self) -> dict[Corner, h5py.h5d.StoreInfo]:
        chunks: dict[Corner, h5py.h5d.StoreInfo] = {}
        try:
            self._dataset.id.chunk_iter(lambda info: chunks.__setitem__(info.chunk_offset, info))
        except (OSError, RuntimeError) as error:
            raise refusal(Reason.CORRUPT_CHUNK, self._path, f"its list of chunks is damaged ({error})") from error
        return chunks

    def _fetched(self, corner: Corner) -> StoredChunk:
        """Do as :meth:`_listed`, by a copy of the chunk: slower, but without the list."""
        try:
            mask, chunk = self._dataset.id.read_direct_chunk(corner, out=self._buffer)
        except RuntimeError as error:
            raise self._refusal(Reason.TRUNCATED, corner, f"was never written ({error})") from error
        except (OSError, ValueError) as error:
            raise self._refusal(Reason.CORRUPT_CHUNK, corner, f"cannot be read ({error})") from error
        whole = self._buffer[:len(chunk)]
        return StoredChunk(lambda n, at: bytes(whole[at:at + n]), 0, len(whole), mask != 0, whole)

    @cached_property
    def _buffer(self) -> NDArray[np.uint8]:
        """Memory is used only as far as it is filled."""
        return np.empty(self._most_bytes, np.uint8)

    @property
    def _most_bytes(self) -> int:
        """More than any sound chunk takes: a longer one is damaged."""
        return 2 * int(self._decoded_bytes) + 4096

    def _refusal(self, reason: Reason, corner: Corner, fault: str) -> SourceError:
        return refusal(reason, self._path, f"the chunk at spectrum {corner[0]}, channel {corner[-1]} {fault}")
