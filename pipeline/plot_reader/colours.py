"""Turns the colours of a plot back into numbers, from 0 at the low end of the colour bar to 1 at its high end."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter
from pipeline.plot import colour_maps
from pipeline.plot_reader.frame import Box

MAX_DISTANCE = 40.0
"""Distance in red, green and blue beyond which a pixel shows something else, such as text; it is masked."""
MAX_MEAN_DISTANCE = 6.0
"""Mean distance up to which a map of matplotlib is recognised."""
SAMPLE = 4000
"""Number of colours of the waterfall by which its map is recognised."""


@dataclass(frozen=True, slots=True)
class ColourScale:
    """Colours of a plot, from the lowest to the highest value."""

    name: str
    """Name of the map of matplotlib; empty if the colours are those of the colour bar."""
    colours: NDArray[np.uint8] = field(repr=False)
    """(n, 3)"""
    is_sure: bool = True
    """False if the map was recognised by the colours of the waterfall alone."""

    def values(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return where the colours (height, width, 3) are on the scale, from 0 to 1; NaN for other colours."""
        from scipy.spatial import cKDTree

        packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        unique, inverse = np.unique(packed, return_inverse=True)
        each = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], axis=1).astype(np.float64)
        distance, nearest = cKDTree(self.colours.astype(np.float64)).query(each)
        values = np.where(distance <= MAX_DISTANCE, nearest / (len(self.colours) - 1), np.nan).astype(np.float32)
        return values[inverse].reshape(packed.shape)


def colour_scale(picture: NDArray[np.uint8], axes: Box, bar: Box | None, name: str | None) -> ColourScale:
    """Return the colours of a plot.

    Parameters
    ----------
    picture : (height, width, 3) uint8
    axes, bar : Box
        The waterfall, and its colour bar if there is one.
    name : str, optional
        Name of the map. Default: the map of matplotlib that is like the colour bar, or the colours of the bar; without
        a bar, the map that is like the waterfall.

    Raises
    ------
    ParameterError
        No map has this name, or none is recognised.
    """
    maps = colour_maps()
    if name is not None:
        if name not in maps:
            raise ParameterError(f"{parameter('colormap')} {name!r} is no continuous colour map of matplotlib; there "
                                 f"are {', '.join(one for one in maps if not one.endswith('_r'))}, each also with _r "
                                 "behind its name, for reversed")
        return ColourScale(name, maps[name])
    if bar is not None:
        return _scale_of_bar(picture, bar)
    unique = np.unique(axes.of(picture).reshape(-1, 3), axis=0)
    sample = unique[:: max(1, len(unique) // SAMPLE)].astype(np.float64)
    distances = {one: _distance(sample, colours) for one, colours in maps.items() if not one.endswith("_r")}
    least = min(distances.values())
    if least > MAX_MEAN_DISTANCE:
        raise ParameterError("the colours of the plot are those of no colour map of matplotlib, and no colour bar is "
                             f"found; name the map with {parameter('colormap')}, or give a picture with its colour bar")
    best = next(one for one, distance in distances.items() if distance <= least + 0.5)
    return ColourScale(best, maps[best], is_sure=False)


def _scale_of_bar(picture: NDArray[np.uint8], bar: Box) -> ColourScale:
    pixels = bar.of(picture)
    line = pixels[::-1].swapaxes(0, 1) if bar.height >= bar.width else pixels  # thickness, length, colour
    quarter = len(line) // 4
    colours = np.median(line[quarter : len(line) - quarter], axis=0)
    at = np.round(np.linspace(0, 255, len(colours))).astype(np.int64)
    distances = {name: float(np.abs(table[at] - colours).mean()) for name, table in colour_maps().items()}
    best = min(distances, key=lambda name: distances[name])
    if distances[best] <= MAX_MEAN_DISTANCE:
        return ColourScale(best, colour_maps()[best])
    return ColourScale("", colours.astype(np.uint8))


def _distance(sample: NDArray[np.float64], colours: NDArray[np.uint8]) -> float:
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(colours.astype(np.float64)).query(sample)
    return float(np.mean(distance))
