"""Two-dimensional power spectrum: no weights, no training, numpy only.

The magnitude of a Fourier transform does not depend on where in the window a signal lies, and its quadrants
tell rising from falling lines. What it would show most of is noise, so noise is taken out twice: pixels
below :data:`THRESHOLD_SIGMAS` are set to zero before the transform, and the power that thresholded noise
still has on average is subtracted after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CUTOUT_VERSION
from pipeline.encoders.base import checked, joined, unit_rows
from pipeline.grid.cutouts import image_of_cutouts
from pipeline.model import EncoderSpec, WindowGrid

NAME = "power-spectrum"
VERSION = 1
THRESHOLD_SIGMAS = 1.5
"""Between 1.3 and 2 it matters little; without it, mean average precision falls by a fifth."""
CHANNEL_BANDS = 15
"""Bands of frequency along the channels, besides frequency zero; narrow ones at low frequency."""
TIME_BANDS = 8
"""Bands of frequency along time, to either side of zero: each frequency by itself for 16 spectra."""

_AT_ONCE = 256  # windows transformed together, to bound memory


class PowerSpectrum:
    """Encoder that keeps how much a window varies at each scale in frequency and at each signed rate in time.

    A vector is √max(P − 1, 0) at unit length, P being the spectrum's power in bands, in units of what noise
    has on average. Component 0, the mean of the image, says nothing of a pattern: it is 1 for a window in
    which nothing rises above the noise and 0 for all others, so that an empty window resembles only empty
    ones.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows.
    """

    def __init__(self, grid: WindowGrid) -> None:
        self._grid = grid
        times, channels = grid.integrations, grid.channels
        below = 1 - _bands(times // 2, TIME_BANDS)[::-1]
        above = _bands((times - 1) // 2, TIME_BANDS)
        edges = np.unique(np.concatenate([below, [0], above]))
        # an FFT lists the rates from zero up and then the negative ones: bands are summed in that order
        self._time_starts = np.concatenate([edges[edges >= 0][:-1], times + edges[edges < 0]])
        self._channel_starts = channel_bands(channels, CHANNEL_BANDS)
        self._per_noise = self._noise_scale()
        self.spec = EncoderSpec(
            name=NAME,
            version=VERSION,
            dimension=len(self._time_starts) * len(self._channel_starts),
            input=f"cutout-v{CUTOUT_VERSION} {times}x{channels}",
        )

    def encode(self, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode cutouts; see :meth:`pipeline.encoders.Encoder.encode`."""
        return self.encode_all([cutouts])

    def encode_all(self, blocks: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode cutouts that come block by block; see :meth:`pipeline.encoders.Encoder.encode_all`."""
        parts = (cutouts[start : start + _AT_ONCE] for cutouts in (checked(NAME, block, self._grid) for block in blocks)
                 for start in range(0, len(cutouts), _AT_ONCE))
        return joined((self.encode_images(image_of_cutouts(part)) for part in parts), self.spec.dimension)

    def encode_images(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encode asinh images (n, T, F) that were never rounded to 8 bits: what cutouts cost is measured by this."""
        return unit_rows(NAME, self._encode(images))

    def _encode(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        image = np.maximum(images - THRESHOLD, 0)
        transform = np.fft.fft(np.fft.rfft(image, axis=2), axis=1)
        power = transform.real**2 + transform.imag**2
        bands = np.add.reduceat(power, self._channel_starts, axis=2)
        bands = np.add.reduceat(bands, self._time_starts, axis=1)
        bands *= self._per_noise
        vectors: NDArray[np.float32] = np.sqrt(np.maximum(bands - 1, 0)).reshape(len(images), -1)
        vectors[:, 0] = 0
        vectors[~vectors.any(axis=1), 0] = 1
        return vectors

    def _noise_scale(self) -> NDArray[np.float32]:
        """One over the power that thresholded noise has in each band, on average."""
        times, channels = self._grid.integrations, self._grid.channels
        frequencies = channels // 2 + 1
        in_band = np.diff(self._time_starts, append=times)[:, None] * np.diff(
            self._channel_starts, append=frequencies
        )
        return (1 / (in_band * times * channels * noise_variance())).astype(np.float32)


THRESHOLD = np.float32(math.asinh(THRESHOLD_SIGMAS))
"""The same in an asinh image."""


@lru_cache(maxsize=1)
def noise_variance() -> float:
    """Return the variance of a pixel of normal noise after compression and threshold."""
    sigmas = np.linspace(-8, 8, 16_001)
    weight = np.exp(-(sigmas**2) / 2)
    weight /= weight.sum()
    value = np.maximum(np.arcsinh(sigmas) - THRESHOLD, 0)
    return float(weight @ value**2 - (weight @ value) ** 2)


def channel_bands(channels: int, most: int) -> NDArray[np.int64]:
    """Return where frequency zero and then at most ``most`` bands of frequency along the channels begin."""
    return np.concatenate([[0], _bands(channels // 2, most)])[:-1]


def _bands(top: int, most: int) -> NDArray[np.int64]:
    """Edges of at most ``most`` bands that cover 1…``top``: single ones first, then in geometric steps."""
    if top <= most:
        return np.arange(1, top + 2)
    steps = most
    edges = np.array([1, top + 1])
    # rounding makes the narrowest steps coincide: take more until the bands are as many as asked for
    while len(finer := np.unique(np.rint(np.geomspace(1, top + 1, steps + 1)).astype(np.int64))) <= most + 1:
        steps, edges = steps + 1, finer
    return edges
