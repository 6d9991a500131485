"""Where windows are: window numbers, coarse channels, MHz and seconds. This is plain arithmetic, without any data.

Covering invariant of :class:`Tiling`: every fine channel is in at least one window or is counted in
``channels_skipped``. Every spectrum is in at least one time block or is counted in ``spectra_skipped``. Both hold for
either sign of ``foff``, because channels are counted from low frequency.

If the grid covers remainders, the last window of a coarse channel ends at its last channel, and the last time block
ends at the last spectrum. They overlap the window or block before unless nothing would be left over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from pipeline.model import CoarseLayout, Header, Window, WindowGrid
from pipeline.views import View

EDGE_TOLERANCE_CHANNELS = 0.01
"""Number of channels by which a window may extend beyond the requested band. Printed edges have nine decimals of a MHz,
which rounds them by less than this. So a window lies in the band if its printed edges are given as the band."""


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

    def seen_through(self, view: View) -> Self:
        """Return how a view of the source is cut into windows. The band to search stays the same."""
        return replace(self, header=view.header_of(self.header), coarse=view.coarse_of(self.coarse))

    @property
    def n_blocks(self) -> int:
        """Number of time blocks."""
        return _count_windows(self.header.nsamples, self.grid.integrations, self.grid.integrations, self.grid.cover)

    def spectrum_of(self, block: int) -> int:
        """Return the first spectrum of a time block."""
        return min(block * self.grid.integrations, self.header.nsamples - self.grid.integrations)

    def block_at(self, spectrum: int) -> int:
        """Return the time block that begins at ``spectrum``: the inverse of :meth:`spectrum_of`."""
        return -(-spectrum // self.grid.integrations)

    def shared_spectra(self, block: int) -> int:
        """Return how many of the first spectra of a time block are also in the block before."""
        return block * self.grid.integrations - self.spectrum_of(block)

    @property
    def spectra_skipped(self) -> int:
        """Number of spectra that are in no time block."""
        return max(0, self.header.nsamples - self.n_blocks * self.grid.integrations)

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
        return self._count_in(stop - start)

    def _count_in(self, width: int) -> int:
        """Return the number of windows per time block in a piece of ``width`` channels."""
        return _count_windows(width, self.grid.channels, self.grid.step, self.grid.cover)

    def offset_of(self, i: int, position: int) -> int:
        """Return the first channel, counted in coarse channel ``i``, of the window at a position."""
        start, stop = self.coarse_span(i)
        return min(position * self.grid.step, stop - start - self.grid.channels)

    def first_position(self, i: int) -> int:
        """Return the number of windows per time block below coarse channel ``i``."""
        lead = self.coarse.offset > 0
        if i == 0:
            return 0
        before = self._count_in(self.coarse.offset) if lead else 0
        whole = i - lead
        last = i == self.n_coarse  # then the result is the total, and the last piece may be short
        if last and not self.is_whole(i - 1) and whole > 0:
            return before + (whole - 1) * self._count_in(self.coarse.width) + self.windows_in(i - 1)
        return before + whole * self._count_in(self.coarse.width)

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
        start, stop = self.coarse_span(i)
        count, at_most = self.windows_in(i), stop - start - self.grid.channels
        first, last = 0, count - 1
        if self.f_start_mhz is not None:
            lowest = self.header.channel_at(self.f_start_mhz) - start - EDGE_TOLERANCE_CHANNELS
            first = math.ceil(lowest / self.grid.step) if lowest <= at_most else count
        if self.f_stop_mhz is not None:
            highest = self.header.channel_at(self.f_stop_mhz) - start - self.grid.channels + EDGE_TOLERANCE_CHANNELS
            last = math.floor(highest / self.grid.step) if highest < at_most else count - 1
        first = min(max(first, 0), count)
        return range(first, max(first, min(last + 1, count)))

    @property
    def channels_skipped(self) -> int:
        """Number of fine channels that are in no window.

        These are pieces narrower than a window, the gaps between windows if the step is larger than a window, and the
        remainder of each coarse channel unless the grid covers it.
        """
        whole, rest = divmod(self.header.nchans - self.coarse.offset, self.coarse.width)
        pieces = ((1, self.coarse.offset), (whole, self.coarse.width), (1, rest))
        return sum(count * (width - _count_covered(width, self.grid)) for count, width in pieces)

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
        lead = self.coarse.offset > 0
        before, in_whole = self._count_in(self.coarse.offset) if lead else 0, self._count_in(self.coarse.width)
        if place < before:
            return block, 0, place
        i = min(lead + (place - before) // in_whole, self.n_coarse - 1) if in_whole else self.n_coarse - 1
        return block, i, place - self.first_position(i)

    def window(self, source_id: str, number: int) -> Window:
        """Return the window of a number, in channels, spectra, MHz, seconds and MJD.

        Raises
        ------
        IndexError
            The source has no window with this number.
        """
        block, i, position = self.locate(number)
        channel = self.coarse_span(i)[0] + self.offset_of(i, position)
        return self.window_at(source_id, self.spectrum_of(block), channel, number)

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


def _count_windows(length: int, size: int, step: int, cover: bool) -> int:
    """Return how many windows of ``size`` fit into a ``length``, ``step`` apart.

    With ``cover``, one more window covers what is left over at the end.
    """
    if length < size:
        return 0
    whole, rest = divmod(length - size, step)
    return whole + 1 + (cover and rest > 0)


def _count_covered(width: int, grid: WindowGrid) -> int:
    """Return the number of channels in at least one window, for a piece of ``width`` channels."""
    if width < grid.channels:
        return 0
    whole, rest = divmod(width - grid.channels, grid.step)
    return whole * min(grid.step, grid.channels) + grid.channels + (min(rest, grid.channels) if grid.cover else 0)
