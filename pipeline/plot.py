"""Pictures of a search: the query and its best hits as waterfalls, after blimpy's (viridis, dB, time upwards)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.model import Hit, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_HITS = 10
COLUMNS = 5
CELL_IN = (2.85, 2.6)
"""Width and height of a panel with all that is written about it, in inches."""
AXES_IN = (0.5, 0.46, 1.9, 1.6)
"""Left, bottom, width and height of the waterfall in its cell."""
BAR_IN = (0.05, 0.07)
"""Gap between waterfall and colour bar, and the bar's width."""
RIGHT_IN = 0.35
"""Beside the last cell: its colour bar alone has a label."""
DOTS_PER_INCH = 135
"""Then each of a window's 256 channels is a pixel wide: none goes missing."""
LEAST_RANGE_DB = 3.0
"""Colours span at least this much, so that pure noise looks like noise."""

_NAME, _SMALL, _TEXT = 6.5, 7, 8  # points
_NAME_FONT = "DejaVu Sans Mono"  # comes with matplotlib; each of its letters is .602 times as wide as it is high
LONGEST_FILE, LONGEST_TARGET = int(AXES_IN[2] * 72 / (0.602 * _NAME)), 16
"""Characters of a name that fit over a waterfall."""


class Result(Protocol):
    """What is drawn: :class:`pipeline.search.SearchResult`, or anything like it."""

    @property
    def query(self) -> Mapping[str, Any]:
        """The query; its ``file`` and ``target`` are named in the picture."""

    @property
    def hits(self) -> Sequence[Hit]:
        """Best first; those after the tenth are not drawn."""

    @property
    def query_window(self) -> Window | None:
        """Where the query lies; without it its axes count channels and spectra."""

    def query_power(self) -> NDArray[np.floating]:
        """Return linear power (T, F) of the query, noise at 1, masked pixels NaN, ascending frequency."""


def plot_gallery(path: str | Path, result: Result, powers: Sequence[NDArray[np.floating]]) -> Path:
    """Draw the query and the best ten hits.

    Parameters
    ----------
    path : path
        Where to write; the suffix says what (.png, .pdf, .svg …).
    result : SearchResult
    powers : sequence of (T, F) arrays
        Power of the hits that are drawn, or of all, as :meth:`pipeline.search.Corpus.power_of` gives it.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ConfigError
        The file cannot be written, or its suffix is none of a picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = Path(path)
    canvas = FigureCanvasAgg(_gallery(result, powers))
    formats = canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in formats:
        raise ConfigError(f"{path}: cannot draw a {path.suffix or 'file without suffix'}; use one of "
                          f"{', '.join(sorted(formats))}")
    try:
        canvas.figure.savefig(path, dpi=DOTS_PER_INCH)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def png_of_hits(hits: Sequence[Hit], powers: Sequence[NDArray[np.floating]]) -> bytes:
    """Draw windows side by side, as a search draws its hits.

    Parameters
    ----------
    hits : sequence of Hit
    powers : sequence of (T, F) arrays
        As :meth:`pipeline.search.Corpus.power_of` gives them.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(CELL_IN[0] * len(hits) + RIGHT_IN, CELL_IN[1]))
    for column, (hit, power) in enumerate(zip(hits, powers, strict=True)):
        _hit(figure, column, 0, hit, power, is_first=column == 0, is_last=column == len(hits) - 1)
    drawn = BytesIO()
    FigureCanvasAgg(figure).print_png(drawn)
    return drawn.getvalue()


