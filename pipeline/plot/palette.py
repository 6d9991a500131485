"""The colour maps of matplotlib, as tables of colours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

COLOURS = 256
"""Number of colours of a map. Maps of fewer, which name kinds, show no power."""
USUAL = ("viridis", "plasma", "inferno", "magma", "cividis", "jet", "hot", "gray", "turbo", "rainbow")
"""Maps that plots of power use most. They come first."""


@cache
def colour_maps() -> Mapping[str, NDArray[np.uint8]]:
    """Return the name and the colours of each continuous map of matplotlib: (256, 3) uint8, from low to high.

    Reversed maps, whose names end in ``_r``, follow all others.
    """
    from matplotlib import colormaps

    names = sorted(colormaps, key=lambda name: (name.endswith("_r"), name not in USUAL,
                                                USUAL.index(name) if name in USUAL else 0, name))
    return MappingProxyType({name: colormaps[name](np.arange(COLOURS), bytes=True)[:, :3].copy() for name in names
                             if colormaps[name].N == COLOURS})
