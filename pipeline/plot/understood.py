"""Shows how the picture of a plot was understood: the picture, with what was found in it, beside what was read."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from pipeline.plot.panel import limits_db
from pipeline.plot.saved import bytes_of_figure
from pipeline.plot.scores import SMALL_TEXT_POINTS, TEXT_POINTS
from pipeline.plot.tile import DOTS_PER_INCH

SIZE_IN, WORDS_IN = (10.0, 4.2), 0.5
"""Width and height of the picture, and height of the words below it, in inches."""
_COLUMNS = 150  # characters of a line of words

Rectangle = tuple[float, float, float, float]
"""Left, top, right and lower end, in pixels."""


def draw_understood(
    picture: NDArray[np.uint8], axes_at: Rectangle, bar_at: Rectangle | None, power: NDArray[np.floating], words: str
) -> bytes:
    """Draw the picture of a plot and what was read from it side by side, and return a PNG.

    Parameters
    ----------
    picture : (height, width, 3) uint8
        The picture itself.
    axes_at, bar_at : Rectangle
        Where the waterfall was found, and the colour bar if there is one.
    power : (spectra, channels) array
        Linear power that was read, frequency ascending.
    words : str
        What was understood.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle as Patch

    figure = Figure(figsize=(SIZE_IN[0], SIZE_IN[1] + WORDS_IN), dpi=DOTS_PER_INCH)
    bottom = (WORDS_IN + 0.45) / (SIZE_IN[1] + WORDS_IN)
    left, right = (figure.add_axes((at, bottom, 0.42, 0.93 - bottom)) for at in (0.04, 0.54))
    left.imshow(picture)
    for place, colour in ((axes_at, "red"), (bar_at, "deepskyblue")):
        if place is not None:
            left.add_patch(Patch((place[0] - 0.5, place[1] - 0.5), place[2] - place[0], place[3] - place[1],
                                 fill=False, edgecolor=colour, linewidth=2))
    left.set_title("The picture; red: waterfall, blue: colour bar", loc="left", fontsize=TEXT_POINTS)
    with np.errstate(divide="ignore", invalid="ignore"):
        decibel = np.ma.masked_invalid(10 * np.log10(np.asarray(power, np.float64)))
    low, high = limits_db(decibel.compressed())
    right.imshow(decibel, aspect="auto", origin="lower", interpolation="nearest", vmin=low, vmax=high)
    right.set_title("What is searched for: low frequency left, begin below", loc="left", fontsize=TEXT_POINTS)
    right.set_xlabel("Channel", fontsize=TEXT_POINTS)
    right.set_ylabel("Spectrum", fontsize=TEXT_POINTS)
    for axes in (left, right):
        axes.tick_params(labelsize=SMALL_TEXT_POINTS)
    lines: Sequence[str] = wrap(words, _COLUMNS)
    figure.text(0.02, 0.02, "\n".join(lines), fontsize=SMALL_TEXT_POINTS, va="bottom", parse_math=False)
    return bytes_of_figure(figure, "png")
