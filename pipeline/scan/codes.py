"""The pixels of a coarse channel in the 8-bit code of overviews, for pictures finer than an overview."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank import Buffer
from pipeline.grid.tiling import Tiling
from pipeline.overview import DROPPED_BITS, code_table
from pipeline.scan.cutting import flattened_stretches
from pipeline.scan.levels import ChannelLevels
from pipeline.scan.reading import Fetchable
from pipeline.support.compiled import njit


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
            new = flat.from_spectrum(shared) if shared else flat
            _write_codes(new.stored, new.is_mirrored, new.row_scale, new.channel_scale,
                         np.float32(new.noise_spectra**0.5), code_table(), codes[begin + shared : end, first:stop])
    return codes


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _write_codes(
    stored: NDArray[np.float32], is_mirrored: bool, row_scale: NDArray[np.float32],
    channel_scale: NDArray[np.float32], per_noise: np.float32, table: NDArray[np.uint8], codes: NDArray[np.uint8],
) -> None:
    """Write the codes (spectra, channels) of the first channels of a stretch.

    In one pass, because flattened power that is written and read again takes three times as long.
    """
    last = stored.shape[1] - 1
    spectra, channels = codes.shape
    values = np.empty(channels, np.float32)
    bits = values.view(np.uint32)
    for t in range(spectra):
        for c in range(channels):
            power = stored[t, last - c] if is_mirrored else stored[t, c]
            scale = row_scale[t] * channel_scale[c]
            is_alive = (power > 0) & (power < np.float32(np.inf)) & (scale > 0)
            values[c] = (power * scale - np.float32(1)) * per_noise if is_alive else np.float32(np.nan)
        for c in range(channels):
            codes[t, c] = table[bits[c] >> DROPPED_BITS]
