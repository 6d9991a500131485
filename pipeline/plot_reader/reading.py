"""What was read from a picture of a waterfall plot."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter
from pipeline.plot import draw_understood
from pipeline.plot_reader.cells import find_cells, resampled
from pipeline.plot_reader.colours import ColourScale, colour_scale
from pipeline.plot_reader.frame import Box, Frame, find_frame, tick_places
from pipeline.plot_reader.image import MAX_PIXELS, load_picture

TimeRuns = Literal["up", "down", "right"]
Scale = Literal["db", "linear"]
DEFAULT_RANGE_DB = 15.0
"""Range of the colours in dB of :attr:`PlotReading.power` if nothing says it."""


@dataclass(frozen=True, slots=True)
class PlotReading:
    """The power that a plot shows, and how it was understood."""

    path: Path
    picture: NDArray[np.uint8] = field(repr=False)
    """(height, width, 3) the picture itself."""
    frame: Frame
    colours: ColourScale
    scale: Scale
    values: tuple[float, float] | None
    """Values at the low and the high end of the colours; None if nothing says them."""
    counted: tuple[bool, bool]
    """Whether spectra and channels were counted; otherwise each line of pixels is one."""
    power: NDArray[np.float64] = field(repr=False)
    """(spectra, channels) linear power, frequency ascending; NaN where something else is drawn. Without ``values``, the
    colours span 15 dB."""
    hz: float | None = None
    """Width of the plot in hertz, if it was given."""
    seconds: float | None = None
    """Duration of the plot in seconds, if it was given."""

    def __str__(self) -> str:
        spectra, channels = self.power.shape
        rows, columns = ("" if known else " (lines of pixels)" for known in self.counted)
        axes, name = self.frame.axes, self.colours.name or "of the colour bar"
        guess = "" if self.colours.is_sure else ", recognised by the plot itself"
        span = "dB without numbers" if self.values is None else (
            f"{self.values[0]:.4g} to {self.values[1]:.4g} {'dB' if self.scale == 'db' else 'linear'}")
        return (f"axes at columns {axes.left} to {axes.right - 1} and rows {axes.top} to {axes.bottom - 1}; "
                f"{spectra} spectra{rows}, {channels} channels{columns}; colours {name}{guess}; "
                f"{span}")

    def drawn(self, power: NDArray[np.float64] | None = None) -> bytes:
        """Return a PNG of the picture, with what was found in it, beside the power that was read.

        Parameters
        ----------
        power : (spectra, channels) array, optional
            What is searched for. Default: :attr:`power`.
        """
        bar = self.frame.bar
        bar_at = None if bar is None else (bar.left, bar.top, bar.right, bar.bottom)
        shown = self.power if power is None else power
        return draw_understood(self.picture, self.frame.edges, bar_at, shown, f"{self.path.name}: {self}")

    def resampled(self, channel_hz: float, spectrum_s: float) -> NDArray[np.float64]:
        """Return the power with channels and spectra of other sizes, as far as the size of the plot is known.

        Parameters
        ----------
        channel_hz, spectrum_s : float
            Wanted width of a channel, and duration of a spectrum.

        Raises
        ------
        ParameterError
            The plot is narrower than a channel, shorter than a spectrum, or too large.
        """
        spectra, channels = self.power.shape
        shape = (spectra if self.seconds is None else round(self.seconds / spectrum_s),
                 channels if self.hz is None else round(self.hz / channel_hz))
        if min(shape) < 1 or shape[0] * shape[1] > MAX_CELLS:
            raise ParameterError(f"the plot would have {shape[0]:,} spectra and {shape[1]:,} channels, of "
                                 f"{spectrum_s:g} s and {channel_hz:g} Hz; correct {parameter('hz')} or "
                                 f"{parameter('seconds')}, or choose another {parameter('view')}")
        return resampled(self.power, shape)


MAX_CELLS = 1 << 24
"""Maximum number of pixels of a query that is read from a plot."""


def read_plot(
    path: str | Path, *, colormap: str | None = None, scale: Scale = "db", bar: tuple[float, float] | None = None,
    hz: float | None = None, seconds: float | None = None, crop: tuple[int, int, int, int] | None = None,
    time_runs: TimeRuns = "up", frequency_descends: bool = False, content: bytes | None = None,
    max_pixels: int = MAX_PIXELS,
) -> PlotReading:
    """Read the power back from a picture of a waterfall plot.

    Parameters
    ----------
    path : path
        The picture: PNG, JPEG, WEBP, TIFF, GIF or BMP.
    colormap : str, optional
        Colour map of matplotlib. Default: the one of the colour bar, or the one that the waterfall fits.
    scale : {"db", "linear"}
        Whether the colours show decibels or linear power.
    bar : (float, float), optional
        Numbers at the lowest and at the highest tick of the colour bar; of its ends, if it has no ticks. Needed for
        linear power.
    hz, seconds : float, optional
        Width and duration of the whole plot.
    crop : (left, top, right, bottom), optional
        The inside of the axes, in pixels from the upper left corner. Default: it is found.
    time_runs : {"up", "down", "right"}
        Direction of time. If it runs right, frequency runs up.
    frequency_descends : bool
        True if frequency runs the other way: left, or down.
    content : bytes, optional
        The picture, if it is in memory. Then ``path`` is only a name of it, for messages.
    max_pixels : int
        Maximum number of pixels of the picture.

    Returns
    -------
    PlotReading

    Raises
    ------
    QueryError
        The file is no picture, damaged or too large, or no plot is found in it.
    ParameterError
        A parameter has a value that cannot be used, or the colour map is not recognised.
    """
    path = Path(path)
    _check(scale, bar, hz, seconds, time_runs)
    picture = load_picture(path, content, max_pixels)
    frame = find_frame(picture) if crop is None else Frame(_crop(crop, picture))
    colours = colour_scale(picture, frame.axes, frame.bar, colormap)
    ends = None if bar is None else _ends(bar, picture, frame)
    cells, counted = _cells(frame, colours, picture)
    low, high = ends or (0.0, DEFAULT_RANGE_DB)
    values = low + cells.astype(np.float64) * (high - low)
    power = 10 ** (values / 10) if scale == "db" else values
    power = power[::-1]  # row 0 of a picture is at the top
    if time_runs == "down":
        power = power[::-1]
    elif time_runs == "right":
        power, counted = power.T, counted[::-1]
    if frequency_descends:
        power = power[:, ::-1]
    return PlotReading(path, picture, frame, colours, scale, ends, counted, np.ascontiguousarray(power), hz, seconds)


def _check(scale: str, bar: tuple[float, float] | None, hz: float | None, seconds: float | None,
           time_runs: str) -> None:
    for name, value, allowed in (("scale", scale, ("db", "linear")), ("time_runs", time_runs, ("up", "down", "right"))):
        if value not in allowed:
            raise ParameterError(f"{parameter(name)} must be one of {', '.join(allowed)}, got {value!r}")
    for name, size in (("hz", hz), ("seconds", seconds)):
        if size is not None and not 0 < size < np.inf:
            raise ParameterError(f"{parameter(name)} must be above 0, got {size}")
    if bar is not None and not (np.isfinite(bar).all() and bar[0] < bar[1]):
        raise ParameterError(f"{parameter('bar')} must be two numbers, the lower one first, got {bar[0]:g} and "
                             f"{bar[1]:g}")
    if scale == "linear" and bar is None:
        raise ParameterError(f"{parameter('scale')} linear needs {parameter('bar')}, the numbers at the lowest and at "
                             "the highest tick of the colour bar")


def _crop(crop: tuple[int, int, int, int], picture: NDArray[np.uint8]) -> Box:
    left, top, right, bottom = crop
    height, width = picture.shape[:2]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ParameterError(f"{parameter('crop')} {left},{top},{right},{bottom} is no part of the picture, which has "
                             f"{width} × {height} pixels; give left, top, right and bottom")
    return Box(left, top, right, bottom)


def _ends(bar: tuple[float, float], picture: NDArray[np.uint8], frame: Frame) -> tuple[float, float]:
    """Return the values at the ends of the colours, from those at the outer ticks of the colour bar."""
    ticks = [] if frame.bar is None else tick_places(picture, frame.bar)
    if len(ticks) < 2:
        return bar
    slope = (bar[1] - bar[0]) / (ticks[-1] - ticks[0])
    low = bar[0] - ticks[0] * slope
    return low, low + slope


def _cells(frame: Frame, colours: ColourScale, picture: NDArray[np.uint8]
           ) -> tuple[NDArray[np.float32], tuple[bool, bool]]:
    """Return where each cell is on the scale of colours (rows, columns), and whether both were counted."""
    pixels = frame.axes.of(picture)
    values = colours.values(pixels)
    left, top, right, bottom = frame.hidden
    rows, columns = find_cells(pixels, (top, bottom)), find_cells(pixels.swapaxes(0, 1), (left, right))
    if rows is not None:
        values = rows.means(values)
    if columns is not None:
        values = columns.means(values.T).T
    return values, (rows is not None, columns is not None)


def parse_numbers(text: str, count: int) -> tuple[float, ...] | None:
    """Return the numbers of a text such as ``90:104`` or ``66,33,462,402``; None if it has not ``count`` of them."""
    parts = re.split(r"[:,]", text)
    try:
        return tuple(map(float, parts)) if len(parts) == count else None
    except ValueError:
        return None
