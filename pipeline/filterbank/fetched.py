"""Stored parts of a file in memory. They are decoded in pieces that are small enough for the caches of a core."""

from __future__ import annotations

from collections.abc import Callable
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


class Buffer:
    """Memory that later reads use again. Reading into memory that was used before takes a quarter less time."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, count: int) -> NDArray[np.uint8]:
        """Return ``count`` bytes. They overlap those of earlier calls."""
        if len(self._bytes) < count:
            self._bytes = np.empty(count, np.uint8)
        return self._bytes[:count]


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
