"""Draws one waterfall with its title and its colour bar, in a cell of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Digits, Hit, Window
from pipeline.plot.panel import Panel, Scales, even_ticks, limits_db, reduced
from pipeline.plot.scores import SMALL_TEXT_POINTS, TEXT_POINTS
from pipeline.support.text import short_chance
from pipeline.views import view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

CELL_IN = (3.05, 2.62)
"""Width and height in inches of a cell: a panel with its title, labels and colour bar."""
AXES_IN = (0.62, 0.46, 1.9, 1.6)
"""Left, bottom, width and height of the waterfall in its cell, in inches."""
BAR_IN = (0.05, 0.07)
"""Gap between waterfall and colour bar, and width of the bar, in inches."""
LINE_IN = 0.13
"""Height of one more line of a title, in inches."""
DOTS_PER_INCH = 135
"""Resolution; at this value each of a window's 256 channels is at least one pixel wide."""
_NAME, _SMALL, _TEXT = 6.5, SMALL_TEXT_POINTS, TEXT_POINTS  # points
_DIGIT, _POINT = 0.636, 0.318  # widths of a digit and of a point in the font of labels, of its height
_NAME_FONT = "DejaVu Sans Mono"  # comes with matplotlib; the width of a letter is .602 of its height
MAX_FILE_LENGTH, MAX_TARGET_LENGTH = int(AXES_IN[2] * 72 / (0.602 * _NAME)), 16
"""Maximum number of characters of a file name and of a target's name."""
TITLE_POINTS = 72 * (CELL_IN[0] - AXES_IN[0] - 0.1)
"""Maximum width of a line of a title."""
MAX_TIME_LABEL = 5
"""Maximum number of characters of a label of time: what fits between two panels."""
_STATES = {"ON only": "#1a7f37", "in OFF": "#b3261e"}


@dataclass(frozen=True, slots=True)
class Tile:
    """What one cell shows."""

    panel: Panel
    window: Window | None
    """Any window of the same file. Without one, the axes count channels and spectra."""
    head: str
    """Line in bold."""
    observed: str = ""
    file: str = ""
    state: str = ""
    """Whether the signal is also at other pointings, in words."""
    is_query: bool = False

    @property
    def needs_begin(self) -> bool:
        """Tell whether labels of time would be too long if time were counted from the begin of the file."""
        if self.window is None:
            return False
        *_, early, late = Scales.of(self.panel.extent, self.window).place(self.panel.extent)
        _, digits = _time_ticks(early, late)
        return len(f"{late:.{digits}f}") > MAX_TIME_LABEL


def tile_of_hit(hit: Hit, panel: Panel, of_windows: int = 1) -> Tile:
    """Return the tile of a hit, with rank, score, chance, target, time, SNR, file and ON/OFF.

    Parameters
    ----------
    of_windows : int
        Number of windows of the pattern. If there are several, the title says how many were found instead of the SNR.
    """
    found = f"{len(panel.pieces)} of {of_windows}" if of_windows > 1 else f"SNR {hit.snr:.1f}"
    observed, tail = observed_at(hit.target, hit.window), found
    if hit.expected is not None:
        observed = f"{observed}  {found}"
        tail = f"by chance {short_chance(hit.expected, extrapolated=hit.extrapolated)}"
    state = ""
    if hit.on_off is not None:
        seen = len(hit.on_off.seen)
        state = hit.on_off.state + (f" ({seen} window{'' if seen == 1 else 's'})" if seen else "")
    return Tile(panel, hit.window, f"{hit.rank}.  score {hit.score:.3f}   {tail}", observed, hit.file, state)


def observed_at(target: str, window: Window) -> str:
    """Return target and time of a window, and the averaged view that it belongs to."""
    view = view_of(window.source_id)
    return (f"{printable(target, MAX_TARGET_LENGTH)}  MJD {Digits.of([window]).date(window)}"
            f"{f'  view {view}' if view else ''}").lstrip()


def draw_tile(figure: Figure, place: tuple[float, float], tile: Tile, *, from_begin: bool, has_time: bool,
              has_power: bool) -> bool:
    """Draw a tile into a cell.

    Parameters
    ----------
    place : (float, float)
        Left and lower corner of the cell, in inches.
    from_begin : bool
        Count time from the begin of the panel.
    has_time, has_power : bool
        Label the axis of time and the colour bar.

    Returns
    -------
    bool
        True if pixels are beyond the range of the colours.
    """
    axes, bar = _axes(figure, place)
    scales = Scales.of(tile.panel.extent, tile.window, from_begin=from_begin)
    image, extend = _waterfall(axes, tile.panel, scales)
    _label(axes, scales, has_time=has_time)
    axes.figure.colorbar(image, cax=bar, extend=extend, extendfrac=0.06)
    bar.tick_params(labelsize=_SMALL)
    bar.locator_params(axis="y", nbins=6)
    if has_power:
        bar.set_ylabel("Power [dB over noise]", fontsize=_TEXT)
    _title(axes, tile)
    if tile.is_query:
        for spine in axes.spines.values():
            spine.set(edgecolor="tab:red", linewidth=2)
    return extend != "neither"