def _gallery(result: Result, powers: Sequence[NDArray[np.floating]]) -> Figure:
    """Draw the query to the left of the hits, all panels of one size so that slopes compare."""
    from matplotlib.figure import Figure

    pairs = list(zip(result.hits[:MOST_HITS], powers[:MOST_HITS], strict=True))
    rows = max(1, -(-len(pairs) // COLUMNS))
    columns = -(-len(pairs) // rows)  # rows of about one length: eight hits are two rows of four
    figure = Figure(figsize=(CELL_IN[0] * (columns + 1) + RIGHT_IN, CELL_IN[1] * rows))
    axes, bar = _panel(figure, 0, (rows - 1) / 2)  # half-way up
    _waterfall(axes, bar, result.query_power(), result.query_window, is_first=True, is_last=not pairs)
    window, file = result.query_window, result.query.get("file", "")
    _title(axes, "Query", "" if window is None else _observed(result.query.get("target", ""), window), file)
    for spine in axes.spines.values():
        spine.set(edgecolor="tab:red", linewidth=2)
    for i, (hit, power) in enumerate(pairs):
        row, column = divmod(i, columns)
        is_last = column == columns - 1 or i == len(pairs) - 1
        _hit(figure, column + 1, rows - 1 - row, hit, power, is_first=column == 0, is_last=is_last)
    return figure


def _hit(
    figure: Figure, column: int, row: int, hit: Hit, power: NDArray[np.floating], *, is_first: bool, is_last: bool
) -> None:
    """Draw a hit in its cell, and what is known of it above."""
    axes, bar = _panel(figure, column, row)
    _waterfall(axes, bar, power, hit.window, is_first=is_first, is_last=is_last)
    _title(axes, f"{hit.rank}.  score {hit.score:.3f}   SNR {hit.snr:.1f}", _observed(hit.target, hit.window), hit.file)


def _observed(target: str, window: Window) -> str:
    return f"{_printable(target, LONGEST_TARGET)}  MJD {window.mjd:.5f}".lstrip()


def _panel(figure: Figure, column: int, row: float) -> tuple[Axes, Axes]:
    """Place a waterfall and its colour bar; rows are counted from the bottom, and may be halves."""
    left, bottom, width, height = AXES_IN
    left, bottom = left + column * CELL_IN[0], bottom + row * CELL_IN[1]
    across, up = figure.get_size_inches()
    gap, thickness = BAR_IN
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    bar = figure.add_axes(((left + width + gap) / across, bottom / up, thickness / across, height / up))
    return axes, bar


def _waterfall(
    axes: Axes, bar: Axes, power: NDArray[np.floating], window: Window | None, *, is_first: bool, is_last: bool
) -> None:
    """Draw one panel: frequency about the window's centre, seconds after the file's first spectrum, dB."""
    from matplotlib import colormaps

    with np.errstate(divide="ignore", invalid="ignore"):
        decibel = np.ma.masked_invalid(10 * np.log10(np.asarray(power, np.float64)))
    low, high = _limits(decibel)
    spectra, channels = decibel.shape
    if window is None:
        extent, x_label, y_label = (0.0, float(channels), 0.0, float(spectra)), "Channel", "Spectrum"
    else:
        half_mhz = (window.f_stop_mhz - window.f_start_mhz) / 2
        scale, unit = _unit(half_mhz)
        extent = (-half_mhz * scale, half_mhz * scale, window.t_start_s, window.t_stop_s)
        x_label = f"{(window.f_start_mhz + window.f_stop_mhz) / 2:.6f} MHz + offset [{unit}]"
        y_label = "Time [s]"
    colours = colormaps["viridis"].with_extremes(bad="0.8")
    image = axes.imshow(decibel, aspect="auto", origin="lower", interpolation="nearest", rasterized=True,
                        extent=extent, vmin=low, vmax=high, cmap=colours)
    axes.set_xlabel(x_label, fontsize=_TEXT)
    if is_first:
        axes.set_ylabel(y_label, fontsize=_TEXT)
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=6)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=_SMALL)
    axes.figure.colorbar(image, cax=bar)
    bar.tick_params(labelsize=_SMALL)
    bar.locator_params(axis="y", nbins=6)
    if is_last:
        bar.set_ylabel("Power [dB over noise]", fontsize=_TEXT)


def _limits(decibel: Any) -> tuple[float, float]:
    """Colour limits that a few extreme pixels do not decide."""
    values = decibel.compressed()
    if not len(values):
        return 0.0, LEAST_RANGE_DB
    low, high = np.percentile(values, (1, 99.8))
    return float(low), float(max(high, low + LEAST_RANGE_DB))


def _unit(half_mhz: float) -> tuple[float, str]:
    """Units a MHz, and the unit, in which half a window's width is a number of a few digits."""
    for scale, unit in ((1e6, "Hz"), (1e3, "kHz")):
        if half_mhz * scale < 2000:
            return scale, unit
    return 1.0, "MHz"


def _title(axes: Axes, head: str, observed: str, file: str) -> None:
    """Write a bold line above a panel; between it and the panel, what was observed and the name of the file, if any."""
    name = _printable(Path(file).name, LONGEST_FILE)
    lines = [(name, _NAME, _NAME_FONT), (observed, _SMALL, None)]
    above = 4.0
    for text, points, font in lines:
        if text:
            note = axes.annotate(text, (0, 1), (0, above), xycoords="axes fraction", textcoords="offset points",
                                 fontsize=points, family=font, color="0.25", annotation_clip=False)
            note.set_parse_math(False)  # a dollar sign in a name begins no formula
            above += 1.25 * _SMALL
    axes.set_title(head, loc="left", fontsize=_TEXT, fontweight="bold", pad=1 + above)


def _printable(text: str, longest: int) -> str:
    """Return text that every font can show, on one line, shortened in the middle."""
    plain = "".join(c if c.isprintable() else " " for c in text).encode("ascii", "backslashreplace").decode("ascii")
    if len(plain) <= longest:
        return plain
    head = (longest - 3) // 2
    return f"{plain[:head]}...{plain[head + 3 - longest:]}"
