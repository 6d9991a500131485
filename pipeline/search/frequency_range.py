"""From a range of frequency to windows. Pure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.grid.tiling import Tiling

ONE_WINDOW = 1.5
"""A range of up to this many windows is looked at through one window."""
SLACK = 1e-3
"""Channels: frequencies given with nine decimals meet the edges they mean."""


def check_range(f_start_mhz: float, f_stop_mhz: float, tiling: Tiling, name: str) -> None:
    """Raise :class:`QueryError` unless the range runs upwards and lies in the band of the file ``name``."""
    if not (math.isfinite(f_start_mhz) and math.isfinite(f_stop_mhz) and f_start_mhz <= f_stop_mhz):
        raise QueryError(f"{f_start_mhz}–{f_stop_mhz} MHz is no range: give the lower frequency first")
    header = tiling.header
    if f_start_mhz < header.f_min_mhz - header.channel_width_mhz or (
        f_stop_mhz > header.f_max_mhz + header.channel_width_mhz
    ):
        raise QueryError(
            f"{f_start_mhz}–{f_stop_mhz} MHz is not within the band of {name}: "
            f"{header.f_min_mhz:.6f}–{header.f_max_mhz:.6f} MHz"
        )


def window_starts(tiling: Tiling, f_start_mhz: float, f_stop_mhz: float) -> list[int]:
    """Choose the first channels of the windows through which a range is looked at.

    A range of up to 1.5 windows: one window, centred on it. A wider one: as many whole windows side by side as each
    coarse channel's share of it holds, centred in that share. No window leaves its coarse channel.

    Parameters
    ----------
    tiling : Tiling
    f_start_mhz, f_stop_mhz : float
        Within the band (:func:`check_range`).

    Returns
    -------
    list of int
        Ascending channels, ascending.

    Raises
    ------
    QueryError
        The range lies in a piece of the band that is narrower than a window.
    """
    nchans, channels = tiling.header.nchans, tiling.grid.channels
    low, high = (min(max(tiling.header.channel_at(f), 0.0), float(nchans)) for f in (f_start_mhz, f_stop_mhz))
    if high - low <= ONE_WINDOW * channels + SLACK:
        return [_centred(tiling, low, high)]
    shares = []
    for i in range(_coarse_at(tiling, low), _coarse_at(tiling, high) + 1):
        first, last = tiling.coarse_span(i)
        shares.append((max(low, float(first)), min(high, float(last))))
    starts = [start for share in shares for start in _side_by_side(*share, channels)]
    return starts or [_centred(tiling, *max(shares, key=lambda share: share[1] - share[0]))]


def _coarse_at(tiling: Tiling, channel: float) -> int:
    return tiling.coarse_at(min(int(channel), tiling.header.nchans - 1))


def _centred(tiling: Tiling, low: float, high: float) -> int:
    """First channel of the window centred between two channels, moved into the coarse channel of the centre."""
    channels = tiling.grid.channels
    first, last = tiling.coarse_span(_coarse_at(tiling, (low + high) / 2))
    if last - first < channels:
        f_mhz = tiling.header.channel_edge_mhz((low + high) / 2)
        raise QueryError(f"no window at {f_mhz:.6f} MHz: the piece of coarse channel there has {last - first} "
                         f"channels, a window has {channels}")
    return min(max(round((low + high - channels) / 2), first), last - channels)


def _side_by_side(low: float, high: float, channels: int) -> list[int]:
    """First channels of the whole windows that fit between two channels, in the middle."""
    count = math.floor((high - low + SLACK) / channels)
    first = round((low + high - count * channels) / 2)
    return [first + k * channels for k in range(count)]


def number_at(tiling: Tiling, block: int, channel: int) -> int:
    """Number of the window that begins at ``channel`` in time ``block``; −1 where the grid has none there."""
    i = tiling.coarse_at(channel)
    position, off = divmod(channel - tiling.coarse_span(i)[0], tiling.grid.step)
    return -1 if off or position >= tiling.windows_in(i) else tiling.number(block, i, position)


def first_channels(tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """First channel of each window of ``numbers``."""
    pieces = range(tiling.n_coarse)
    first_positions = np.array([tiling.first_position(i) for i in pieces])
    starts = np.array([tiling.coarse_span(i)[0] for i in pieces])
    places = numbers % tiling.windows_per_block
    # pieces without windows share their first position with the next one: "right" takes the last of them
    piece = np.searchsorted(first_positions, places, side="right") - 1
    channels: NDArray[np.int64] = starts[piece] + (places - first_positions[piece]) * tiling.grid.step
    return channels
