"""Finds the waterfall and its colour bar in a picture of a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter

MIN_PAPER_DIFFERENCE = 24
"""Difference of a colour channel from the paper from which on a pixel is drawn."""
OPENING = 7
"""Width in pixels of what is too thin to be a plot: text, ticks and lines."""
MIN_FILL = 0.9
"""Minimum share of the pixels of a rectangle that are drawn. A colour bar with pointed ends has less than all."""
MIN_SIDE, MIN_BAR_LENGTH = 24, 40
"""Minimum size in pixels of a waterfall, and length of a colour bar."""
MAX_FRAME = 8
"""Maximum thickness of a frame, in pixels."""
MAX_FRAME_LIGHT, MAX_FRAME_CHROMA, MAX_FRAME_SPREAD = 110, 24, 4.0
"""A frame is darker than this, as grey as this, and as even along its line as this."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: rows [top, bottom) and columns [left, right)."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    def of(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the pixels of the rectangle."""
        return picture[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the waterfall is, and its colour bar if there is one. Both are without their frames.

    The waterfall is also without the lines that are blended with its frame.
    """

    axes: Box
    bar: Box | None = None
    hidden: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Pixels of the waterfall that its frame covers: at the left, top, right and lower side."""

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right and lower end of the waterfall, in pixels."""
        (left, top, right, bottom), axes = self.hidden, self.axes
        return axes.left - left, axes.top - top, axes.right + right, axes.bottom + bottom


def find_frame(picture: NDArray[np.uint8]) -> Frame:
    """Find the waterfall, which is the largest rectangle of a plot, and the colour bar beside, above or below it.

    Parameters
    ----------
    picture : (height, width, 3) uint8

    Raises
    ------
    ParameterError
        There is no rectangle that could be a waterfall.
    """
    boxes = _rectangles(picture)
    plots = [box for box in boxes if min(box.width, box.height) >= MIN_SIDE]
    if not plots:
        raise ParameterError("no waterfall plot is found in the picture; say where the inside of its axes is with "
                             f"{parameter('crop')}: left, top, right and bottom, in pixels")
    axes = max(plots, key=lambda box: box.width * box.height)
    bars = [box for box in boxes if box != axes and _may_be_bar(box, axes)]
    bar = max(bars, key=lambda box: max(box.width, box.height), default=None)
    inside = _without_frame(picture, axes)
    # half of a frame lies on the waterfall that it surrounds, and the line beside it is blended with it
    lines = (inside.left - axes.left, inside.top - axes.top, axes.right - inside.right, axes.bottom - inside.bottom)
    left, top, right, bottom = (int(count > 0) for count in lines)
    clean = Box(inside.left + left, inside.top + top, inside.right - right, inside.bottom - bottom)
    hidden = (lines[0] / 2 + left, lines[1] / 2 + top, lines[2] / 2 + right, lines[3] / 2 + bottom)
    return Frame(clean, None if bar is None else _without_frame(picture, bar), hidden)


def _rectangles(picture: NDArray[np.uint8]) -> list[Box]:
    """Return the drawn rectangles of a picture, with their frames."""
    from scipy import ndimage

    edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    colours, counts = np.unique(edges, axis=0, return_counts=True)
    paper = colours[counts.argmax()].astype(np.int16)
    drawn = (np.abs(picture.astype(np.int16) - paper) > MIN_PAPER_DIFFERENCE).any(axis=2)
    filled = ndimage.binary_fill_holes(drawn)  # of colours like the paper, within a frame
    thick = ndimage.binary_opening(filled, np.ones((OPENING, OPENING), bool))
    labels, _ = ndimage.label(thick)
    found = []
    for i, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        box = Box(columns.start, rows.start, columns.stop, rows.stop)
        if max(box.width, box.height) >= MIN_BAR_LENGTH and (labels[rows, columns] == i).mean() >= MIN_FILL:
            found.append(_without_points(box, labels[rows, columns] == i))
    return found


def _without_points(box: Box, is_drawn: NDArray[np.bool_]) -> Box:
    """Return a rectangle without its pointed ends, as a colour bar has them whose colours are clipped."""
    rows = np.flatnonzero(is_drawn.mean(axis=1) > 0.95)
    columns = np.flatnonzero(is_drawn.mean(axis=0) > 0.95)
    upright = box.height >= box.width
    if upright and len(rows):
        return Box(box.left, box.top + int(rows[0]), box.right, box.top + int(rows[-1]) + 1)
    if not upright and len(columns):
        return Box(box.left + int(columns[0]), box.top, box.left + int(columns[-1]) + 1, box.bottom)
    return box


def _may_be_bar(box: Box, axes: Box) -> bool:
    """Tell whether a rectangle is long and thin, and lies along a side of the axes."""
    upright, flat = box.height >= 4 * box.width, box.width >= 4 * box.height
    beside = upright and box.top < axes.bottom and axes.top < box.bottom and box.height >= axes.height / 4
    below = flat and box.left < axes.right and axes.left < box.right and box.width >= axes.width / 4
    return (beside or below) and max(box.width, box.height) >= MIN_BAR_LENGTH


def _without_frame(picture: NDArray[np.uint8], box: Box) -> Box:
    """Return a rectangle without the dark grey lines at its sides."""
    pixels = box.of(picture)
    turned = pixels.swapaxes(0, 1)
    lines = [_frame_lines(side) for side in (turned, turned[::-1], pixels, pixels[::-1])]
    if min(lines):  # a frame has the same thickness all around; what is thicker is dark itself
        lines = [min(lines)] * 4
    left, right, top, bottom = lines
    return Box(box.left + left, box.top + top, box.right - right, box.bottom - bottom)


def _frame_lines(lines: NDArray[np.uint8]) -> int:
    """Return how many lines at the begin belong to a frame. Lines before the darkest ones are its blurred edge."""
    count = min(MAX_FRAME, len(lines) // 4)
    ends = lines.shape[1] // 20  # corners, which other sides share
    light = lines[:count, ends : lines.shape[1] - ends].max(axis=2).astype(np.float64)
    chroma = np.ptp(lines[:count, ends : lines.shape[1] - ends], axis=2)
    is_frame = (((light <= MAX_FRAME_LIGHT) & (chroma <= MAX_FRAME_CHROMA)).mean(axis=1) >= 0.9) & (
        light.std(axis=1) <= MAX_FRAME_SPREAD)
    last = np.flatnonzero(is_frame)
    return 0 if not len(last) else int(last[-1]) + 1


def tick_places(picture: NDArray[np.uint8], bar: Box) -> Sequence[float]:
    """Return where the ticks of a colour bar are, as fractions of its length from its low end, ascending.

    Ticks are short dark lines that begin at the frame of the bar, at its right or left side, or below or above it.
    """
    upright = bar.height >= bar.width
    image = picture if upright else picture.swapaxes(0, 1)[:, ::-1]
    start, stop, length = (bar.top, bar.bottom, bar.height) if upright else (bar.left, bar.right, bar.width)
    sides = (bar.left, bar.right) if upright else (picture.shape[0] - bar.bottom, picture.shape[0] - bar.top)
    best: list[float] = []
    for side, step in ((sides[1], 1), (sides[0] - 1, -1)):
        for depth in range(2, 7):
            column = side + step * depth
            if not 0 <= column < image.shape[1]:
                continue
            dark = image[max(0, start - 2) : stop + 2, column].max(axis=1) <= MAX_FRAME_LIGHT
            edges = np.diff(np.concatenate([[0], dark.astype(np.int8), [0]]))
            centres = (np.flatnonzero(edges == 1) + np.flatnonzero(edges == -1) - 1) / 2 + max(0, start - 2)
            if len(centres) > len(best) and not dark.mean() > 0.3:
                at = (centres + 0.5 - start) / length
                best = sorted((1 - at if upright else at).tolist())
    return best
