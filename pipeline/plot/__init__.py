"""Pictures of a search: waterfalls of the query and the best hits, in blimpy's style (viridis, dB, time upwards)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.model import Hit, Window
from pipeline.plot.panel import Extent, Panel, Piece, Scales, Shown, limits_db, reduced
from pipeline.plot.scores import SMALL_TEXT_POINTS, TEXT_POINTS, draw_scores
from pipeline.support.text import short_number
from pipeline.views import view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "MAX_HITS", "Described", "Extent", "Panel", "Picture", "Piece", "Result", "Shown", "plot_gallery", "png_of_gallery",
    "png_of_hits",
]

MAX_HITS = 10
"""Maximum number of hits in a picture."""
MAX_COLUMNS = 5
"""Maximum number of hits in a row."""
CELL_IN = (2.85, 2.6)
"""Width and height in inches of a cell: a panel with its title, labels and colour bar."""
AXES_IN = (0.5, 0.46, 1.9, 1.6)
"""Left, bottom, width and height of the waterfall in its cell, in inches."""
BAR_IN = (0.05, 0.07)
"""Gap between waterfall and colour bar, and width of the bar, in inches."""
RIGHT_IN = 0.35
"""Space to the right of the last cell, in inches, for the label of its colour bar."""
DOTS_PER_INCH = 135
"""Resolution; at this value each of a window's 256 channels is at least one pixel wide."""
_NAME, _SMALL, _TEXT = 6.5, SMALL_TEXT_POINTS, TEXT_POINTS  # points
_VERDICT_COLUMNS = 44  # characters of a line over the background
_NAME_FONT = "DejaVu Sans Mono"  # comes with matplotlib; the width of a letter is .602 of its height
MAX_FILE_LENGTH, MAX_TARGET_LENGTH = int(AXES_IN[2] * 72 / (0.602 * _NAME)), 16
"""Maximum number of characters of a file name and of a target's name; longer ones do not fit over a waterfall."""


class Described(Protocol):
    """Part of :class:`pipeline.search.QueryDescription` that a picture needs."""

    @property
    def file(self) -> str:
        """Path or name of the query's file; empty for an array."""

    @property
    def target(self) -> str:
        """Name of the observed target; empty for an array."""


class Result(Protocol):
    """Part of :class:`pipeline.search.SearchResult` that a picture needs."""

    @property
    def description(self) -> Described:
        """What was searched for; its file and target are named in the picture."""

    @property
    def hits(self) -> Sequence[Hit]:
        """Hits, best first; at most :data:`MAX_HITS` are drawn."""

    @property
    def query_window(self) -> Window | None:
        """Position of the query. Without it, the axes of the query count channels and spectra."""

    @property
    def background(self) -> Any:
        """The :class:`pipeline.significance.Background`: histograms of what the query scores."""

    @property
    def words_of_verdict(self) -> str:
        """How many hits are more than chance."""

    def query_power(self) -> NDArray[np.floating]:
        """Return the query's linear power (T, F): noise has mean 1, masked pixels are NaN, frequency ascends."""


def plot_gallery(path: str | Path, result: Result, powers: Sequence[Shown], query: Panel | None = None) -> Path:
    """Draw the query and at most :data:`MAX_HITS` hits into a file.

    Parameters
    ----------
    path : path
        Path of the file to write. Its suffix decides the format: .png, .pdf, .svg and others.
    result : SearchResult
        The result to draw.
    powers : sequence of (T, F) arrays or Panels
        Power of the hits in their order, as :meth:`pipeline.search.Corpus.power_of` returns it. Only the hits that are
        drawn need one.
    query : Panel, optional
        What the query's waterfall shows. Default: the window of the query that found the best hit.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ConfigError
        The file cannot be written, or its suffix is not that of a picture format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = Path(path)
    canvas = FigureCanvasAgg(_gallery(result, powers, query))
    formats = canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in formats:
        raise ConfigError(f"{path}: cannot draw a {path.suffix or 'file without suffix'}; use one of "
                          f"{', '.join(sorted(formats))}")
    try:
        canvas.figure.savefig(path, dpi=DOTS_PER_INCH)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
    return path


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that notebooks show."""

    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png


