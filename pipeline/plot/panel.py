"""What a waterfall shows: windows where they lie, and where channels and spectra are on the axes. Draws nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Window

MIN_RANGE_DB = 3.0
"""Minimum range of the colours, so that pure noise looks like noise."""

_FREQUENCIES = ((1e6, "Hz"), (1e3, "kHz"), (1.0, "MHz"))
_TIMES = ((1e6, "µs"), (1e3, "ms"), (1.0, "s"), (1 / 3600, "h"))
"""Units, smallest first, with the number of them in a MHz or a second."""

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
    first: float
    """Frequency of the lower edge of channel 0."""
    spectrum: float
    """Length of a spectrum on the axis of time."""
    begin: float
    """Time at which spectrum 0 begins."""
    x_label: str
    y_label: str
    counts: bool = False
    """True if channels and spectra are counted, because their frequency and time are unknown."""

    @classmethod
    def of(cls, extent: Extent, window: Window | None, *, from_begin: bool = False) -> Scales:
        """Return the scales of a panel of this extent.

        Parameters
        ----------
        extent : Extent
        window : Window or None
            Any window of the file; None for an array, whose channels and spectra are counted.
        from_begin : bool
            Count time from the begin of the panel, not of the file.
        """
        if window is None:
            return cls(1, 0, 1, 0, "Channel", "Spectrum", counts=True)
        width_mhz = (window.f_stop_mhz - window.f_start_mhz) / (window.channel_stop - window.channel_start)
        spectrum_s = (window.t_stop_s - window.t_start_s) / (window.spectrum_stop - window.spectrum_start)
        scale, unit = (1.0, "s")
        if from_begin:
            scale, unit = _unit((extent[1] - extent[0]) * spectrum_s, _TIMES)
        span, of_span = _unit((extent[3] - extent[2]) * width_mhz, _FREQUENCIES)
        across = (extent[3] - extent[2]) * width_mhz * span
        return cls(width_mhz, window.f_start_mhz - window.channel_start * width_mhz, spectrum_s * scale,
                   -extent[0] * spectrum_s * scale if from_begin else 0.0,
                   f"Frequency [MHz], {across:.{3 if across < 1000 else 4}g} {of_span} across",
                   f"Time from MJD [{unit}]" if from_begin else "Time [s]")

    def place(self, extent: Extent) -> tuple[float, float, float, float]:
        """Return left, right, lower and upper edge of some spectra and channels."""
        top, bottom, first, stop = extent
        return (self.first + first * self.channel_width, self.first + stop * self.channel_width,
                self.begin + top * self.spectrum, self.begin + bottom * self.spectrum)


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


def _unit(length: float, units: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """Choose the first unit in which a length is less than 2000; return the factor and the name of the unit."""
    return next((one for one in units if length * one[0] < 2000), units[-1])


def even_ticks(low: float, high: float, fits: Callable[[float, int], bool]) -> tuple[list[float], int]:
    """Return even ticks between two ends, as close as they fit, and the digits after the point of their labels.

    Parameters
    ----------
    low, high : float
        Ends of the axis.
    fits : callable
        Tells whether labels with some digits after the point fit at some distance of the ticks.

    Returns
    -------
    list of float, int
        One tick in the middle, if no two of them fit.
    """
    span = high - low
    power = math.floor(math.log10(span)) - 2
    for exponent in range(power, power + 4):
        for leading, more in ((1.0, 0), (2.0, 0), (2.5, 1), (5.0, 0)):
            step, digits = leading * 10.0**exponent, max(0, -exponent + more)
            if step <= span and fits(step, digits):
                begin = math.ceil(low / step - 1e-6)
                count = math.floor(high / step + 1e-6) - begin + 1
                if count > 1:
                    return [(begin + i) * step for i in range(count)], digits
    digits = max(0, -power)
    return [round((low + high) / 2, digits)], digits


def limits_db(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lower and upper limit of the colours in dB; they ignore a few extreme pixels."""
    if not len(values):
        return 0.0, MIN_RANGE_DB
    low, high = np.percentile(values, (1, 99.8))
    return float(low), float(max(high, low + MIN_RANGE_DB))
