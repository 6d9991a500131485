"""Says why no window of some coarse channels can be searched."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.filterbank import Filterbank
from pipeline.flatten.gains import saturated_rows
from pipeline.grid.tiling import Tiling

MAX_CHANNELS = 2**16
"""Maximum number of channels that are read to find the reason."""


def why_unsearchable(filterbank: Filterbank, tiling: Tiling, coarse: range) -> str:
    """Say what is wrong with the samples of coarse channels of which no window can be searched, and what to do.

    Parameters
    ----------
    filterbank : Filterbank
        The open file.
    tiling : Tiling
        Where its windows are.
    coarse : range
        Coarse channels. A few samples of the middle one that is searched are read.

    Returns
    -------
    str
        Part of a sentence, such as ``most samples are 0; check how the file was made``.
    """
    searched = [i for i in coarse if len(tiling.positions(i))]
    low, high = tiling.coarse_span(searched[len(searched) // 2])
    start = max(low, (low + high - MAX_CHANNELS) // 2)
    power = filterbank.read(0, tiling.grid.integrations, start, min(high, start + MAX_CHANNELS))
    largest = filterbank.limits[1]
    if _is_most(saturated_rows(power, largest)):
        return (f"most samples have the largest value of their type, {largest:.0f}: they are saturated; record again "
                "with a lower level")
    if filterbank.header.nbits > 32 and np.isinf(largest) and _is_most((power == 0) | np.isinf(power)):
        return (f"most of its {filterbank.header.nbits}-bit samples are 0 or infinite as 32-bit floats, in which it is "
                "searched; multiply all by a constant, so that they lie between 1e-30 and 1e30")
    for fault, where in (("are 0", power == 0), ("are no finite numbers", ~np.isfinite(power)),
                         ("never change", (power == power[0]).all(axis=0))):
        if _is_most(where):
            return f"most samples {fault}; check how the file was made"
    return "most samples are 0, are no finite numbers, or never change; check how the file was made"


def _is_most(where: NDArray[Any]) -> bool:
    return bool(2 * np.count_nonzero(where) > where.size)
