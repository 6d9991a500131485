"""Flattens a coarse channel that is in memory, for tests of the gate, the scan and the flattening itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.flatten.coarse_channel import flatten_stretches
from pipeline.flatten.flattened import FlattenedChannel


def flatten(
    power: NDArray[np.float32], *, nominal: float, has_dc_spike: bool = False, coarse_width: int | None = None
) -> FlattenedChannel:
    """Return power (spectra, channels), ascending, as one flattened stretch (:func:`flatten_stretches`)."""
    ((_, _, flat),) = flatten_stretches(
        lambda start, stop, _: power[:, start:stop], power.shape, stretch=power.shape[1], nominal=nominal,
        has_dc_spike=has_dc_spike, coarse_width=coarse_width,
    )
    return flat


def power_of(flat: FlattenedChannel) -> NDArray[np.float32]:
    """Return power over baseline (spectra, channels), ascending: noise is at 1, masked pixels are 0."""
    power: NDArray[np.float32] = flat.windows(np.zeros(1, np.int64), flat.stored.shape[1])[0]
    return power
