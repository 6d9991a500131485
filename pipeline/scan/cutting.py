"""Cuts windows out of flattened coarse channels, for a scan that keeps them and for a query that asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank import Buffer
from pipeline.flatten.coarse_channel import MIN_SAMPLED_CHANNELS, flatten_stretches
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.flatten.noise import nominal_noise_spectra
from pipeline.flatten.time_mean import STRIP_CHANNELS
from pipeline.gate import measure
from pipeline.grid.cutouts import quantise
from pipeline.grid.tiling import Tiling
from pipeline.scan.levels import ChannelLevels
from pipeline.scan.reading import Fetchable, Readable

STRETCH_CHANNELS = 16 * STRIP_CHANNELS
"""Channels that are decoded and scanned together. They must fit into the caches of a processor core."""
MIN_SAMPLED_AVERAGES = MIN_SAMPLED_CHANNELS // 4
"""Minimum number of averaged channels sampled for the gains of rows. They are averages of at least four times as many
channels, so the gains are as exact as those of the file itself."""


def flattened_stretches(
    samples: Readable, tiling: Tiling, i: int, block: int, beyond: int,
    spare: list[NDArray[np.float32]], sign: int, levels: ChannelLevels | None = None,
) -> Iterator[tuple[int, int, FlattenedChannel]]:
    """Yield flattened stretches of coarse channel ``i`` in time ``block``.

    ``levels`` are those of the channels of the file. Other parameters, and results, are those of
    :func:`pipeline.flatten.coarse_channel.flatten_stretches`.
    """
    low, high = tiling.coarse_span(i)
    first = tiling.spectrum_of(block)
    last = first + tiling.grid.integrations
    is_coarse = tiling.coarse.has_dc_spike
    return flatten_stretches(
        lambda start, stop, memory: samples.read(first, last, low + start, low + stop, memory),
        (last - first, high - low),
        stretch=STRETCH_CHANNELS,
        beyond=beyond,
        spare=spare,
        nominal=nominal_noise_spectra(tiling.header),
        has_dc_spike=is_coarse and tiling.is_whole(i),
        coarse_width=tiling.coarse.width if is_coarse else None,
        limits=samples.limits,
        sign=sign,
        levels=None if levels is None else levels.of(i, high - low),
        min_sampled=MIN_SAMPLED_CHANNELS if samples.averaged == 1 else MIN_SAMPLED_AVERAGES,
    )


def make_cutouts(flat: FlattenedChannel, starts: NDArray[np.int64], channels: int) -> NDArray[np.uint8]:
    """Turn windows of a flattened coarse channel into cutouts.

    Parameters
    ----------
    flat : FlattenedChannel
    starts : (n,) int64
        First channel of each window in ``flat``.
    channels : int
        Channels in a window.

    Returns
    -------
    (n, integrations, channels) uint8
        Codes (:mod:`pipeline.grid.cutouts`).

    Raises
    ------
    IndexError
        A window is not completely inside.
    """
    return quantise(flat.windows(starts, channels), flat.noise_spectra**-0.5)


def cut_windows(
    filterbank: Fetchable, tiling: Tiling, places: Sequence[tuple[int, int]],
    levels: ChannelLevels | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Make cutouts of any windows of a file, on the grid or off it, kept or not.

    As in a scan, the noise is measured in the data.

    Parameters
    ----------
    filterbank : Fetchable
        The open file, or a view of it.
    tiling : Tiling
        Its coarse channels and the shape of windows.
    places : sequence of (int, int)
        Time block and first ascending channel of each window. A window must be within one coarse channel.
    levels : ChannelLevels, optional
        Relative levels of the channels of the file.

    Returns
    -------
    (n, integrations, channels) uint8
        Codes (:mod:`pipeline.grid.cutouts`).
    (n,) float32
        Relative standard deviation of the noise of each window.

    Raises
    ------
    SourceError
        The file cannot be read.
    """
    grid = tiling.grid
    out = np.zeros((len(places), grid.integrations, grid.channels), np.uint8)
    spreads = np.zeros(len(places), np.float32)
    by_coarse_channel: dict[tuple[int, int], list[int]] = {}
    for k, (block, channel) in enumerate(places):
        by_coarse_channel.setdefault((block, tiling.coarse_at(channel)), []).append(k)
    room, spare = Buffer(), list[NDArray[np.float32]]()
    for (block, i), members in by_coarse_channel.items():
        low, high = tiling.coarse_span(i)
        first = tiling.spectrum_of(block)
        fetched = filterbank.fetch(first, first + grid.integrations, low, high, room)
        starts = np.array([places[k][1] - low for k in members], np.int64)
        out[members], spreads[members] = _cut(fetched, tiling, i, block, starts, spare, levels)
    return out, spreads


def _cut(
    samples: Readable, tiling: Tiling, i: int, block: int, starts: NDArray[np.int64], spare: list[NDArray[np.float32]],
    levels: ChannelLevels | None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Make cutouts of windows of coarse channel ``i``. They equal those of a scan that keeps these windows.

    Parameters
    ----------
    starts : (n,) int64
        First channel of each window, counted in the coarse channel.

    Returns
    -------
    (n, integrations, channels) uint8
    (n,) float32
        Relative standard deviation of the noise of each window.
    """
    grid = tiling.grid
    cutouts: NDArray[np.uint8] = np.zeros((2, len(starts), grid.integrations, grid.channels), np.uint8)
    spreads = np.zeros((2, len(starts)), np.float32)
    snr = np.full((2, len(starts)), -np.inf, np.float32)
    for side, sign in enumerate((1, -1)):
        is_signed = False
        for first, stop, flat in flattened_stretches(samples, tiling, i, block, grid.channels, spare, sign, levels):
            here, is_signed = (starts >= first) & (starts < stop), flat.is_signed
            cutouts[side, here] = make_cutouts(flat, starts[here] - first, grid.channels)
            spreads[side, here] = flat.noise_spectra**-0.5
            if is_signed:  # any false-alarm rate will do: it does not change the sums
                snr[side, here] = measure(flat, starts[here] - first, grid, 1e-3).snr
        if not is_signed:
            break
    best = snr.argmax(axis=0), np.arange(len(starts))
    return cutouts[best], spreads[best]
