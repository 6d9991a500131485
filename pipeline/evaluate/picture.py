"""Pictures of an evaluation: retrieval by strength, the gate's operating curve, the step of windows, the bit depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.evaluate.depth import BITS
from pipeline.evaluate.report import Report
from pipeline.evaluate.steps import MIN_FOUND_SHARE
from pipeline.plot import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    _Panel = Callable[[Axes, Report], None]

PANEL_IN = (5.6, 4.0)
DOTS_PER_INCH = 120


def draw(path: Path, report: Report) -> Path:
    """Draw the results of an evaluation, two panels per row.

    Parameters
    ----------
    path : Path
        Path of the file to write. Its suffix decides the format.
    report : Report
        Results; at least one of retrieval, gate, step and depth.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ConfigError
        The report holds no result that can be drawn, the file cannot be written, or its suffix is not that of a
        picture format.
    """
    panels = [panel for panel, is_there in _panels(report) if is_there]
    if not panels:
        raise ConfigError(f"{path}: nothing to draw; pictures show retrieval, gate, step and depth, so add one of them "
                          "with --part")
    return save_figure(_figure(panels, report), path, DOTS_PER_INCH)


def _figure(panels: Sequence[_Panel], report: Report) -> Figure:
    from matplotlib.figure import Figure

    columns, rows = min(len(panels), 2), -(-len(panels) // 2)
    figure = Figure(figsize=(PANEL_IN[0] * columns, PANEL_IN[1] * rows), layout="constrained")
    for k, panel in enumerate(panels):
        panel(figure.add_subplot(rows, columns, k + 1), report)
    return figure


def _panels(report: Report) -> list[tuple[_Panel, bool]]:
    return [(_draw_retrieval, bool(report.retrieval)), (_draw_gate, report.gate is not None),
            (_draw_step, bool(report.step)), (_draw_depth, bool(report.depth))]


def _head(axes: Axes, title: str) -> None:
    """Write the title above the panel, and the legend between title and panel, where it covers no data."""
    legend = axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False,
                         borderaxespad=0.1)
    rows = -(-len(legend.get_texts()) // 4)
    axes.set_title(title, pad=8 + 12 * rows)


def _draw_retrieval(axes: Axes, report: Report) -> None:
    """Draw bars of mean average precision: a group of bars per set, a bar per encoder."""
    sets = [one.spec for one in next(iter(report.retrieval.values()))]
    width = 0.8 / len(report.retrieval)
    for k, (name, results) in enumerate(report.retrieval.items()):
        heights = [one.overall.mean_average_precision for one in results]
        axes.bar(np.arange(len(sets)) + (k + 0.5) * width - 0.4, heights, width, label=name)
    labels = [f"{spec.name}\n{spec.snr[0]:g}–{spec.snr[1]:g}" for spec in sets]
    axes.set_xticks(np.arange(len(sets)), labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    axes.set(ylim=(0, 1), ylabel="mean average precision")
    _head(axes, "Retrieval by kind and SNR per bin")


def _draw_gate(axes: Axes, report: Report) -> None:
    """Draw the share of windows kept against the strength.

    Coloured lines show the mean of all families, one line per setting. Grey lines show each family at the middle
    setting.
    """
    curve = report.gate
    assert curve is not None
    for shares in curve.points[len(curve.points) // 2].by_family.values():
        axes.plot(curve.snrs, shares, color="0.8", linewidth=0.8)
    for one in curve.points:
        axes.plot(curve.snrs, one.overall, marker="o", markersize=3, label=f"false alarms {one.false_alarm:g}")
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="SNR per bin", ylabel="share kept")
    axes.set_xticks(curve.snrs, [f"{snr:g}" for snr in curve.snrs], minor=False)
    axes.minorticks_off()
    _head(axes, "Gate: operating curve")


def _draw_step(axes: Axes, report: Report) -> None:
    """Draw the share of signals on a boundary between windows that are found (solid) and recalled (dashed), by step.

    :mod:`pipeline.evaluate.steps` says when a signal is found or recalled.
    """
    for name, curve in report.step.items():
        at = [one.step for one in curve.steps]
        [line] = axes.plot(at, [one.found_on_boundary for one in curve.steps], marker="o", markersize=3, label=name)
        axes.plot(at, [one.recalled_on_boundary for one in curve.steps], linestyle="--", color=line.get_color())
    axes.axhline(MIN_FOUND_SHARE, color="0.6", linewidth=0.8)
    axes.set(ylim=(0, 1.02), xticks=at, xlabel="step [channels]", ylabel="share of signals on a boundary")
    _head(axes, "Found (solid), recalled (dashed), by step")


def _draw_depth(axes: Axes, report: Report) -> None:
    """Draw mean average precision against bits per pixel."""
    for name, depths in report.depth.items():
        stored = [one for one in depths if one.bits != 32]
        axes.plot([one.bits for one in stored], [one.scores.mean_average_precision for one in stored], marker="o",
                  markersize=3, label=name)
    axes.set(ylim=(0, 1.02), xticks=BITS, xlabel="bits per pixel", ylabel="mean average precision")
    _head(axes, "Depth of cutouts")
