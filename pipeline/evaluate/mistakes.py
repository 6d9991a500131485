"""A picture of the worst mistakes among labelled windows: the query, the wrong first answer, and the best right one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.evaluate.labelled_folder import LabelledFolder, read_labelled_folder
from pipeline.evaluate.labelled_scores import Mistake
from pipeline.evaluate.picture import DOTS_PER_INCH
from pipeline.evaluate.report import Report
from pipeline.evaluate.sheet import draw_window
from pipeline.plot import save_figure
from pipeline.simulate import FINE, FINE_GRID

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 8
"""Number of mistakes in the picture."""
CELL_IN = (3.6, 1.7)


def draw_mistakes(path: Path, folder: Path, report: Report) -> Path:
    """Draw the worst mistakes of the first encoder, on windows that were cut from a file.

    Parameters
    ----------
    path : Path
        Path of the file to write. Its suffix decides the format.
    folder : Path
        Folder of labelled windows that the report was made with.
    report : Report
        Results of the part ``real``.

    Raises
    ------
    ConfigError
        There is no mistake to draw, the folder cannot be read, the file cannot be written, or its suffix is not that of
        a picture format.
    """
    name, forms = next(iter(report.labelled.items()), ("", []))
    if not forms:
        raise ConfigError(f"{path}: nothing to draw; mistakes are those among labelled windows, so add --part real and "
                          "--real FOLDER, with a folder of labelled windows")
    if not forms[0].mistakes:
        raise ConfigError(f"{path}: nothing to draw; with {name}, the first answer to every query is right")
    return save_figure(mistakes_figure(forms[0].mistakes[:SHOWN], read_labelled_folder(folder)), path, DOTS_PER_INCH)


def mistakes_figure(mistakes: Sequence[Mistake], folder: LabelledFolder) -> Figure:
    """Make the figure: a row for each mistake. Frequency is counted from the lower edge of a window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * CELL_IN[0], CELL_IN[1] * len(mistakes) + 0.4), layout="constrained")
    axes = figure.subplots(len(mistakes), 3, squeeze=False, sharex=True, sharey=True)
    width_hz = FINE_GRID.channels * FINE.channel_width_hz
    duration_s = FINE_GRID.integrations * FINE.tsamp_s
    for row, one in zip(axes, mistakes, strict=True):
        shown = (
            (one.query, f"query: {one.kind}"),
            (one.wrong, f"first answer, {one.wrong_score:.3f}: {one.wrong_kind}"),
            (one.right, f"best right answer, {one.right_score:.3f}, rank {one.right_rank}"),
        )
        for place, (number, title) in zip(row, shown, strict=True):
            draw_window(place, np.asarray(folder.power[number], np.float32), f"{title} (window {number})",
                        extent=(0, width_hz, duration_s, 0), size=7)
            place.tick_params(labelsize=6)
        row[0].set_ylabel("time (s)", fontsize=7)
    for place in axes[-1]:
        place.set_xlabel("frequency (Hz)", fontsize=7)
    return figure
