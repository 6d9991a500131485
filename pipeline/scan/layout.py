"""How a source is cut into windows: its coarse channels, found from the product, from DC spikes, or not at all."""

from __future__ import annotations

import numpy as np

from pipeline.config import ScanConfig
from pipeline.errors import SourceError
from pipeline.filterbank import Filterbank, require_spectra
from pipeline.grid.tiling import Tiling, coarse_layout, product_width
from pipeline.scan.reading import READ_CHANNELS
from pipeline.support.text import shown

SPIKE_CHANNELS = 2**23
"""Channels searched for DC spikes in a band whose coarse channels are unknown."""
SPIKE_RATIO = 1.5
"""Power of a DC spike over that of both neighbouring channels, in the mean over time."""
MAX_SPIKES = 64
"""Most DC spikes that are looked at, the highest first."""


def tiling_of(filterbank: Filterbank, config: ScanConfig) -> Tiling:
    """Decide how a source is cut into windows.

    Raises
    ------
    SourceError
        TOO_FEW_SAMPLES, TOO_FEW_CHANNELS.
    """
    header = filterbank.header
    require_spectra(header, config.integrations, path=filterbank.path)
    unknown = config.coarse_width is None and product_width(header) is None
    try:
        layout = coarse_layout(
            header,
            window_channels=config.window,
            width=config.coarse_width,
            dc_spikes=_spikes(filterbank) if unknown else (),
            spikes_searched=min(header.nchans, SPIKE_CHANNELS),
            window_is_given=config.window_is_given,
        )
    except SourceError as error:
        raise SourceError(error.reason, f"{shown(filterbank.path)}: {error.message}") from None
    return Tiling(header, config.grid, layout, config.f_start_mhz, config.f_stop_mhz)


def _spikes(filterbank: Filterbank) -> list[int]:
    """Return channels that stand alone above their neighbours: DC bins, and steady interference."""
    header = filterbank.header
    found: list[tuple[float, int]] = []
    for start in range(0, min(header.nchans, SPIKE_CHANNELS), READ_CHANNELS):
        stop = min(start + READ_CHANNELS, header.nchans)
        power = filterbank.read(0, min(16, header.nsamples), start, stop)
        with np.errstate(all="ignore"):  # power may be anything; what is not finite is no spike
            spectrum = power.mean(axis=0)
            ratio = spectrum[1:-1] / np.maximum(spectrum[:-2], spectrum[2:])
        found += [(float(ratio[i]), start + 1 + int(i)) for i in np.flatnonzero(ratio > SPIKE_RATIO)]
    return [channel for _, channel in sorted(found, reverse=True)[:MAX_SPIKES]]
