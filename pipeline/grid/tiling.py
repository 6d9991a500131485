"""Where windows lie: coarse channels, window numbers, MHz and seconds. Pure arithmetic in channels.

Covering invariant of :class:`Tiling`: every fine channel lies in at least one window, or it is counted in
``channels_skipped``; every spectrum lies in exactly one time block, or it is counted in ``spectra_skipped``. Both
hold for either sign of ``foff``, because channels are counted from low frequency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import Reason, SourceError
from pipeline.model import CoarseLayout, Header, Window, WindowGrid

COARSE_WIDTH_MHZ = 187.5 / 64
"""Width of a Breakthrough Listen coarse channel: 2.9296875 MHz, at Green Bank and in its recordings elsewhere."""
WIDEST_PIECE = 2**20
"""A band without coarse channels is cut in pieces of this many channels: what a task can hold."""
NARROWEST_COARSE = 4096
"""Spikes closer than this are a comb of interference, not DC bins."""
EDGE_TOLERANCE = 0.01
"""Channels: windows whose edges were printed with nine decimals of a MHz lie within those edges."""


def coarse_layout(
    header: Header,
    *,
    window_channels: int,
    width: int | None = None,
    dc_spikes: Sequence[int] = (),
    spikes_searched: int | None = None,
    window_is_given: bool = False,
) -> CoarseLayout:
    """Find the coarse channels of a file: from ``width``, else its product, else DC spikes, else the band is one.

    Parameters
    ----------
    header : Header
    window_channels : int
        A coarse channel narrower than a window cannot hold one.
    width : int, optional
        Fine channels a coarse channel, given by the user; the band then starts with a whole one.
    dc_spikes : sequence of int
        Ascending channels at which the data shows single-channel spikes, DC or not (see :func:`spike_period`).
    spikes_searched : int, optional
        How many of the lowest channels were searched for them; the whole band by default.
    window_is_given : bool
        Where the user chose the window, one wider than a coarse channel is cut from the band as a whole.

    Raises
    ------
    SourceError
        TOO_FEW_CHANNELS where coarse channels (or the band) are narrower than a window.
    """
    product = product_width(header)
    if width is not None:
        layout = CoarseLayout(width, "flag")
    elif product is not None:
        layout = CoarseLayout(product, "product")
    elif series := spike_period(dc_spikes, spikes_searched or header.nchans):
        layout = CoarseLayout(series[0], "dc-spikes", _offset(*series))
    else:
        layout = _whole_band(header)
    if layout.width < window_channels <= header.nchans and window_is_given:
        return _whole_band(header)
    room = min(layout.width, header.nchans)
    if room < window_channels:
        raise SourceError(
            Reason.TOO_FEW_CHANNELS,
            f"its coarse channels have {room} fine channels of {header.channel_width_mhz * 1e6:.4g} Hz, a window has "
            f"{window_channels}; choose a smaller window with --window",
        )
    return layout


def _whole_band(header: Header) -> CoarseLayout:
    """Take the band as one, in pieces a task can hold."""
    return CoarseLayout(min(header.nchans, WIDEST_PIECE), "whole-band")


def product_width(header: Header) -> int | None:
    """Return the fine channels a coarse channel of a Breakthrough Listen product, None where it is none.

    The band must be whole coarse channels of 2.9296875 MHz: 2^20 fine channels of 2.79 Hz, 1,033,216 in early data,
    1,024 of 2.86 kHz, 8 of 366 kHz.
    """
    width = round(COARSE_WIDTH_MHZ / header.channel_width_mhz)
    if width < 2 or header.nchans % width:
        return None
    return width if math.isclose(width * header.channel_width_mhz, COARSE_WIDTH_MHZ, rel_tol=1e-4) else None


def spike_period(spikes: Sequence[int], nchans: int) -> tuple[int, int] | None:
    """Return (period, phase) of the DC spikes among single-channel spikes in ``nchans`` channels, or None.

    A series counts where at least three, and four fifths, of its places in the band are spikes: steady interference is
    among the spikes too, and a spike may hide under interference. The shortest period wins.
    """
    found = np.unique(np.asarray(spikes, np.int64))
    gaps = np.unique(found[:, None] - found)
    for period in gaps[gaps >= NARROWEST_COARSE]:
        phases, present = np.unique(found % period, return_counts=True)
        places = -((phases - nchans) // period)
        present[(present < 3) | (present < 0.8 * places)] = 0
        if present.any():
            return int(period), int(phases[present.argmax()])
    return None


def _offset(period: int, phase: int) -> int:
    """Return where the first whole coarse channel begins whose DC bin lies at ``phase``.

    The DC bin is the upper of the two central channels, the lower one in a mirrored band. Where that makes the band
    begin with a whole coarse channel, it is mirrored.
    """
    return 0 if phase == (period - 1) // 2 else (phase - period // 2) % period


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one source is cut into windows.

    A window's number is time block × windows a block + its position counted from low frequency. It does not depend on
    ``f_start_mhz``/``f_stop_mhz``, which only choose which of the windows are searched.
    """

    header: Header
    grid: WindowGrid
    coarse: CoarseLayout
    f_start_mhz: float | None = None
    f_stop_mhz: float | None = None

    @property
    def n_blocks(self) -> int:
        """Time blocks; the remaining spectra are skipped."""
        return self.header.nsamples // self.grid.integrations

    @property
    def spectra_skipped(self) -> int:
        """Spectra after the last whole time block."""
        return self.header.nsamples - self.n_blocks * self.grid.integrations

    @property
    def n_coarse(self) -> int:
        """Coarse channels, shorter pieces at either end of the band included."""
        whole, rest = divmod(self.header.nchans - self.coarse.offset, self.coarse.width)
        return whole + (rest > 0) + (self.coarse.offset > 0)

    def coarse_span(self, i: int) -> tuple[int, int]:
        """Ascending channels [start, stop) of coarse channel ``i``."""
        lead = self.coarse.offset > 0
        start = self.coarse.offset + (i - lead) * self.coarse.width
        return max(start, 0), min(start + self.coarse.width, self.header.nchans)

    def coarse_at(self, channel: int) -> int:
        """Coarse channel that holds ascending fine ``channel``."""
        lead = self.coarse.offset > 0
        return (channel - self.coarse.offset) // self.coarse.width + lead

    def is_whole(self, i: int) -> bool:
        """Tell whether coarse channel ``i`` is complete, so that its middle is its DC bin."""
        start, stop = self.coarse_span(i)
        return stop - start == self.coarse.width

    def windows_in(self, i: int) -> int:
        """Windows a time block in coarse channel ``i``."""
        start, stop = self.coarse_span(i)
        return _windows_in(stop - start, self.grid)

    def first_position(self, i: int) -> int:
        """Windows a time block below coarse channel ``i``."""
        lead = self.coarse.offset > 0
        if i == 0:
            return 0
        before = _windows_in(self.coarse.offset, self.grid) if lead else 0
        whole = i - lead
        last = i == self.n_coarse  # asked for the total: the last piece may be short
        if last and not self.is_whole(i - 1) and whole > 0:
            return before + (whole - 1) * _windows_in(self.coarse.width, self.grid) + self.windows_in(i - 1)
        return before + whole * _windows_in(self.coarse.width, self.grid)

    @property
    def windows_per_block(self) -> int:
        """Windows of the whole band in one time block."""
        return self.first_position(self.n_coarse)

    @property
    def n_windows(self) -> int:
        """Windows of the source, whatever part of the band is searched."""
        return self.n_blocks * self.windows_per_block

    def positions(self, i: int) -> range:
        """Positions within coarse channel ``i`` of the windows wholly inside ``f_start_mhz``–``f_stop_mhz``."""
        start, _ = self.coarse_span(i)
        count = self.windows_in(i)
        first, last = 0, count - 1
        if self.f_start_mhz is not None:
            first = math.ceil((self.header.channel_at(self.f_start_mhz) - start - EDGE_TOLERANCE) / self.grid.step)
        if self.f_stop_mhz is not None:
            room = self.header.channel_at(self.f_stop_mhz) - start - self.grid.channels + EDGE_TOLERANCE
            last = math.floor(room / self.grid.step)
        first = min(max(first, 0), count)
        return range(first, max(first, min(last + 1, count)))

    @property
    def channels_skipped(self) -> int:
        """Fine channels in no window of the grid: the rest of each coarse channel, and gaps where step > window."""
        kinds: dict[int, int] = {}
        for i in range(self.n_coarse):
            start, stop = self.coarse_span(i)
            kinds[stop - start] = kinds.get(stop - start, 0) + 1
        return sum(count * (width - _covered(width, self.grid)) for width, count in kinds.items())

    def number(self, block: int, i: int, position: int) -> int:
        """Window number of ``position`` in coarse channel ``i`` and time ``block``."""
        return block * self.windows_per_block + self.first_position(i) + position

    def locate(self, number: int) -> tuple[int, int, int]:
        """Return (block, coarse channel, position) of a window number: the inverse of :meth:`number`."""
        if not 0 <= number < self.n_windows:
            raise IndexError(f"window {number} is not among the source's {self.n_windows}")
        block, place = divmod(number, self.windows_per_block)
        low, high = 0, self.n_coarse - 1
        while low < high:  # first_position is monotonic: find the last coarse channel that begins at or below `place`
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.first_position(middle) <= place else (low, middle - 1)
        return block, low, place - self.first_position(low)

    def window(self, source_id: str, number: int) -> Window:
        """Window of a number, in channels, spectra, MHz, seconds and MJD."""
        block, i, position = self.locate(number)
        channel = self.coarse_span(i)[0] + position * self.grid.step
        return self.window_at(source_id, block * self.grid.integrations, channel, number)

    def window_at(self, source_id: str, spectrum: int, channel: int, number: int = -1) -> Window:
        """Window that begins at ``spectrum`` and ``channel``, on the grid or not; number −1 says it is not."""
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


def _windows_in(width: int, grid: WindowGrid) -> int:
    return 0 if width < grid.channels else (width - grid.channels) // grid.step + 1


def _covered(width: int, grid: WindowGrid) -> int:
    """Channels of a piece ``width`` wide that lie in at least one window."""
    count = _windows_in(width, grid)
    if count == 0:
        return 0
    return (count - 1) * min(grid.step, grid.channels) + grid.channels
