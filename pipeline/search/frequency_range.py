"""From a range of frequency and time to the windows that cover it. Uses no files."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.errors import ParameterError, QueryError, parameter
from pipeline.grid.tiling import Tiling

MAX_RANGE_OF_ONE_WINDOW = 1.5
"""Maximum width, in windows, of a range that is covered by one window."""
EDGE_TOLERANCE_CHANNELS = 1e-3
"""Frequencies that people give have nine decimals or fewer. Within this tolerance they mean the edge of a channel."""


@dataclass(frozen=True, slots=True)
class Range:
    """A range of frequency and time in a file."""

    f_start_mhz: float
    f_stop_mhz: float
    t_start_s: float | None = None
    """Seconds after the first spectrum; None for the begin of the file."""
    t_stop_s: float | None = None
    """Seconds after the first spectrum; None for the end of the file."""

    def __str__(self) -> str:
        frequencies = f"{self.f_start_mhz}–{self.f_stop_mhz} MHz"
        if not self.has_times:
            return frequencies
        stop = "the end" if self.t_stop_s is None else f"{self.t_stop_s:g} s"
        return f"{frequencies}, {self.t_start_s or 0:g} s to {stop}"

    @property
    def has_times(self) -> bool:
        """True if the range does not simply cover all spectra."""
        return not (self.t_start_s is None and self.t_stop_s is None)


def no_range(f_start_mhz: float, f_stop_mhz: float) -> ParameterError:
    """Return the error for a range of frequency that does not run upwards."""
    return ParameterError(f"{f_start_mhz}–{f_stop_mhz} MHz is no range: give the lower frequency first, as "
                          f"{parameter('f_start_mhz')}")


def check_range(wanted: Range, tiling: Tiling, name: str) -> None:
    """Check the frequencies of a range.

    Parameters
    ----------
    name : str
        Name of the file, for messages.

    Raises
    ------
    ParameterError
        The range does not run upwards, or is not within the band of the file.
    """
    f_start_mhz, f_stop_mhz = wanted.f_start_mhz, wanted.f_stop_mhz
    if not (math.isfinite(f_start_mhz) and math.isfinite(f_stop_mhz) and f_start_mhz <= f_stop_mhz):
        raise no_range(f_start_mhz, f_stop_mhz)
    header = tiling.header
    if f_start_mhz < header.f_min_mhz - header.channel_width_mhz or (
        f_stop_mhz > header.f_max_mhz + header.channel_width_mhz
    ):
        raise QueryError(
            f"{f_start_mhz}–{f_stop_mhz} MHz is not within the band of {name}: "
            f"{header.f_min_mhz:.6f}–{header.f_max_mhz:.6f} MHz"
        )


def time_blocks(tiling: Tiling, wanted: Range, name: str) -> range:
    """Return the time blocks that hold the spectra of a range. Times are rounded to whole spectra.

    Parameters
    ----------
    name : str
        Name of the file, for messages.

    Raises
    ------
    QueryError
        The range lies after the last time block.
    """
    header, length = tiling.header, tiling.grid.integrations
    first = 0 if wanted.t_start_s is None else round(min(wanted.t_start_s / header.tsamp_s, header.nsamples))
    stop = header.nsamples
    if wanted.t_stop_s is not None:
        stop = round(min(wanted.t_stop_s / header.tsamp_s, header.nsamples))
    searched = header.nsamples - tiling.spectra_skipped
    if first >= searched:
        searched_s = searched * header.tsamp_s
        raise QueryError(f"{wanted} is not within the windows of {name}, which end at {searched_s:g} s: there are "
                         f"{header.nsamples:,} spectra, and windows have {length}")
    # a last block that overlaps the one before is only needed for the spectra that follow that one
    return range(first // length, min(-(-max(stop, first + 1) // length), tiling.n_blocks))


def window_starts(tiling: Tiling, f_start_mhz: float, f_stop_mhz: float) -> list[int]:
    """Choose the first channels of the windows that cover a range.

    A range of up to 1.5 windows is covered by one window, centred on it. A wider range is split at the edges of coarse
    channels. Each part is covered by whole windows side by side, centred in the part. No window crosses the edge of a
    coarse channel.

    Parameters
    ----------
    tiling : Tiling
    f_start_mhz, f_stop_mhz : float
        Within the band (:func:`check_range`).

    Returns
    -------
    list of int
        First channels, ascending. Channel 0 is the lowest frequency.

    Raises
    ------
    QueryError
        The range lies in a piece of the band that is narrower than a window.
    """
    nchans, channels = tiling.header.nchans, tiling.grid.channels
    low, high = (min(max(tiling.header.channel_at(f), 0.0), float(nchans)) for f in (f_start_mhz, f_stop_mhz))
    if high - low <= MAX_RANGE_OF_ONE_WINDOW * channels + EDGE_TOLERANCE_CHANNELS:
        return [_centred(tiling, low, high)]
    parts = []
    for i in range(_coarse_at(tiling, low), _coarse_at(tiling, high) + 1):
        first, last = tiling.coarse_span(i)
        parts.append((max(low, float(first)), min(high, float(last))))
    starts = [start for part in parts for start in _side_by_side(*part, channels)]
    return starts or [_centred(tiling, *max(parts, key=lambda part: part[1] - part[0]))]


def _coarse_at(tiling: Tiling, channel: float) -> int:
    return tiling.coarse_at(min(int(channel), tiling.header.nchans - 1))


def _centred(tiling: Tiling, low: float, high: float) -> int:
    """Return the first channel of the window centred between two channels.

    The window is moved as far as needed to stay in the coarse channel of the centre.
    """
    channels = tiling.grid.channels
    first, last = tiling.coarse_span(_coarse_at(tiling, (low + high) / 2))
    if last - first < channels:
        f_mhz = tiling.header.channel_edge_mhz((low + high) / 2)
        raise QueryError(f"no window at {f_mhz:.6f} MHz: the piece of coarse channel there has {last - first} "
                         f"channels, a window has {channels}")
    return min(max(round((low + high - channels) / 2), first), last - channels)


def _side_by_side(low: float, high: float, channels: int) -> list[int]:
    """Return the first channels of the whole windows that fit between two channels, in the middle."""
    count = math.floor((high - low + EDGE_TOLERANCE_CHANNELS) / channels)
    first = round((low + high - count * channels) / 2)
    return [first + k * channels for k in range(count)]


def number_at(tiling: Tiling, block: int, channel: int) -> int:
    """Return the number of the window that begins at ``channel`` in time ``block``, or −1 if the grid has none."""
    i = tiling.coarse_at(channel)
    offset = channel - tiling.coarse_span(i)[0]
    position = -(-offset // tiling.grid.step)
    is_on_grid = position < tiling.windows_in(i) and tiling.offset_of(i, position) == offset
    return tiling.number(block, i, position) if is_on_grid else -1
