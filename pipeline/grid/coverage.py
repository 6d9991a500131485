"""Which part of a file is in windows. The other part is not searched.

Both parts follow from the header and the grid. So they are known for every corpus without being stored in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pipeline.grid.tiling import Tiling


@dataclass(frozen=True, slots=True)
class Coverage:
    """Channels and spectra of one file, and those of them that are in no window."""

    channels: int
    channels_skipped: int
    """Channels in no window: pieces narrower than a window, gaps if the step exceeds the window, and the rest of each
    coarse channel unless the grid covers it."""
    spectra: int
    spectra_skipped: int
    """Spectra in no window: those after the last whole time block, unless the grid covers them."""

    @classmethod
    def of(cls, tiling: Tiling) -> Self:
        """Count what a tiling leaves out. It does not matter which part of the band is searched."""
        header = tiling.header
        return cls(header.nchans, tiling.channels_skipped, header.nsamples, tiling.spectra_skipped)

    @property
    def samples(self) -> int:
        """Number of samples of the file."""
        return self.channels * self.spectra

    @property
    def samples_skipped(self) -> int:
        """Number of samples in no window."""
        return self.samples - (self.channels - self.channels_skipped) * (self.spectra - self.spectra_skipped)


def samples_per_window(tiling: Tiling) -> float:
    """Return the mean number of samples that a searched window adds to those of the others; 0 without windows.

    A sample that several windows share counts once.
    """
    if tiling.f_start_mhz is None and tiling.f_stop_mhz is None:
        channels, windows = tiling.header.nchans - tiling.channels_skipped, tiling.windows_per_block
    else:
        pieces = [(i, tiling.positions(i)) for i in range(tiling.n_coarse)]
        channels, windows = sum(_covered(tiling, *one) for one in pieces), sum(len(one) for _, one in pieces)
    spectra = tiling.header.nsamples - tiling.spectra_skipped
    return channels * spectra / (windows * tiling.n_blocks) if windows and tiling.n_blocks else 0.0


def _covered(tiling: Tiling, i: int, positions: range) -> int:
    """Return the number of channels in the windows at some positions of coarse channel ``i``."""
    if not positions:
        return 0
    size, regular = tiling.grid.channels, min(tiling.grid.step, tiling.grid.channels)
    if len(positions) == 1:
        return size
    last = tiling.offset_of(i, positions[-1]) - tiling.offset_of(i, positions[-2])
    return size + regular * (len(positions) - 2) + min(last, size)


def share_skipped(files: Iterable[Coverage]) -> float:
    """Return the share of the samples of some files that is in no window; 0 without files."""
    samples = skipped = 0
    for one in files:
        samples, skipped = samples + one.samples, skipped + one.samples_skipped
    return skipped / samples if samples else 0.0
