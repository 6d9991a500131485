"""Stored parts of a file in memory. They are decoded in pieces that are small enough for the caches of a core."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SourceError

Corner = tuple[int, ...]
"""(spectrum, polarisation, channel): a position in a dataset."""


def limits_of(sample: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest and the largest value of a sample type; infinite for floating-point numbers."""
    if sample.kind not in "iu":
        return -np.inf, np.inf
    return float(np.iinfo(sample).min), float(np.iinfo(sample).max)


PAGE_BYTES, LINE_BYTES = 4096, 64
"""Size of a page of memory, and of a cache line."""


class Buffer:
    """Memory that later reads use again. Reading into memory that was used before takes a quarter less time."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, count: int) -> NDArray[np.uint8]:
        """Return ``count`` bytes that begin at a page of memory. They overlap those of earlier calls."""
        if len(self._bytes) < count:
            memory = np.empty(count + PAGE_BYTES, np.uint8)
            self._bytes = memory[-memory.ctypes.data % PAGE_BYTES :]
        return self._bytes[:count]


def place_parts(starts: Iterable[int], sizes: Iterable[int]) -> tuple[list[int], int]:
    """Place parts of a file in memory that begins at a page, so that the system copies them fast.

    AMD processors copy at a quarter of their speed if the target lies 1 to 31 bytes after the source, counted within
    their pages. So each part is placed where it is in its page of the file. A small part is placed where it is in its
    cache line: that costs less memory, and is nearly as fast.

    Parameters
    ----------
    starts, sizes : sequences of int
        First byte of each part in the file, and its number of bytes.

    Returns
    -------
    list of int
        First byte of each part in memory.
    int
        Bytes of memory that are needed.
    """
    places, end = [], 0
    for start, size in zip(starts, sizes, strict=True):
        step = PAGE_BYTES if size >= 16 * PAGE_BYTES else LINE_BYTES
        places.append(end + (start - end) % step)
        end = places[-1] + size
    return places, end


@dataclass(frozen=True, slots=True)
class DecodedSamples:
    """Samples that are decoded already."""

    power: NDArray[np.float32]
    """(spectra, channels) in the file's order."""
    spectrum: int
    """Number of the first spectrum."""
    channel: int
    """Number of the first channel, as the file counts."""

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Copy float32 (spectra, channels), counted as in the file, into ``memory``."""
        memory[:] = self.power[spectrum_start - self.spectrum : spectrum_stop - self.spectrum,
                               channel_start - self.channel : channel_stop - self.channel]


@dataclass(frozen=True, slots=True)
class UndecodedChunks:
    """Stored chunks of float32 samples, one after another."""

    stored: NDArray[np.uint8]
    blocks: NDArray[np.int64]
    """(chunks, blocks, 2): first byte and end of each block."""
    block: int
    """Number of samples in a block."""
    corners: NDArray[np.int64]
    """(chunks, 3): first sample of each chunk."""
    shape: Corner
    """Shape of a chunk."""
    refuse: Callable[[Corner], SourceError]
    """Makes the error for a chunk that cannot be decompressed."""
    product: int = 0

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Decode float32 (spectra, channels), counted as in the dataset, into C-contiguous ``memory``."""
        from pipeline.filterbank.bitshuffle import decode_chunks  # loads numba, which searches do not need

        damaged = decode_chunks(
            self.stored, self.blocks, self.block, self.corners, self.shape,
            (spectrum_start, self.product, channel_start), (spectrum_stop, self.product + 1, channel_stop),
            memory.view(np.uint32), 0, 0,
        )
        if damaged >= 0:
            raise self.refuse(tuple(self.corners[damaged].tolist()))
