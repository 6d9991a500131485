"""How many bits a cutout needs: retrieval from the stored 8 bits, from fewer, and from unrounded images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import Encoder
from pipeline.evaluate.metrics import Scores, rank, scores
from pipeline.evaluate.sets import SetSpec, simulate_set
from pipeline.grid.cutouts import quantise
from pipeline.simulate.signals import FINE

BITS = (8, 6, 5, 4)


@dataclass(frozen=True, slots=True)
class Depth:
    """Retrieval at one depth."""

    bits: int
    """32 for unrounded images."""
    scores: Scores


def evaluate_depth(encoder: Encoder, power: NDArray[np.float32], labels: NDArray[np.str_]) -> list[Depth]:
    """Measure retrieval at 32 bits, where the encoder takes images (``encode_images``), and at each of :data:`BITS`.

    Parameters
    ----------
    power : (n, 16, 256) float32
        Over baseline, of the fine product.
    """
    cutouts = quantise(power, FINE.sigma)
    measured = [Depth(bits, scores(rank(encoder.encode(coarser(cutouts, bits)), labels))) for bits in BITS]
    encode_images: Callable[[Any], NDArray[np.float32]] | None = getattr(encoder, "encode_images", None)
    if encode_images is not None:
        images = np.arcsinh(np.log(power) / np.float32(FINE.sigma))
        measured.insert(0, Depth(32, scores(rank(encode_images(images), labels))))
    return measured


def coarser(cutouts: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Round codes to 2^bits − 1 levels over the same range; masked pixels (0) stay masked."""
    step = 254 / (2**bits - 2)
    table = 1 + np.rint(np.rint(np.arange(255) / step) * step)
    codes: NDArray[np.uint8] = np.concatenate([[0], table]).astype(np.uint8)[cutouts]
    return codes


def depth_set(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Simulate what :func:`evaluate_depth` takes."""
    return simulate_set(SetSpec("mixed kinds"), seed)