def _axes(figure: Figure, place: tuple[float, float]) -> tuple[Axes, Axes]:
    """Make the axes of a waterfall and of its colour bar."""
    left, bottom, width, height = AXES_IN
    left, bottom = left + place[0], bottom + place[1]
    across, up = figure.get_size_inches()
    gap, thickness = BAR_IN
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    bar = figure.add_axes(((left + width + gap) / across, bottom / up, thickness / across, height / up))
    return axes, bar


def _waterfall(axes: Axes, panel: Panel, scales: Scales) -> tuple[Any, str]:
    """Draw the power of a panel in dB; also return at which ends pixels exceed the range of the colours."""
    from matplotlib import colormaps

    dots = AXES_IN[3] * DOTS_PER_INCH, AXES_IN[2] * DOTS_PER_INCH
    decibels = [_decibel(reduced(piece.power, panel.extent, dots)) for piece in panel.pieces]
    values = np.concatenate([one.compressed() for one in decibels])
    low, high = limits_db(values)
    colours = colormaps["viridis"].with_extremes(bad="0.8")
    for piece, decibel in zip(panel.pieces, decibels, strict=True):
        image = axes.imshow(decibel, aspect="auto", origin="lower", interpolation="nearest", rasterized=True,
                            extent=scales.place(piece.extent), vmin=low, vmax=high, cmap=colours)
    beyond = bool((values < low).any()), bool((values > high).any())
    return image, {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")


def _label(axes: Axes, scales: Scales, *, has_time: bool) -> None:
    """Set limits, ticks and labels. Ticks of frequency are as close as their labels fit side by side."""
    extents = [image.get_extent() for image in axes.get_images()]
    left, right = min(one[0] for one in extents), max(one[1] for one in extents)
    early, late = min(one[2] for one in extents), max(one[3] for one in extents)
    axes.set(xlim=(left, right), ylim=(early, late))
    room = 72 * AXES_IN[2] / (right - left)
    at, digits = even_ticks(left, right, lambda step, digits: not (scales.counts and digits)
                            and step * room >= 1.12 * _width(f"{right:.{digits}f}"))
    axes.set_xticks(at, [f"{one:.{digits}f}" for one in at])
    at, digits = _time_ticks(early, late, whole=scales.counts)
    axes.set_yticks(at, [f"{one:.{digits}f}" for one in at])
    axes.set_xlabel(scales.x_label, fontsize=_TEXT)
    if has_time:
        axes.set_ylabel(scales.y_label, fontsize=_TEXT)
    axes.tick_params(labelsize=_SMALL)


def _width(number: str) -> float:
    """Return the width of the label of a tick, in points."""
    return _SMALL * sum(_POINT if letter == "." else _DIGIT for letter in number)


def _time_ticks(early: float, late: float, *, whole: bool = False) -> tuple[list[float], int]:
    """Return ticks of time; ``whole`` for spectra that are counted."""
    room = 72 * AXES_IN[3] / (late - early)
    return even_ticks(early, late, lambda step, digits: not (whole and digits) and step * room >= 2.5 * _SMALL)


def _decibel(power: NDArray[np.floating]) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.ma.masked_invalid(10 * np.log10(np.asarray(power, np.float64)))


def _title(axes: Axes, tile: Tile) -> None:
    """Write lines above a panel, from below: file, what was observed, ON/OFF, and the head. Empty ones are left out."""
    name = printable(Path(tile.file).name, MAX_FILE_LENGTH)
    lines: list[tuple[str, float, str | None, str]] = [
        (name, _NAME, _NAME_FONT, "0.25"), (tile.observed, _SMALL, None, "0.25"),
        (tile.state, _SMALL, None, _STATES.get(tile.state.partition(" (")[0], "0.4"))]
    above = 4.0
    for text, points, font, colour in lines:
        if text:
            note = axes.annotate(text, (0, 1), (0, above), xycoords="axes fraction", textcoords="offset points",
                                 fontsize=points, family=font, color=colour, annotation_clip=False)
            note.set_parse_math(False)  # a dollar sign in a name must not start a formula
            _fit(note)
            above += 1.25 * _SMALL
    _fit(axes.set_title(tile.head, loc="left", fontsize=_TEXT, fontweight="bold", pad=1 + above))


def _fit(text: Text) -> None:
    """Make a line of a title smaller if it is wider than its cell."""
    figure = text.get_figure(root=True)
    assert figure is not None
    width = text.get_window_extent(figure.canvas.get_renderer()).width * 72 / figure.dpi  # type: ignore[attr-defined]
    if width > TITLE_POINTS:
        text.set_fontsize(float(text.get_fontsize()) * TITLE_POINTS / width)


def printable(text: str, longest: int) -> str:
    """Return text as one line of ASCII; it is shortened in the middle to at most ``longest`` characters."""
    plain = "".join(c if c.isprintable() else " " for c in text).encode("ascii", "backslashreplace").decode("ascii")
    if len(plain) <= longest:
        return plain
    head = (longest - 3) // 2
    return f"{plain[:head]}...{plain[head + 3 - longest:]}"
