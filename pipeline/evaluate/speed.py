"""How many windows a second an encoder takes, in batches, on this machine."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import Encoder, load_encoder
from pipeline.encoders.backend import keras
from pipeline.evaluate.retrieval import Encode

LEAST_S = 2.0
"""A measurement lasts at least this long."""
_FIRST = 64  # windows of the first try


@dataclass(frozen=True, slots=True)
class Speed:
    """Windows a second."""

    windows_per_s: float
    weights: str = "its own"
    """``random``: the speed is right, the vectors are not."""


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


def resnet50_of_random_weights() -> Encoder:
    """Make a ``resnet50`` to time where its weights are not at hand: weights change no timing."""
    network = keras().applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.weights.h5"
        network.save_weights(path)
        return load_encoder("resnet50", weights=str(path))
