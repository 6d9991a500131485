"""Decides how a source is cut into windows. Coarse channels follow from settings, the header or DC spikes."""

from __future__ import annotations

import numpy as np

from pipeline.config import ScanConfig
from pipeline.errors import SourceError
from pipeline.filterbank import Filterbank, require_spectra
from pipeline.grid.coarse_layout import coarse_layout, known_layout
from pipeline.grid.tiling import Tiling
from pipeline.scan.reading import READ_CHANNELS
from pipeline.support.text import shown

MAX_SPIKE_CHANNELS = 2**23
"""Maximum number of channels that are searched for DC spikes if the coarse channels of a band are unknown."""
MIN_SPIKE_RATIO = 1.5
"""Minimum ratio of a DC spike's power to that of each neighbouring channel, in the mean over time."""
MAX_SPIKES = 64
"""Maximum number of DC spikes that are used. The strongest are taken."""


def tiling_of(filterbank: Filterbank, config: ScanConfig) -> Tiling:
    """Decide how a source is cut into windows.

    Parameters
    ----------
    filterbank : Filterbank
        The open file. It is read only if its coarse channels have to be found from DC spikes.
    config : ScanConfig
        Window grid and searched band.

    Raises
    ------
    SourceError
        TOO_FEW_SAMPLES or TOO_FEW_CHANNELS: the file is smaller than a window. Other reasons: it cannot be read.
    """
    header = filterbank.header
    require_spectra(header, config.integrations, path=filterbank.path)
    unknown = config.coarse_width is None and known_layout(header) is None
    try:
        layout = coarse_layout(
            header,
            window_channels=config.window,
            width=config.coarse_width,
            dc_spikes=_find_spikes(filterbank) if unknown else (),
            spikes_searched=min(header.nchans, MAX_SPIKE_CHANNELS),
            window_is_given=config.window_is_given,
        )
    except SourceError as error:
        raise SourceError(error.reason, f"{shown(filterbank.path)}: {error.message}") from None
    return Tiling(header, config.grid, layout, config.f_start_mhz, config.f_stop_mhz)


def _find_spikes(filterbank: Filterbank) -> list[int]:
    """Return channels that are stronger than both neighbours, strongest first: DC bins and steady interference."""
    header = filterbank.header
    found: list[tuple[float, int]] = []
    for start in range(0, min(header.nchans, MAX_SPIKE_CHANNELS), READ_CHANNELS):
        stop = min(start + READ_CHANNELS, header.nchans)
        power = filterbank.read(0, min(16, header.nsamples), start, stop)
        with np.errstate(all="ignore"):  # power may have any value; if it is not finite, it is no spike
            spectrum = power.mean(axis=0)
            ratio = spectrum[1:-1] / np.maximum(spectrum[:-2], spectrum[2:])
        found += [(float(ratio[i]), start + 1 + int(i)) for i in np.flatnonzero(ratio > MIN_SPIKE_RATIO)]
    return [channel for _, channel in sorted(found, reverse=True)[:MAX_SPIKES]]
