"""Where windows are: coarse channels, window numbers, MHz and seconds. This is plain arithmetic, without any data.

Covering invariant of :class:`Tiling`: every fine channel is in at least one window or is counted in
``channels_skipped``. Every spectrum is in exactly one time block or comes after the last whole block. Both hold for
either sign of ``foff``, because channels are counted from low frequency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import Reason, SourceError
from pipeline.model import CoarseLayout, Header, Window, WindowGrid

COARSE_WIDTH_MHZ = 187.5 / 64
"""Width of a Breakthrough Listen coarse channel: 2.9296875 MHz, at Green Bank and in Breakthrough Listen recordings
from other telescopes."""
MAX_PIECE_CHANNELS = 2**20
"""Maximum number of channels in a piece of a band without coarse channels. A task can hold a piece of this size."""
MIN_SPIKE_PERIOD = 4096
"""Minimum number of channels between DC spikes. Spikes that are closer together are a comb of interference."""
EDGE_TOLERANCE_CHANNELS = 0.01
"""Channels by which a window may extend beyond the requested band. Edges that were printed with nine decimals of a MHz
are rounded by less than this. So a window lies within the edges that were printed for it."""


def coarse_layout(
    header: Header,
    *,
    window_channels: int,
    width: int | None = None,
    dc_spikes: Sequence[int] = (),
    spikes_searched: int | None = None,
    window_is_given: bool = False,
) -> CoarseLayout:
    """Find the coarse channels of a file: from ``width``, else its product, else DC spikes.

    If none of these gives coarse channels, the whole band is cut into pieces.

    Parameters
    ----------
    window_channels : int
        Fine channels in a window. A coarse channel must hold at least one window.
    width : int, optional
        Fine channels in a coarse channel, given by the user. The band then starts with a whole coarse channel.
    dc_spikes : sequence of int
        Ascending channels at which the data has single-channel spikes, DC or not.
    spikes_searched : int, optional
        Number of channels, from low frequency, that were searched for spikes. Default: the whole band.
    window_is_given : bool
        True if the user chose the window. If it is wider than a coarse channel, the whole band is cut into pieces.

    Raises
    ------
    SourceError
        TOO_FEW_CHANNELS: the coarse channels (or the band) are narrower than a window.
    """
    product = product_width(header)
    if width is not None:
        layout = CoarseLayout(width, "flag")
    elif product is not None:
        layout = CoarseLayout(product, "product")
    elif series := spike_period(dc_spikes, spikes_searched or header.nchans):
        layout = CoarseLayout(series[0], "dc-spikes", _first_whole_channel(*series))
    else:
        layout = _whole_band(header)
    if layout.width < window_channels <= header.nchans and window_is_given:
        return _whole_band(header)
    room = min(layout.width, header.nchans)
    if room < window_channels:
        raise SourceError(
            Reason.TOO_FEW_CHANNELS,
            f"its coarse channels have {room} fine channels of {header.channel_width_mhz * 1e6:.4g} Hz, a window has "
            f"{window_channels}; choose a smaller window with --window for a new corpus",
        )
    return layout


def _whole_band(header: Header) -> CoarseLayout:
    """Return the layout of a band without coarse channels: pieces of a size that a task can hold."""
    return CoarseLayout(min(header.nchans, MAX_PIECE_CHANNELS), "whole-band")


def product_width(header: Header) -> int | None:
    """Return the number of fine channels in a coarse channel of a Breakthrough Listen product.

    The band must consist of whole coarse channels of 2.9296875 MHz. Known products have 2^20 fine channels of 2.79 Hz
    in one (1,033,216 in early data), 1,024 of 2.86 kHz or 8 of 366 kHz.

    Returns
    -------
    int or None
        None if the file is not such a product.
    """
    width = round(COARSE_WIDTH_MHZ / header.channel_width_mhz)
    if width < 2 or header.nchans % width:
        return None
    return width if math.isclose(width * header.channel_width_mhz, COARSE_WIDTH_MHZ, rel_tol=1e-4) else None


def spike_period(spikes: Sequence[int], nchans: int) -> tuple[int, int] | None:
    """Find the DC spikes among single-channel spikes.

    DC spikes are periodic. The other spikes are steady interference. A series is accepted if it has at least three
    spikes and at least four fifths of those expected in the band. The others may be hidden by interference. The
    shortest period wins.

    Parameters
    ----------
    spikes : sequence of int
        Ascending channels of single-channel spikes.
    nchans : int
        Number of channels, from low frequency, that were searched for them.

    Returns
    -------
    (int, int) or None
        Period and phase in channels; None if there is no such series.
    """
    found = np.unique(np.asarray(spikes, np.int64))
    gaps = np.unique(found[:, None] - found)
    for period in gaps[gaps >= MIN_SPIKE_PERIOD]:
        phases, present = np.unique(found % period, return_counts=True)
        places = -((phases - nchans) // period)
        present[(present < 3) | (present < 0.8 * places)] = 0
        if present.any():
            return int(period), int(phases[present.argmax()])
    return None


def _first_whole_channel(period: int, phase: int) -> int:
    """Return the fine channel at which the first whole coarse channel begins.

    Its DC bin is at ``phase``. The DC bin is the upper of the two central channels of a coarse channel, or the lower
    one in a mirrored band. The band is taken to be mirrored if it then begins with a whole coarse channel.
    """
    return 0 if phase == (period - 1) // 2 else (phase - period // 2) % period


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one source is cut into windows.

    The number of a window is time block × windows per block + position in the block, counted from low frequency. It
    does not depend on ``f_start_mhz`` and ``f_stop_mhz``, which only choose the windows that are searched.
    """

    header: Header
    grid: WindowGrid
    coarse: CoarseLayout
    f_start_mhz: float | None = None
    """Lower edge of the band to search; None for the file's own."""
    f_stop_mhz: float | None = None
    """Upper edge of the band to search; None for the file's own."""

    @property
    def n_blocks(self) -> int:
        """Number of time blocks. Spectra after the last whole block are skipped."""
        return self.header.nsamples // self.grid.integrations

    @property
    def n_coarse(self) -> int:
        """Number of coarse channels, including shorter pieces at either end of the band."""
        whole, rest = divmod(self.header.nchans - self.coarse.offset, self.coarse.width)
        return whole + (rest > 0) + (self.coarse.offset > 0)

    def coarse_span(self, i: int) -> tuple[int, int]:
        """Return the ascending fine channels [start, stop) of coarse channel ``i``."""
        lead = self.coarse.offset > 0
        start = self.coarse.offset + (i - lead) * self.coarse.width
        return max(start, 0), min(start + self.coarse.width, self.header.nchans)

    def coarse_at(self, channel: int) -> int:
        """Return the coarse channel that contains the ascending fine ``channel``."""
        lead = self.coarse.offset > 0
        return (channel - self.coarse.offset) // self.coarse.width + lead

    def is_whole(self, i: int) -> bool:
        """Tell whether coarse channel ``i`` is complete. Only then is its DC bin in its middle."""
        start, stop = self.coarse_span(i)
        return stop - start == self.coarse.width

    def windows_in(self, i: int) -> int:
        """Return the number of windows per time block in coarse channel ``i``."""
        start, stop = self.coarse_span(i)
        return _count_windows(stop - start, self.grid)

    def first_position(self, i: int) -> int:
        """Return the number of windows per time block below coarse channel ``i``."""
        lead = self.coarse.offset > 0
        if i == 0:
            return 0
        before = _count_windows(self.coarse.offset, self.grid) if lead else 0
        whole = i - lead
        last = i == self.n_coarse  # the total is wanted, and the last piece may be short
        if last and not self.is_whole(i - 1) and whole > 0:
            return before + (whole - 1) * _count_windows(self.coarse.width, self.grid) + self.windows_in(i - 1)
        return before + whole * _count_windows(self.coarse.width, self.grid)

    @property
    def windows_per_block(self) -> int:
        """Number of windows of the whole band in one time block."""
        return self.first_position(self.n_coarse)

    @property
    def n_windows(self) -> int:
        """Number of windows of the source, whatever part of the band is searched."""
        return self.n_blocks * self.windows_per_block

    def positions(self, i: int) -> range:
        """Return the positions, counted within coarse channel ``i``, of the windows that are searched.

        These are the windows completely between ``f_start_mhz`` and ``f_stop_mhz``.
        """
        start, _ = self.coarse_span(i)
        count = self.windows_in(i)
        first, last = 0, count - 1
        if self.f_start_mhz is not None:
            lowest = self.header.channel_at(self.f_start_mhz) - start - EDGE_TOLERANCE_CHANNELS
            first = math.ceil(lowest / self.grid.step)
        if self.f_stop_mhz is not None:
            highest = self.header.channel_at(self.f_stop_mhz) - start - self.grid.channels + EDGE_TOLERANCE_CHANNELS
            last = math.floor(highest / self.grid.step)
        first = min(max(first, 0), count)
        return range(first, max(first, min(last + 1, count)))

    @property
    def channels_skipped(self) -> int:
        """Number of fine channels that are in no window.

        These are the remainder of each coarse channel, and the gaps between windows if the step is larger than a
        window.
        """
        kinds: dict[int, int] = {}
        for i in range(self.n_coarse):
            start, stop = self.coarse_span(i)
            kinds[stop - start] = kinds.get(stop - start, 0) + 1
        return sum(count * (width - _count_covered(width, self.grid)) for width, count in kinds.items())

    def number(self, block: int, i: int, position: int) -> int:
        """Return the number of the window at ``position`` in coarse channel ``i`` and time ``block``."""
        return block * self.windows_per_block + self.first_position(i) + position

    def locate(self, number: int) -> tuple[int, int, int]:
        """Return (time block, coarse channel, position in it) of a window number: the inverse of :meth:`number`.

        Raises
        ------
        IndexError
            The source has no window with this number.
        """
        if not 0 <= number < self.n_windows:
            raise IndexError(f"window {number} is not among the source's {self.n_windows}")
        block, place = divmod(number, self.windows_per_block)
        low, high = 0, self.n_coarse - 1
        while low < high:  # binary search for the last coarse channel whose first position is at or below `place`
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.first_position(middle) <= place else (low, middle - 1)
        return block, low, place - self.first_position(low)

    def window(self, source_id: str, number: int) -> Window:
        """Return the window of a number, in channels, spectra, MHz, seconds and MJD.

        Raises
        ------
        IndexError
            The source has no window with this number.
        """
        block, i, position = self.locate(number)
        channel = self.coarse_span(i)[0] + position * self.grid.step
        return self.window_at(source_id, block * self.grid.integrations, channel, number)

    def window_at(self, source_id: str, spectrum: int, channel: int, number: int = -1) -> Window:
        """Return the window that begins at ``spectrum`` and ascending ``channel``, which may be off the grid.

        ``number`` is −1 for a window that is off the grid.
        """
        header, grid = self.header, self.grid
        t_start_s = spectrum * header.tsamp_s
        return Window(
            source_id=source_id,
            number=number,
            channel_start=channel,
            channel_stop=channel + grid.channels,
            spectrum_start=spectrum,
            spectrum_stop=spectrum + grid.integrations,
            f_start_mhz=header.channel_edge_mhz(channel),
            f_stop_mhz=header.channel_edge_mhz(channel + grid.channels),
            t_start_s=t_start_s,
            t_stop_s=t_start_s + grid.integrations * header.tsamp_s,
            mjd=header.mjd_at(t_start_s),
        )


def _count_windows(width: int, grid: WindowGrid) -> int:
    """Return the number of windows in a piece of ``width`` channels."""
    return 0 if width < grid.channels else (width - grid.channels) // grid.step + 1


def _count_covered(width: int, grid: WindowGrid) -> int:
    """Return the number of channels in at least one window, for a piece of ``width`` channels."""
    count = _count_windows(width, grid)
    if count == 0:
        return 0
    return (count - 1) * min(grid.step, grid.channels) + grid.channels
