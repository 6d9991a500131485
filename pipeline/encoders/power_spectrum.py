"""The two-dimensional power spectrum as an encoder: no weights, no training, numpy only.

The magnitude of a Fourier transform does not depend on the position of a signal in the window. Its quadrants
distinguish rising from falling lines. Noise would dominate the spectrum, so it is removed in two steps. Pixels below
:data:`THRESHOLD_SIGMAS` are set to zero before the transform. The mean power of thresholded noise is subtracted after
the transform.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CUTOUT_VERSION
from pipeline.encoders.base import check_cutouts, join_vectors, normalise_rows
from pipeline.grid.cutouts import image_of_cutouts
from pipeline.model import EncoderSpec, WindowGrid

NAME = "power-spectrum"
VERSION = 1
THRESHOLD_SIGMAS = 1.5
"""Threshold in sigmas of the noise. Values from 1.3 to 2 give similar results. Without a threshold, mean average
precision falls by a fifth."""
THRESHOLD = np.float32(math.asinh(THRESHOLD_SIGMAS))
"""The threshold as a pixel value of an asinh image."""
CHANNEL_BANDS = 15
"""Number of bands of spatial frequency along the channels, besides frequency zero. They are narrow at low frequency."""
TIME_BANDS = 8
"""Number of bands of frequency along time, on each side of zero. For 16 spectra, each band is a single frequency."""

_WINDOWS_PER_TRANSFORM = 256  # bounds memory


class PowerSpectrum:
    """Encoder that keeps a window's power at each scale in frequency and at each signed rate in time.

    A vector is √max(P − 1, 0), scaled to unit length. P is the power in bands, in units of the mean power of noise.
    Component 0 would be the mean of the image, which says nothing about a pattern. It is set to 1 for a window in which
    nothing rises above the noise, and to 0 for all others. So these windows, in which the encoder sees nothing, have
    cosine 0 with all others. They have cosine 1 with each other, which means nothing: a search refuses such a query
    (:func:`sees_nothing`).

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows; any shape will do.
    """

    def __init__(self, grid: WindowGrid) -> None:
        self._grid = grid
        times, channels = grid.integrations, grid.channels
        below = 1 - _bands(times // 2, TIME_BANDS)[::-1]
        above = _bands((times - 1) // 2, TIME_BANDS)
        edges = np.unique(np.concatenate([below, [0], above]))
        # an FFT lists the rates from zero upwards, then the negative ones; bands are summed in that order
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
        """Encode an iterable of blocks of cutouts; see :meth:`pipeline.encoders.Encoder.encode_all`."""
        step = _WINDOWS_PER_TRANSFORM
        checked = (check_cutouts(NAME, block, self._grid) for block in blocks)
        batches = (cutouts[start : start + step] for cutouts in checked for start in range(0, len(cutouts), step))
        return join_vectors((self.encode_images(image_of_cutouts(batch)) for batch in batches), self.spec.dimension)

    def encode_images(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encode unrounded asinh images (n, T, F), to measure what rounding to 8 bits costs."""
        return normalise_rows(NAME, self._encode(images))

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
        """Return the reciprocal of the mean power of thresholded noise in each band, (time bands, channel bands)."""
        times, channels = self._grid.integrations, self._grid.channels
        frequencies = channels // 2 + 1
        in_band = np.diff(self._time_starts, append=times)[:, None] * np.diff(
            self._channel_starts, append=frequencies
        )
        return (1 / (in_band * times * channels * noise_variance())).astype(np.float32)


def sees_nothing(vectors: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Tell which vectors (n, dimension) were made of windows in which nothing rises above the noise."""
    return np.asarray(vectors[:, 0] > 0)


@lru_cache(maxsize=1)
def noise_variance() -> float:
    """Return the variance of a pixel of standard normal noise after asinh compression and threshold."""
    sigmas = np.linspace(-8, 8, 16_001)
    weight = np.exp(-(sigmas**2) / 2)
    weight /= weight.sum()
    value = np.maximum(np.arcsinh(sigmas) - THRESHOLD, 0)
    return float(weight @ value**2 - (weight @ value) ** 2)


def channel_bands(channels: int, most: int) -> NDArray[np.int64]:
    """Return the first frequency of each band along the channels: frequency zero, then at most ``most`` bands."""
    return np.concatenate([[0], _bands(channels // 2, most)])[:-1]


def _bands(top: int, most: int) -> NDArray[np.int64]:
    """Return the edges of at most ``most`` bands that cover 1…``top``.

    The first bands hold one frequency each. The widths of the others grow geometrically.
    """
    if top <= most:
        return np.arange(1, top + 2)
    steps = most
    edges = np.array([1, top + 1])
    # rounding makes the narrowest edges coincide, so the number of steps grows until there are enough distinct edges
    while len(finer := np.unique(np.rint(np.geomspace(1, top + 1, steps + 1)).astype(np.int64))) <= most + 1:
        steps, edges = steps + 1, finer
    return edges
