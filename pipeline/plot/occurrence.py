"""Draws rates of occurrence, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.plot.saved import Picture, bytes_of_figure, save_figure
from pipeline.plot.scores import SMALL_TEXT_POINTS, TEXT_POINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN, TITLE_IN, ROW_IN = 8.0, 0.9, 2.1
"""Width of the picture, height of its title, and height of the drawing of each axis, in inches."""
DOTS_PER_INCH = 120
MAX_LABELS, TITLE_COLUMNS = 12, 110
NAMES: Mapping[str, str] = {"frequency": "Frequency (MHz)", "date": "Date (MJD, UTC)", "hour": "Hour of day (UTC)",
                            "local hour": "Hour of day (local mean solar time)", "target": "Target"}
"""Name of an axis → its label."""


class Counted(Protocol):
    """Part of :class:`pipeline.occurrence.Occurrence` that a picture needs."""

    @property
    def statement(self) -> str:
        """The answer in a sentence, which is the title."""

    @property
    def tables(self) -> Mapping[str, Sequence[Any]]:
        """Name of an axis → its :class:`pipeline.occurrence.Row`."""


def plot_occurrence(result: Counted, path: str | Path | None = None) -> Path | Picture:
    """Draw the rate in each bin of each axis, to a file or as a picture that notebooks show.

    Raises
    ------
    ConfigError
        The file cannot be written, or its suffix is not that of a picture format.
    """
    figure = draw_occurrence(result)
    return Picture(bytes_of_figure(figure, "png", DOTS_PER_INCH)) if path is None else save_figure(
        figure, Path(path), DOTS_PER_INCH)


def draw_occurrence(result: Counted) -> Figure:
    """Draw the rate in each bin of each axis. Bins in which nothing was searched are hatched."""
    from matplotlib.figure import Figure

    tables = {name: rows for name, rows in result.tables.items() if rows}
    figure = Figure(figsize=(WIDTH_IN, TITLE_IN + ROW_IN * max(1, len(tables))), layout="constrained")
    figure.suptitle(fill(result.statement.replace("$", r"\$"), TITLE_COLUMNS), fontsize=TEXT_POINTS)
    if tables:
        grid = figure.subplots(len(tables), squeeze=False)
        for axes, (name, rows) in zip(grid[:, 0], tables.items(), strict=True):
            _draw_axis(axes, name, rows)
    return figure


def _draw_axis(axes: Axes, name: str, rows: Sequence[Any]) -> None:
    has_ends = rows[0].bin.start is not None
    starts, stops = zip(*((row.bin.start, row.bin.stop) if has_ends else (i - 0.5, i + 0.5)
                          for i, row in enumerate(rows)), strict=True)
    for row, start, stop in zip(rows, starts, stops, strict=True):
        if not row.is_observed:
            axes.axvspan(start, stop, facecolor="0.93", edgecolor="0.75", hatch="///", linewidth=0)
            continue
        rate, low, high = row.rate_per_mhz_h
        middle = (start + stop) / 2
        axes.bar(middle, rate, 0.9 * (stop - start), color="tab:blue", alpha=0.5)
        axes.errorbar(middle, rate, [[rate - low], [high - rate]], color="k", capsize=2, linewidth=0.8)
    if not has_ends:
        step = -(-len(rows) // MAX_LABELS)
        axes.set_xticks(range(0, len(rows), step), [row.bin.label.replace("$", r"\$") for row in rows[::step]])
    axes.set_xlim(starts[0], stops[-1])
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="x" if has_ends else "y", useOffset=False, style="plain")
    axes.set_xlabel(NAMES[name], fontsize=TEXT_POINTS)
    axes.set_ylabel("Emitters per MHz h", fontsize=TEXT_POINTS)
    axes.tick_params(labelsize=SMALL_TEXT_POINTS)
