"""Relative levels of the channels of a band that has no coarse channels and is too narrow to show its shape.

Such files come from backends for pulsars and bursts: a few hundred channels of about a megahertz. Each channel has a
level of its own, which an average of many spectra shows in every window. It is the median over spans of the whole
file. So a signal stays if it is in its channel for less than half of the time. What is always there is taken for the
channel's level.

Narrow channels may hold a steady line for the whole file, and are left alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.filterbank import Filterbank
from pipeline.flatten.bandpass import BLOCK_CHANNELS, MIN_SHAPE_BLOCKS
from pipeline.model import CoarseLayout

MIN_CHANNEL_MHZ = 0.1
"""Minimum width of a channel."""
MIN_SPANS, MAX_SPANS = 5, 1024
"""Minimum number of time blocks, and maximum number of spans that the file is divided into."""
READ_SAMPLES = 2**22
"""Samples that are read at once, at least one time block."""


def levels_of_narrow_band(
    filterbank: Filterbank, coarse: CoarseLayout, config: ScanConfig
) -> NDArray[np.float32] | None:
    """Read a whole file, and return the relative level of each channel; None if that does not suit the file.

    Spectra after the last whole time block do not count, whether or not windows cover them.

    Parameters
    ----------
    filterbank : Filterbank
        The open file.
    coarse : CoarseLayout
        Its coarse channels.
    config : ScanConfig
        ``channel_levels`` says whether levels are wanted.

    Returns
    -------
    (channels,) float32 or None
        From low frequency to high; the median is 1. A channel without power has 1, too.

    Raises
    ------
    SourceError
        The file cannot be read.
    """
    header, rows = filterbank.header, config.integrations
    blocks = header.nsamples // rows
    if (not config.channel_levels or coarse.has_dc_spike or header.nchans >= BLOCK_CHANNELS * MIN_SHAPE_BLOCKS
            or header.channel_width_mhz < MIN_CHANNEL_MHZ or blocks < MIN_SPANS):
        return None
    spans = np.linspace(0, blocks, min(blocks, MAX_SPANS) + 1).astype(np.int64)
    sums = np.zeros((len(spans) - 1, header.nchans))
    for first in range(0, blocks, step := max(1, READ_SAMPLES // (rows * header.nchans))):
        stop = min(first + step, blocks)
        power = filterbank.read(first * rows, stop * rows, 0, header.nchans)
        of_blocks = np.where(np.isfinite(power), power, 0).reshape(stop - first, -1, header.nchans).sum(1, np.float64)
        np.add.at(sums, np.searchsorted(spans, np.arange(first, stop), side="right") - 1, of_blocks)
    return _levels(sums)


def _levels(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the relative level (channels,) of each channel, given its power in some spans of time (spans, channels).
    """
    middle = np.array([np.median(span[span > 0]) if (span > 0).any() else 0 for span in sums])
    if not (middle > 0).any():
        return np.ones(sums.shape[1], np.float32)
    level = np.median(sums[middle > 0] / middle[middle > 0, None], axis=0)
    level /= np.median(level[level > 0]) if (level > 0).any() else 1
    return np.where(level > 0, level, 1).astype(np.float32)
