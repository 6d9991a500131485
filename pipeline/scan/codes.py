"""The pixels of a coarse channel in the 8-bit code of overviews, for pictures finer than an overview."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank import Buffer
from pipeline.grid.tiling import Tiling
from pipeline.overview import encode
from pipeline.scan.cutting import flattened_stretches
from pipeline.scan.levels import ChannelLevels
from pipeline.scan.reading import Fetchable


def coarse_channel_codes(
    filterbank: Fetchable, tiling: Tiling, i: int, levels: ChannelLevels | None = None
) -> NDArray[np.uint8]:
    """Decode and flatten coarse channel ``i``, as a scan does.

    Parameters
    ----------
    filterbank : Fetchable
        The open file.
    tiling : Tiling
        Its coarse channels and time blocks.
    levels : ChannelLevels, optional
        Relative levels of its channels (:func:`pipeline.scan.levels.levels_of_channels`).

    Returns
    -------
    (spectra, channels) uint8
        All spectra of the file in the code of :mod:`pipeline.overview`. What the overview masks is 0: dead pixels,
        spectra in no time block, and a coarse channel in which no window is searched.

    Raises
    ------
    SourceError
        The file cannot be read.
    """
    low, high = tiling.coarse_span(i)
    codes = np.zeros((tiling.header.nsamples, high - low), np.uint8)
    if not len(tiling.positions(i)):
        return codes
    room, spare = Buffer(), list[NDArray[np.float32]]()
    for block in range(tiling.n_blocks):
        begin, shared = tiling.spectrum_of(block), tiling.shared_spectra(block)
        end = begin + tiling.grid.integrations
        samples = filterbank.fetch(begin, end, low, high, room)
        for first, stop, flat in flattened_stretches(samples, tiling, i, block, 0, spare, 1, levels):
            power = flat.windows(np.zeros(1, np.int64), stop - first)[0, shared:]
            power[power <= 0] = np.nan
            power -= 1
            power *= np.float32(flat.noise_spectra**0.5)
            codes[begin + shared : end, first:stop] = encode(power)
    return codes
