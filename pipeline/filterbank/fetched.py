"""Parts of a file in memory, as they are stored: decoded piece by piece, while a piece is in a core's caches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SourceError

Corner = tuple[int, ...]
"""(spectrum, product, channel) in the order of a dataset's axes."""


class Room:
    """Memory that is used again: what has been used before is faster by a quarter of the time."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, count: int) -> NDArray[np.uint8]:
        """Return so many bytes; what was taken before is overwritten."""
        if len(self._bytes) < count:
            self._bytes = np.empty(count, np.uint8)
        return self._bytes[:count]


@dataclass(frozen=True, slots=True)
class Held:
    """Samples, decoded already."""

    power: NDArray[np.float32]
    """(spectra, channels) in the file's order."""
    spectrum: int
    """The first one."""
    channel: int

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Copy float32 (spectra, channels), counted as in the file, into ``memory``."""
        memory[:] = self.power[spectrum_start - self.spectrum : spectrum_stop - self.spectrum,
                               channel_start - self.channel : channel_stop - self.channel]


@dataclass(frozen=True, slots=True)
class Undecoded:
    """Chunks of float32 samples as they are stored, behind one another."""

    stored: NDArray[np.uint8]
    blocks: NDArray[np.int64]
    """(chunks, blocks, 2): where each begins and ends."""
    block: int
    """Samples a block."""
    corners: NDArray[np.int64]
    """(chunks, 3): first sample of each chunk."""
    shape: Corner
    """Of a chunk."""
    refuse: Callable[[Corner], SourceError]
    """Makes the error of a chunk that does not expand."""
    product: int = 0

    def read(self, spectrum_start: int, spectrum_stop: int, channel_start: int, channel_stop: int,
             memory: NDArray[np.float32]) -> None:
        """Decode float32 (spectra, channels), counted as in the dataset, into C-contiguous ``memory``."""
        from pipeline.filterbank.bitshuffle import decode_chunks  # loads numba, which a search does without

        damaged = decode_chunks(
            self.stored, self.blocks, self.block, self.corners, self.shape,
            (spectrum_start, self.product, channel_start), (spectrum_stop, self.product + 1, channel_stop),
            memory.view(np.uint32), 0, 0,
        )
        if damaged >= 0:
            raise self.refuse(tuple(self.corners[damaged].tolist()))
