"""Which windows an instrument makes rather than the sky: told from where they lie, not from what they show."""

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
    "same channels": "most coarse channels hold a signal in just these of their channels, at the same time",
    "broadband": "most coarse channels hold look-alikes of them at the same time",
}
"""What is held against windows, in the order in which it is looked for: each counts under the first."""
MOST_MASKED = 0.25
EDGE = 0.01
LEAST_COARSE = 4
"""Of fewer coarse channels, nothing can be said about most of them."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where windows of one source lie, one entry a window."""

    block: NDArray[np.int64]
    coarse: NDArray[np.int64]
    channel: NDArray[np.int64]
    """First channel, counted from where the whole coarse channel begins or would begin."""

    @classmethod
    def of(cls, tiling: Tiling, numbers: NDArray[np.int64]) -> Places:
        """Find the places of window numbers: :meth:`Tiling.locate` of many."""
        firsts = np.array([tiling.first_position(i) for i in range(tiling.n_coarse)])
        starts = np.array([tiling.coarse_span(i)[0] for i in range(tiling.n_coarse)])
        block, place = np.divmod(numbers, tiling.windows_per_block)
        coarse = np.searchsorted(firsts, place, side="right") - 1  # of empty pieces, the one after them
        channel = starts[coarse] + (place - firsts[coarse]) * tiling.grid.step
        return cls(block, coarse, (channel - tiling.coarse.offset) % tiling.coarse.width)


def by_place(
    tiling: Tiling, numbers: NDArray[np.int64], masked: NDArray[np.integer], kept: NDArray[np.int64]
) -> NDArray[np.str_]:
    """Say which artefact each of some windows of a source is by its place, empty for none.

    Parameters
    ----------
    numbers : (n,) int64
        The windows.
    masked : (n,) int
        Their masked pixels.
    kept : (m,) int64
        All windows of the source in which there is a signal.
    """
    places, grid, width = Places.of(tiling, numbers), tiling.grid, tiling.coarse.width
    first, last = places.channel, places.channel + grid.channels
    edge = max(1, round(EDGE * width))
    has_edges = tiling.coarse.has_dc_spike
    middle = width // 2
    held_against: dict[Artefact, NDArray[np.bool_]] = {
        "masked": masked >= MOST_MASKED * grid.channels * grid.integrations,
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
    """Tell which of some windows of a source, all alike, are in most of its coarse channels at the same time."""
    places = Places.of(tiling, numbers)
    if tiling.n_coarse < LEAST_COARSE:
        return np.zeros(len(numbers), np.bool_)
    blocks, inverse = np.unique(places.block, return_inverse=True)
    present = np.array([len(np.unique(places.coarse[inverse == i])) for i in range(len(blocks))])
    return (2 * present > tiling.n_coarse)[inverse]


def _repeats(tiling: Tiling, places: Places, kept: Places) -> NDArray[np.bool_]:
    """Tell at which places most coarse channels hold a signal in the same channels and block."""
    if tiling.n_coarse < LEAST_COARSE:
        return np.zeros(len(places.block), np.bool_)
    everywhere = np.unique(np.stack([kept.block, kept.channel, kept.coarse]), axis=1)[:2]
    spots, present = np.unique(everywhere, axis=1, return_counts=True)
    repeated = set(map(tuple, spots[:, 2 * present > tiling.n_coarse].T.tolist()))
    return np.array([spot in repeated for spot in zip(places.block.tolist(), places.channel.tolist(), strict=True)],
                    np.bool_)
