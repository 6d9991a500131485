"""The picture of a search: the query beside its hits, row by row, and the histogram of scores."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.model import Hit, Result, Window
from pipeline.plot.panel import Panel, Shown
from pipeline.plot.saved import bytes_of_figure
from pipeline.plot.scores import SMALL_TEXT_POINTS, draw_scores
from pipeline.plot.tile import AXES_IN, CELL_IN, DOTS_PER_INCH, LINE_IN, Tile, draw_tile, observed_at, tile_of_hit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_HITS = 500
"""Maximum number of hits in a picture."""
MAX_COLUMNS = 5
"""Maximum number of cells in a row, beside that of the query."""
MAX_PAIR_COLUMNS = 6
"""Maximum number of cells in a row in which each hit has its own window of the query beside it. It is even."""
RIGHT_IN, FOOT_IN = 0.2, 0.2
"""Space to the right of the last cell, for the label of its colour bar, and below the last row, for a line of remarks.
Each more line needs :data:`~pipeline.plot.tile.LINE_IN`."""
CLIPPED = "Pointed end of a colour bar: pixels beyond its range have the colour of that end."
_VERDICT_COLUMNS = 44  # characters of a line over the background
_REMARK_LEFT_IN, _REMARK_BOTTOM_IN = 0.1, 0.08
_LETTER = 0.56  # mean width of a letter of a remark, of its height

Asked = tuple[Shown, Window | None]
"""What a window of the query shows, and where it lies; None for an array."""


def draw_gallery(result: Result, powers: Sequence[Shown], query: Panel | None = None, kind: str = "png",
                 beside: Sequence[Asked] | None = None) -> bytes:
    """Draw the query and its hits, at most :data:`MAX_HITS`.

    Parameters
    ----------
    result : SearchResult
        The result to draw.
    powers : sequence of (T, F) arrays or Panels
        Power of the hits to draw, best first, as :meth:`pipeline.search.Corpus.power_of` returns it.
    query : Panel, optional
        What the query's waterfall shows. Default: the window of the query that found the best hit.
    kind : str
        Format of the picture, such as png, pdf or svg.
    beside : sequence of Asked, optional
        The window of the query that each hit resembles. It is drawn beside the hit. Default: the query begins each row.

    Returns
    -------
    bytes
        Content of the picture's file.

    Raises
    ------
    ConfigError
        There is no such format.
    """
    figure = gallery(result, powers, query, beside)
    formats = figure.canvas.get_supported_filetypes()
    if kind not in formats:
        raise ConfigError(f"cannot draw a picture of format {kind!r}; use one of {', '.join(sorted(formats))}")
    return bytes_of_figure(figure, kind, DOTS_PER_INCH)


def png_of_hits(hits: Sequence[Hit], powers: Sequence[NDArray[np.floating]], columns: int | None = None) -> bytes:
    """Draw hits in the style of :func:`draw_gallery`, and return a PNG.

    Parameters
    ----------
    hits : sequence of Hit
        Hits to draw; at least one.
    powers : sequence of (T, F) arrays
        Power of each hit, as :meth:`pipeline.search.Corpus.power_of` returns it.
    columns : int, optional
        Maximum number of hits in a row. Default: all in one row.
    """
    tiles = [tile_of_hit(hit, Panel.of(power, hit.window)) for hit, power in zip(hits, powers, strict=True)]
    across = columns or len(tiles)
    rows = [tiles[first : first + across] for first in range(0, len(tiles), across)]
    return bytes_of_figure(_drawn(rows, None, ()), "png", DOTS_PER_INCH)


def gallery(result: Result, powers: Sequence[Shown], query_panel: Panel | None = None,
            beside: Sequence[Asked] | None = None) -> Figure:
    """Draw the query beside the hits. All panels have the same size, so that slopes can be compared."""
    hits = result.hits[: min(len(powers), MAX_HITS)]
    query = _tile_of_query(result, query_panel)
    tiles = [tile_of_hit(hit, Panel.of(power, hit.window), len(query.panel.pieces))
             for hit, power in zip(hits, powers, strict=False)]
    has_scores = bool(tiles and result.background.counts)
    if beside is not None:
        asked = [_tile_of_asked(result, *one) for one in beside]
        tiles = [tile for pair in zip(asked, tiles, strict=True) for tile in pair]
        columns = min(MAX_PAIR_COLUMNS, len(tiles) + len(tiles) % 2)
    else:
        cells = max(1, len(tiles) + has_scores)
        columns = -(-cells // -(-cells // MAX_COLUMNS))  # rows have nearly equal lengths: nine cells make five and four
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    if beside is None:
        rows = [[query, *row] for row in rows or [[]]]
    left_out = len(result.hits) - len(hits)
    remark = (f"The best {len(hits)} of {len(result.hits)} hits are drawn.",) if left_out else ()
    return _drawn(rows, result if has_scores else None, remark)


def _drawn(rows: Sequence[Sequence[Tile]], scored: Result | None, remarks: Sequence[str]) -> Figure:
    """Draw rows of tiles, and behind the last one the histogram of scores, which may begin a row of its own."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    widest, last = max(map(len, rows)), len(rows[-1])
    starts_row = scored is not None and last == widest and len(rows) > 1
    columns = widest + (scored is not None and len(rows) == 1)
    tiles = [tile for row in rows for tile in row]
    height = CELL_IN[1] + (LINE_IN if any(tile.state for tile in tiles) else 0)
    count = len(rows) + starts_row
    across = CELL_IN[0] * columns + 2 * RIGHT_IN
    foot = FOOT_IN + LINE_IN * (_lines((CLIPPED, *remarks), across).count("\n"))  # drawing tells what is clipped
    figure = Figure(figsize=(across, height * count + foot), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    from_begin, clipped = any(tile.needs_begin for tile in tiles), False
    for i, row in enumerate(rows):
        for column, tile in enumerate(row):
            place = column * CELL_IN[0], (count - 1 - i) * height + foot
            clipped |= draw_tile(figure, place, tile, from_begin=from_begin,
                                 has_time=column == 0 or _counts(tile) != _counts(row[column - 1]),
                                 has_power=column == len(row) - 1)
    if scored is not None:
        column = 0 if starts_row else last
        _scores(figure, (column * CELL_IN[0] + (RIGHT_IN if column else 0), foot), scored, len(tiles))
    if clipped:
        remarks = CLIPPED, *remarks
    figure.text(_REMARK_LEFT_IN / across, _REMARK_BOTTOM_IN / figure.get_figheight(), _lines(remarks, across),
                fontsize=SMALL_TEXT_POINTS, color="0.25", linespacing=72 * LINE_IN / SMALL_TEXT_POINTS / 1.2)
    return figure


def _counts(tile: Tile) -> bool:
    """Return whether the axes of a tile count spectra, so that a neighbour with seconds needs a label of its own."""
    return tile.window is None


def _lines(remarks: Sequence[str], across_in: float) -> str:
    """Return remarks in lines that fit into a picture of some width."""
    letters = int(72 * (across_in - 2 * _REMARK_LEFT_IN) / (_LETTER * SMALL_TEXT_POINTS))
    return "\n".join(wrap("  ".join(remarks), letters))


def _tile_of_query(result: Result, panel: Panel | None) -> Tile:
    window, query = result.query_window, result.description
    shown = Panel.of(panel or result.query_power(), window)
    head = f"Query: {len(shown.pieces)} windows" if len(shown.pieces) > 1 else "Query"
    return Tile(shown, window, head, "" if window is None else observed_at(query.target, window), query.file,
                is_query=True)


def _tile_of_asked(result: Result, shown: Shown, window: Window | None) -> Tile:
    """Return the tile of the window of the query that a hit resembles."""
    query = result.description
    return Tile(Panel.of(shown, window), window, "Query, for the next:",
                "" if window is None else observed_at(query.target, window), query.file, is_query=True)


def _scores(figure: Figure, place: tuple[float, float], result: Result, drawn: int) -> None:
    """Draw the histogram of scores in a cell of its own."""
    left, bottom, width, height = AXES_IN
    across, up = figure.get_size_inches()
    axes = figure.add_axes(((left + place[0]) / across, (bottom + place[1]) / up, width / across, height / up))
    draw_scores(axes, result.background, [hit.score for hit in result.hits[:drawn]])
    axes.set_title("\n".join(wrap(result.words_of_verdict, _VERDICT_COLUMNS)), loc="left", fontsize=SMALL_TEXT_POINTS)
