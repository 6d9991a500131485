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
    """Channels in no window: the rest of each coarse channel, and gaps if the step exceeds the window."""
    spectra: int
    spectra_skipped: int
    """Spectra in no window: those after the last whole time block."""

    @classmethod
    def of(cls, tiling: Tiling) -> Self:
        """Count what a tiling leaves out. It does not matter which part of the band is searched."""
        header = tiling.header
        return cls(header.nchans, tiling.channels_skipped, header.nsamples,
                   header.nsamples - tiling.n_blocks * tiling.grid.integrations)

    @property
    def samples(self) -> int:
        """Number of samples of the file."""
        return self.channels * self.spectra

    @property
    def samples_skipped(self) -> int:
        """Number of samples in no window."""
        return self.samples - (self.channels - self.channels_skipped) * (self.spectra - self.spectra_skipped)


def share_skipped(files: Iterable[Coverage]) -> float:
    """Return the share of the samples of some files that is in no window; 0 without files."""
    samples = skipped = 0
    for one in files:
        samples, skipped = samples + one.samples, skipped + one.samples_skipped
    return skipped / samples if samples else 0.0
