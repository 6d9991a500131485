"""How many windows a second an encoder takes, in batches, on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.retrieval import Encode

LEAST_S = 2.0
"""A measurement lasts at least this long."""
_FIRST = 64  # windows of the first try


@dataclass(frozen=True, slots=True)
class Speed:
    """Windows a second."""

    windows_per_s: float


def measure_speed(encode: Encode, cutouts: NDArray[np.uint8], least_s: float = LEAST_S) -> float:
    """Return windows a second; the first call, which compiles, is not counted.

    Parameters
    ----------
    cutouts : (n, 16, 256) uint8
        As many of them as take ``least_s``; encoded again and again if they are too few.
    """
    encode(cutouts[:_FIRST])
    count, elapsed_s = min(_FIRST, len(cutouts)), 0.0
    while True:
        began = time.perf_counter()
        encode(cutouts[np.arange(count) % len(cutouts)])
        elapsed_s = time.perf_counter() - began
        if elapsed_s >= least_s:
            return count / elapsed_s
        count = int(count * min(max(1.2 * least_s / max(elapsed_s, 1e-6), 2), 16))
