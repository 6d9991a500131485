"""Recognises windows that the instrument makes, not the sky, by where they lie, not by what they show."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.places import Places
from pipeline.grid.tiling import Tiling

Artefact = Literal["masked", "DC bin", "edge", "same channels", "broadband"]

ARTEFACTS: dict[Artefact, str] = {
    "masked": "a quarter of their pixels or more are dead or flagged",
    "DC bin": "they hold the middle of a coarse channel",
    "edge": "they lie in the outer hundredth of a coarse channel, or are its first or last window",
    "same channels": "at the same time, most coarse channels hold a signal in the same of their channels",
    "broadband": "at the same time, most coarse channels hold look-alikes of them",
}
"""Artefact → what is wrong with such windows. A window counts under the first artefact that it fits."""
MIN_MASKED_SHARE = 0.25
"""A window counts as masked from this share of masked pixels on."""
EDGE_SHARE = 0.01
"""Share of a coarse channel, at either end, that counts as its edge."""
MIN_COARSE_CHANNELS = 4
"""With fewer coarse channels than this, artefacts that show in most coarse channels are not looked for."""


def by_place(
    tiling: Tiling, numbers: NDArray[np.int64], masked: NDArray[np.integer], kept: NDArray[np.int64]
) -> NDArray[np.str_]:
    """Classify windows of a source by their position: which artefact each is, if any.

    Parameters
    ----------
    numbers : (n,) int64
        Window numbers.
    masked : (n,) int
        Number of masked pixels of each window.
    kept : (m,) int64
        Numbers of all windows of the source that hold a signal.

    Returns
    -------
    (n,) str
        Names of artefacts; empty for none.
    """
    places, grid, width = Places.of(tiling, numbers), tiling.grid, tiling.coarse.width
    first = _in_coarse(tiling, places)
    last = first + grid.channels
    edge = max(1, round(EDGE_SHARE * width))
    has_edges = tiling.coarse.has_dc_spike
    middle = width // 2
    held_against: dict[Artefact, NDArray[np.bool_]] = {
        "masked": masked >= MIN_MASKED_SHARE * grid.channels * grid.integrations,
        # the upper of the two central channels, or the lower one of a mirrored band
        "DC bin": np.full(len(numbers), has_edges) & (first <= middle) & (last > middle - 1),
        "edge": np.full(len(numbers), has_edges) & ((first < edge) | (last > width - max(edge, grid.step))),
        "same channels": _repeats(tiling, places, Places.of(tiling, kept)),
    }
    out = np.full(len(numbers), "", dtype="<U16")
    for name, holds in held_against.items():
        out[(out == "") & holds] = name
    return out


def broadband(tiling: Tiling, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find windows whose look-alikes are in most coarse channels of the source at the same time.

    Parameters
    ----------
    numbers : (n,) int64
        Numbers of windows of one source that all look alike.

    Returns
    -------
    (n,) bool
    """
    places = Places.of(tiling, numbers)
    if tiling.n_coarse < MIN_COARSE_CHANNELS:
        return np.zeros(len(numbers), np.bool_)
    blocks, inverse = np.unique(places.block, return_inverse=True)
    present = np.array([len(np.unique(places.coarse[inverse == i])) for i in range(len(blocks))])
    return (2 * present > tiling.n_coarse)[inverse]


def _in_coarse(tiling: Tiling, places: Places) -> NDArray[np.int64]:
    """Return the first channel of each window, counted from the start of its coarse channel.

    The file may hold only a piece of the coarse channel.
    """
    channels: NDArray[np.int64] = (places.channel - tiling.coarse.offset) % tiling.coarse.width
    return channels


def _repeats(tiling: Tiling, places: Places, kept: Places) -> NDArray[np.bool_]:
    """Return True for each position at which most coarse channels hold a signal in the same channels and block."""
    if tiling.n_coarse < MIN_COARSE_CHANNELS:
        return np.zeros(len(places.block), np.bool_)
    everywhere = np.unique(np.stack([kept.block, _in_coarse(tiling, kept), kept.coarse]), axis=1)[:2]
    spots, present = np.unique(everywhere, axis=1, return_counts=True)
    repeated = set(map(tuple, spots[:, 2 * present > tiling.n_coarse].T.tolist()))
    return np.array([spot in repeated for spot in zip(places.block.tolist(), _in_coarse(tiling, places).tolist(),
                                                          strict=True)], np.bool_)
