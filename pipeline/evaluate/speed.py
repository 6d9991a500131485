"""Speed of an encoder on this machine, in windows per second, for large batches."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.retrieval import Encode

MIN_DURATION_S = 2.0
"""Minimum duration of a measurement."""
_FIRST_BATCH = 64  # windows of the first attempt


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed of an encoder."""

    windows_per_s: float


def measure_speed(encode: Encode, cutouts: NDArray[np.uint8], min_duration_s: float | None = None) -> float:
    """Measure windows per second. A first call, in which networks are compiled, does not count.

    Parameters
    ----------
    encode : callable
        Encoder to measure.
    cutouts : (n, 16, 256) uint8
        Cutouts to encode. They are repeated if they take less than ``min_duration_s``.
    min_duration_s : float, optional
        Minimum duration of the measurement; :data:`MIN_DURATION_S` by default.
    """
    min_duration_s = MIN_DURATION_S if min_duration_s is None else min_duration_s
    encode(cutouts[:_FIRST_BATCH])
    count, elapsed_s = min(_FIRST_BATCH, len(cutouts)), 0.0
    while True:
        began = time.perf_counter()
        encode(cutouts[np.arange(count) % len(cutouts)])
        elapsed_s = time.perf_counter() - began
        if elapsed_s >= min_duration_s:
            return count / elapsed_s
        count = int(count * min(max(1.2 * min_duration_s / max(elapsed_s, 1e-6), 2), 16))