def png_of_gallery(result: Result, powers: Sequence[Shown], query: Panel | None = None) -> bytes:
    """Draw the query and the best ten hits, as :func:`plot_gallery` does, and return a PNG.

    Parameters
    ----------
    result : SearchResult
    powers : sequence of (T, F) arrays or Panels
        Power of all hits, or only of those that are drawn.
    query : Panel, optional
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = BytesIO()
    FigureCanvasAgg(_gallery(result, powers, query)).figure.savefig(drawn, dpi=DOTS_PER_INCH, format="png")
    return drawn.getvalue()


def png_of_hits(hits: Sequence[Hit], powers: Sequence[NDArray[np.floating]], columns: int | None = None) -> bytes:
    """Draw hits in the style of :func:`plot_gallery`, and return a PNG.

    Parameters
    ----------
    hits : sequence of Hit
        Hits to draw; at least one.
    powers : sequence of (T, F) arrays
        Power of each hit, as :meth:`pipeline.search.Corpus.power_of` returns it.
    columns : int, optional
        Maximum number of hits in a row. Default: all in one row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns or len(hits), len(hits))
    rows = -(-len(hits) // columns)
    figure = Figure(figsize=(CELL_IN[0] * columns + RIGHT_IN, CELL_IN[1] * rows))
    for i, (hit, power) in enumerate(zip(hits, powers, strict=True)):
        row, column = divmod(i, columns)
        _hit(figure, column, rows - 1 - row, hit, power, is_first=column == 0,
             is_last=column == columns - 1 or i == len(hits) - 1)
    drawn = BytesIO()
    FigureCanvasAgg(figure).print_png(drawn)
    return drawn.getvalue()


def _gallery(result: Result, powers: Sequence[Shown], query_panel: Panel | None = None) -> Figure:
    """Draw the query to the left of the hits. All panels have the same size, so that slopes can be compared."""
    from matplotlib.figure import Figure

    pairs = list(zip(result.hits[:MAX_HITS], powers[:MAX_HITS], strict=True))
    rows = max(1, -(-len(pairs) // MAX_COLUMNS))
    columns = -(-len(pairs) // rows)  # rows have nearly equal lengths: eight hits make two rows of four
    has_background = bool(pairs and result.background.counts)
    beside = has_background and rows == 1
    figure = Figure(figsize=(CELL_IN[0] * (columns + 1 + beside) + RIGHT_IN * (1 + beside), CELL_IN[1] * rows))
    axes, bar = _panel(figure, 0, rows - 1 if has_background else (rows - 1) / 2)  # alone, it is at half the height
    if has_background:
        _background(figure, columns + 1 if beside else 0, result)
    window, query = result.query_window, result.description
    panel = Panel.of(query_panel or result.query_power(), window)
    _waterfall(axes, bar, panel, window, is_first=True, is_last=not pairs)
    head = f"Query: {len(panel.pieces)} windows" if len(panel.pieces) > 1 else "Query"
    _title(axes, head, "" if window is None else _observed(query.target, window), query.file)
    for spine in axes.spines.values():
        spine.set(edgecolor="tab:red", linewidth=2)
    for i, (hit, power) in enumerate(pairs):
        row, column = divmod(i, columns)
        is_last = column == columns - 1 or i == len(pairs) - 1
        _hit(figure, column + 1, rows - 1 - row, hit, power, is_first=column == 0, is_last=is_last,
             of_windows=len(panel.pieces))
    return figure


def _hit(
    figure: Figure, column: int, row: int, hit: Hit, power: Shown, *, is_first: bool, is_last: bool,
    of_windows: int = 1,
) -> None:
    """Draw a hit in its cell, with rank, score, target, time and file above it.

    Of a pattern of several windows, the title also says how many were found; otherwise it says the SNR.
    """
    axes, bar = _panel(figure, column, row)
    panel = Panel.of(power, hit.window)
    _waterfall(axes, bar, panel, hit.window, is_first=is_first, is_last=is_last)
    found = f"{len(panel.pieces)} of {of_windows}" if of_windows > 1 else f"SNR {hit.snr:.1f}"
    head, tail = f"{hit.rank}.  score {hit.score:.3f}", found
    observed = _observed(hit.target, hit.window)
    if hit.expected is not None:
        observed += f"  {tail}"
        tail = f"by chance {'~' if hit.extrapolated else ''}{short_number(hit.expected)}"
    _title(axes, f"{head}   {tail}", observed, hit.file)


def _background(figure: Figure, column: int, result: Result) -> None:
    """Draw the histogram of scores in a cell of its own."""
    left, bottom, width, height = AXES_IN
    across, up = figure.get_size_inches()
    left += column * CELL_IN[0] + (RIGHT_IN if column else 0)  # beside the label of the last colour bar
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    draw_scores(axes, result.background, [hit.score for hit in result.hits[:MAX_HITS]])
    axes.set_title("\n".join(wrap(result.words_of_verdict, _VERDICT_COLUMNS)), loc="left", fontsize=_SMALL)


def _observed(target: str, window: Window) -> str:
    """Return target and time of a window, and the averaged view that it belongs to."""
    view = view_of(window.source_id)
    return f"{_printable(target, MAX_TARGET_LENGTH)}  MJD {window.mjd:.5f}{f'  view {view}' if view else ''}".lstrip()


def _panel(figure: Figure, column: int, row: float) -> tuple[Axes, Axes]:
    """Make the axes of a waterfall and of its colour bar. Rows count from the bottom; half rows are allowed."""
    left, bottom, width, height = AXES_IN
    left, bottom = left + column * CELL_IN[0], bottom + row * CELL_IN[1]
    across, up = figure.get_size_inches()
    gap, thickness = BAR_IN
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    bar = figure.add_axes(((left + width + gap) / across, bottom / up, thickness / across, height / up))
    return axes, bar


def _waterfall(
    axes: Axes, bar: Axes, panel: Panel, window: Window | None, *, is_first: bool, is_last: bool
) -> None:
    """Draw one panel in dB: frequency relative to its centre, time in seconds after the file's start.

    ``window`` is any window of the same file. Without one, the axes count channels and spectra.
    """
    from matplotlib import colormaps

    dots = AXES_IN[3] * DOTS_PER_INCH, AXES_IN[2] * DOTS_PER_INCH
    decibels = [_decibel(reduced(piece.power, panel.extent, dots)) for piece in panel.pieces]
    low, high = limits_db(np.concatenate([one.compressed() for one in decibels]))
    scales = Scales.of(panel.extent, window)
    colours = colormaps["viridis"].with_extremes(bad="0.8")
    for piece, decibel in zip(panel.pieces, decibels, strict=True):
        image = axes.imshow(decibel, aspect="auto", origin="lower", interpolation="nearest", rasterized=True,
                            extent=scales.place(piece.extent), vmin=low, vmax=high, cmap=colours)
    left, right, early, late = scales.place(panel.extent)
    axes.set(xlim=(left, right), ylim=(early, late))
    axes.set_xlabel(scales.x_label, fontsize=_TEXT)
    if is_first:
        axes.set_ylabel(scales.y_label, fontsize=_TEXT)
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=6)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=_SMALL)
    axes.figure.colorbar(image, cax=bar)
    bar.tick_params(labelsize=_SMALL)
    bar.locator_params(axis="y", nbins=6)
    if is_last:
        bar.set_ylabel("Power [dB over noise]", fontsize=_TEXT)


def _decibel(power: NDArray[np.floating]) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.ma.masked_invalid(10 * np.log10(np.asarray(power, np.float64)))


def _title(axes: Axes, head: str, observed: str, file: str) -> None:
    """Write lines above a panel: ``head`` in bold, ``observed``, and the name of the file. Empty lines are left out."""
    name = _printable(Path(file).name, MAX_FILE_LENGTH)
    lines = [(name, _NAME, _NAME_FONT), (observed, _SMALL, None)]
    above = 4.0
    for text, points, font in lines:
        if text:
            note = axes.annotate(text, (0, 1), (0, above), xycoords="axes fraction", textcoords="offset points",
                                 fontsize=points, family=font, color="0.25", annotation_clip=False)
            note.set_parse_math(False)  # a dollar sign in a name must not start a formula
            above += 1.25 * _SMALL
    axes.set_title(head, loc="left", fontsize=_TEXT, fontweight="bold", pad=1 + above)


def _printable(text: str, longest: int) -> str:
    """Return text as one line of ASCII; it is shortened in the middle to at most ``longest`` characters."""
    plain = "".join(c if c.isprintable() else " " for c in text).encode("ascii", "backslashreplace").decode("ascii")
    if len(plain) <= longest:
        return plain
    head = (longest - 3) // 2
    return f"{plain[:head]}...{plain[head + 3 - longest:]}"
