"""Check the stored chunks of an HDF5 dataset before HDF5 decodes them.

The decoder of bitshuffle + LZ4 trusts the lengths it finds in a chunk, so one flipped bit there can crash the
process. All numbers are big-endian; a chunk is::

    u64 decoded bytes │ u32 block bytes │ (u32 length, compressed block) … │ left-over elements, raw

Blocks hold a multiple of eight elements, the last perhaps fewer than the others, and up to seven elements are
left over. A bit flipped *within* a compressed block mostly decodes silently: the format has no checksum.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason, SourceError
from pipeline.filterbank.access import refusal

BITSHUFFLE = 32008
FLETCHER32 = 3
COMPRESSIONS = (2, 3)
"""Bitshuffle's numbers for LZ4 and Zstandard, which frame their blocks alike."""
GROUP = 8
"""Elements that bitshuffle handles together."""
HEAD_BYTES = 12
MOST_LISTED = 1 << 16
"""Chunks up to which a file's list of them is read (1 µs each)."""

Form = Literal["frames", "whole", "other"]
"""How chunks are stored: compressed by bitshuffle, at their full length, or by filters that guard themselves."""

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


class ChunkChecker:
    """Checks the chunks that a selection touches. A dataset without chunks has nothing to check."""

    def __init__(self, dataset: h5py.Dataset, path: Path) -> None:
        self._dataset = dataset
        self._path = path
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
        return "frames" if values[4] in COMPRESSIONS else "whole"

    def check(self, start: tuple[int, ...], stop: tuple[int, ...]) -> None:
        """Raise CORRUPT_CHUNK or TRUNCATED, naming the chunk, if one between two corners cannot be decoded."""
        sizes = self._dataset.chunks
        if sizes is None:
            return
        firsts = (range(a - a % size, b, size) for a, b, size in zip(start, stop, sizes, strict=True))
        for corner in itertools.product(*firsts):
            chunk = self._locate(corner)
            fault = ""
            if self._form == "frames" and not chunk.is_unfiltered:
                fault = frame_fault(chunk, self._dataset.dtype.itemsize, self._decoded_bytes)
            elif (self._form == "whole" or chunk.is_unfiltered) and chunk.size != self._decoded_bytes:
                fault = f"{chunk.size} bytes are stored, {self._decoded_bytes} are needed"
            if fault:
                raise self._refusal(Reason.CORRUPT_CHUNK, corner, f"is damaged: {fault}; fetch the file again")

    def _listed(self, corner: tuple[int, ...]) -> StoredChunk:
        """Find a chunk in the file, to read a few bytes here and there."""
        info = self._list.get(corner)
        if info is None:
            raise self._refusal(Reason.TRUNCATED, corner, "was never written; try again when all is there")
        descriptor = self._dataset.file.id.get_vfd_handle()
        if info.byte_offset + info.size > os.fstat(descriptor).st_size:
            raise self._refusal(Reason.TRUNCATED, corner, "reaches past the end of the file; try again when all "
                                "is there")
        # The whole chunk is wanted in a moment: let it come in one piece
        os.posix_fadvise(descriptor, info.byte_offset, info.size, os.POSIX_FADV_WILLNEED)
        return StoredChunk(partial(os.pread, descriptor), info.byte_offset, info.size, info.filter_mask != 0)

    @cached_property
    def _list(self) -> dict[tuple[int, ...], h5py.h5d.StoreInfo]:
        chunks: dict[tuple[int, ...], h5py.h5d.StoreInfo] = {}
        try:
            self._dataset.id.chunk_iter(lambda info: chunks.__setitem__(info.chunk_offset, info))
        except (OSError, RuntimeError) as error:
            raise refusal(Reason.CORRUPT_CHUNK, self._path, f"its list of chunks is damaged ({error})") from error
        return chunks

    def _fetched(self, corner: tuple[int, ...]) -> StoredChunk:
        """Do as :meth:`_listed`, by a copy of the chunk: slower, but without the list."""
        try:
            mask, chunk = self._dataset.id.read_direct_chunk(corner, out=self._buffer)
        except RuntimeError as error:
            raise self._refusal(Reason.TRUNCATED, corner, f"was never written ({error})") from error
        except (OSError, ValueError) as error:
            raise self._refusal(Reason.CORRUPT_CHUNK, corner, f"cannot be read ({error})") from error
        return StoredChunk(lambda n, at: bytes(chunk[at:at + n]), 0, len(chunk), mask != 0)

    @cached_property
    def _buffer(self) -> NDArray[np.uint8]:
        """More than any sound chunk takes: a longer one is damaged. Memory is used only as far as it is filled."""
        return np.empty(2 * self._decoded_bytes + 4096, np.uint8)

    def _refusal(self, reason: Reason, corner: tuple[int, ...], fault: str) -> SourceError:
        return refusal(reason, self._path, f"the chunk at spectrum {corner[0]}, channel {corner[-1]} {fault}")
