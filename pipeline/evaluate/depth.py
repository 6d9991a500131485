"""Retrieval at several bit depths of cutouts: from the stored 8 bits, from fewer bits, and from unrounded images."""

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
from pipeline.simulate import FINE

BITS = (8, 6, 5, 4)
"""Bit depths that are measured."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Retrieval at one bit depth."""

    bits: int
    """Bits per pixel; 32 for unrounded images."""
    scores: Scores


def evaluate_depth(encoder: Encoder, power: NDArray[np.float32], labels: NDArray[np.str_]) -> list[Depth]:
    """Measure retrieval at each of :data:`BITS`, and from unrounded images.

    Parameters
    ----------
    encoder : Encoder
        Encoder to measure. Unrounded images are measured only if it has a method ``encode_images``.
    power : (n, 16, 256) float32
        Power relative to the baseline, at the resolution of the fine product.
    labels : (n,) str
        Family of each window.

    Returns
    -------
    list of Depth
        In order of decreasing depth.
    """
    cutouts = quantise(power, FINE.sigma)
    measured = [Depth(bits, scores(rank(encoder.encode(reduce_bits(cutouts, bits)), labels))) for bits in BITS]
    encode_images: Callable[[Any], NDArray[np.float32]] | None = getattr(encoder, "encode_images", None)
    if encode_images is not None:
        images = np.arcsinh(np.log(power) / np.float32(FINE.sigma))
        measured.insert(0, Depth(32, scores(rank(encode_images(images), labels))))
    return measured


def reduce_bits(cutouts: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Round the codes of cutouts to 2^bits − 1 levels over the same range; masked pixels (0) stay masked."""
    step = 254 / (2**bits - 2)
    table = 1 + np.rint(np.rint(np.arange(255) / step) * step)
    codes: NDArray[np.uint8] = np.concatenate([[0], table]).astype(np.uint8)[cutouts]
    return codes


def depth_set(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Simulate power and labels for :func:`evaluate_depth`."""
    return simulate_set(SetSpec("mixed kinds"), seed)
