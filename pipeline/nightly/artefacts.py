"""Recognises windows that the instrument makes, not the sky, by where they lie, not by what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True)
class Places:
    """Positions of windows of one source, one entry for each window."""

    block: NDArray[np.int64]
    coarse: NDArray[np.int64]
    channel: NDArray[np.int64]
    """First fine channel, counted from the start of its whole coarse channel, even if the file lacks a part of that."""

    @classmethod
    def of(cls, tiling: Tiling, numbers: NDArray[np.int64]) -> Places:
        """Find the positions of window numbers: :meth:`Tiling.locate` for many windows at once."""
        firsts = np.array([tiling.first_position(i) for i in range(tiling.n_coarse)])
        starts = np.array([tiling.coarse_span(i)[0] for i in range(tiling.n_coarse)])
        block, place = np.divmod(numbers, tiling.windows_per_block)
        # a piece without windows has the same first position as the next piece, and side="right" finds the next one
        coarse = np.searchsorted(firsts, place, side="right") - 1
        channel = starts[coarse] + (place - firsts[coarse]) * tiling.grid.step
        return cls(block, coarse, (channel - tiling.coarse.offset) % tiling.coarse.width)


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
    first, last = places.channel, places.channel + grid.channels
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


def _repeats(tiling: Tiling, places: Places, kept: Places) -> NDArray[np.bool_]:
    """Return True for each position at which most coarse channels hold a signal in the same channels and block."""
    if tiling.n_coarse < MIN_COARSE_CHANNELS:
        return np.zeros(len(places.block), np.bool_)
    everywhere = np.unique(np.stack([kept.block, kept.channel, kept.coarse]), axis=1)[:2]
    spots, present = np.unique(everywhere, axis=1, return_counts=True)
    repeated = set(map(tuple, spots[:, 2 * present > tiling.n_coarse].T.tolist()))
    return np.array([spot in repeated for spot in zip(places.block.tolist(), places.channel.tolist(), strict=True)],
                    np.bool_)
