"""Where the coarse channels of a file are: from a setting, its header, its product, or spikes in its data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.errors import Reason, SourceError
from pipeline.model import CoarseLayout, Header

COARSE_WIDTH_MHZ = 187.5 / 64
"""Width of a Breakthrough Listen coarse channel: 2.9296875 MHz, at Green Bank and in Breakthrough Listen recordings
from other telescopes."""
MAX_PIECE_CHANNELS = 2**20
"""Maximum number of channels in a piece of a band without coarse channels. A task can hold a piece of this size."""
MAX_HEADER_WIDTH = 2**21
"""Maximum width of a coarse channel taken from a header, in fine channels. Wider ones would take too much memory."""
MIN_SPIKE_PERIOD = 4096
"""Minimum number of channels between DC spikes. Spikes that are closer together are a comb of interference."""


def coarse_layout(
    header: Header,
    *,
    window_channels: int,
    width: int | None = None,
    dc_spikes: Sequence[int] = (),
    spikes_searched: int | None = None,
    window_is_given: bool = False,
) -> CoarseLayout:
    """Find the coarse channels of a file: from ``width``, else its header, else its product, else DC spikes.

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
    known = known_layout(header)
    if width is not None:
        layout = CoarseLayout(width, "flag")
    elif known is not None:
        layout = known
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


def known_layout(header: Header) -> CoarseLayout | None:
    """Return the coarse channels that follow from a header: from ``nfpc``, or from the product that the file is.

    ``nfpc`` must divide the band into whole coarse channels of at least two channels. In a part that
    was cut out of a file, with a copy of its header, it may not. Such a part is treated as a file without ``nfpc``.

    Returns
    -------
    CoarseLayout or None
        None if neither applies.
    """
    if header.nfpc and not _fault_of_nfpc(header):
        return CoarseLayout(header.nfpc, "header")
    product = product_width(header)
    return None if product is None else CoarseLayout(product, "product")


def remark_on_nfpc(header: Header, layout: CoarseLayout) -> dict[str, str]:
    """Return what a user should know of a keyword ``nfpc`` that is not used: keyword → a sentence, or nothing."""
    fault = _fault_of_nfpc(header)
    if not header.nfpc or not fault or layout.origin == "flag":
        return {}
    return {"nfpc": f"nfpc is {header.nfpc:,}, {fault}, so it is not used; if you know the width of coarse channels, "
                    "make a new corpus with --coarse-width"}


def _fault_of_nfpc(header: Header) -> str:
    """Return why ``nfpc`` cannot be the width of a coarse channel; an empty text if it can."""
    if header.nfpc < 2:
        return "which is no width of a coarse channel"
    if header.nfpc > MAX_HEADER_WIDTH:
        return f"which is more than {MAX_HEADER_WIDTH:,}, the largest width that is read from a header"
    return f"which does not divide its {header.nchans:,} channels" if header.nchans % header.nfpc else ""


def product_width(header: Header) -> int | None:
    """Return the number of fine channels in a coarse channel of a Breakthrough Listen product.

    The band must consist of whole coarse channels of 2.9296875 MHz. In known products, a coarse channel has 2^20 fine
    channels of 2.79 Hz (1,033,216 in early data), 1,024 of 2.86 kHz or 8 of 366 kHz.

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
    spikes and at least four fifths of those expected in the band. Interference may hide the missing ones. The
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
