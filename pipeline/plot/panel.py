"""What a waterfall shows: windows where they lie, and where channels and spectra are on the axes. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Window

MIN_RANGE_DB = 3.0
"""Minimum range of the colours, so that pure noise looks like noise."""

Extent = tuple[int, int, int, int]
"""First spectrum, end of the spectra, first channel, end of the channels."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of a pattern, and where it begins. Spectra and channels are those of the file or array it comes from."""

    spectrum: int
    channel: int
    power: NDArray[np.floating] = field(repr=False)
    """(T, F) linear power: noise has mean 1, masked pixels are NaN, frequency ascends."""

    @property
    def extent(self) -> Extent:
        """Spectra and channels that it covers."""
        spectra, channels = self.power.shape
        return self.spectrum, self.spectrum + spectra, self.channel, self.channel + channels


@dataclass(frozen=True, slots=True)
class Panel:
    """What one waterfall shows: the windows of a pattern where they lie. What is between them stays blank."""

    pieces: Sequence[Piece]
    extent: Extent

    @classmethod
    def around(cls, pieces: Sequence[Piece], *more: Extent) -> Panel:
        """Return the panel that shows some pieces and further extents."""
        every = [*more, *(one.extent for one in pieces)]
        tops, bottoms = np.array(every).min(axis=0).tolist(), np.array(every).max(axis=0).tolist()
        return cls(pieces, (tops[0], bottoms[1], tops[2], bottoms[3]))

    @classmethod
    def of(cls, shown: Shown, window: Window | None) -> Panel:
        """Return the panel of a single window; a panel is returned as it is."""
        if isinstance(shown, Panel):
            return shown
        at = (0, 0) if window is None else (window.spectrum_start, window.channel_start)
        return cls.around([Piece(*at, shown)])


Shown = NDArray[np.floating] | Panel
"""Power (T, F) of a window, or a panel of several."""


@dataclass(frozen=True, slots=True)
class Scales:
    """Where channels and spectra are on the axes of a panel."""

    channel_width: float
    centre: float
    """Channel at 0 on the axis of frequency."""
    spectrum_s: float
    x_label: str
    y_label: str

    @classmethod
    def of(cls, extent: Extent, window: Window | None) -> Scales:
        """Return the scales of a panel of this extent. ``window`` is any window of the file; None for an array."""
        if window is None:
            return cls(1, 0, 1, "Channel", "Spectrum")
        first, stop = extent[2:]
        width_mhz = (window.f_stop_mhz - window.f_start_mhz) / (window.channel_stop - window.channel_start)
        scale, unit = _unit((stop - first) / 2 * width_mhz)
        centre = (first + stop) / 2
        centre_mhz = window.f_start_mhz + (centre - window.channel_start) * width_mhz
        spectrum_s = (window.t_stop_s - window.t_start_s) / (window.spectrum_stop - window.spectrum_start)
        return cls(width_mhz * scale, centre, spectrum_s, f"{centre_mhz:.6f} MHz + offset [{unit}]", "Time [s]")

    def place(self, extent: Extent) -> tuple[float, float, float, float]:
        """Return left, right, lower and upper edge of some spectra and channels."""
        top, bottom, first, stop = extent
        return ((first - self.centre) * self.channel_width, (stop - self.centre) * self.channel_width,
                top * self.spectrum_s, bottom * self.spectrum_s)


def reduced(power: NDArray[np.floating], extent: Extent, dots: tuple[float, float]) -> NDArray[np.floating]:
    """Return power with no more rows and columns than its place in a panel has dots: maxima, so that no line is lost.

    Parameters
    ----------
    power : (T, F) array
        Masked pixels are NaN.
    extent : Extent
        Extent of the panel.
    dots : (float, float)
        Height and width of the panel.
    """
    spans = extent[1] - extent[0], extent[3] - extent[2]
    for axis, span in enumerate(spans):
        count = power.shape[axis]
        wanted = max(1, min(count, int(count * dots[axis] / span)))
        if wanted < count:
            edges = np.linspace(0, count, wanted + 1).astype(np.int64)[:-1]
            power = np.fmax.reduceat(power, edges, axis=axis)  # NaN only where all pixels are masked
    return power


def _unit(half_mhz: float) -> tuple[float, str]:
    """Choose a unit in which half a window's width has few digits; return the units per MHz and the unit's name."""
    for scale, unit in ((1e6, "Hz"), (1e3, "kHz")):
        if half_mhz * scale < 2000:
            return scale, unit
    return 1.0, "MHz"


def limits_db(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lower and upper limit of the colours in dB; they ignore a few extreme pixels."""
    if not len(values):
        return 0.0, MIN_RANGE_DB
    low, high = np.percentile(values, (1, 99.8))
    return float(low), float(max(high, low + MIN_RANGE_DB))
