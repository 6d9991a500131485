"""The two-dimensional power spectrum as a layer of a network.

It is the spectrum of the encoder :mod:`pipeline.encoders.power_spectrum`, in more bands. It does not depend on the
position of a signal in the window, and resolves spacings and drifts. The layer uses only functions that numpy, Keras
and OpenVINO share; the Fourier transform is a matrix product.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.power_spectrum import THRESHOLD, channel_bands, noise_variance

BANDS = 32
"""Number of bands of spatial frequency along the channels, including frequency zero."""

Array = NDArray[np.float32]


def spectrum_features(image: Any, xp: Any) -> Any:
    """Compute features of images from their power spectra, in units of the mean power of noise.

    Parameters
    ----------
    image : (n, T, F) float32
        asinh images.
    xp : module
        The module whose functions work on the array: ``numpy``, ``keras.ops``, or an object with the same functions.

    Returns
    -------
    (n, 2 × T × BANDS) float32
        Amplitudes above noise, scaled to a mean square of 1, followed by log(1 + power) minus its mean. Both are
        nearly independent of a signal's strength.
    """
    _, times, channels = image.shape
    cosine, sine, turn, swing, bands = _constants(times, channels)
    bright = xp.maximum(xp.add(image, np.float32(-THRESHOLD)), 0)
    real, imaginary = xp.matmul(bright, cosine), xp.matmul(bright, sine)
    a = xp.matmul(turn, real) - xp.matmul(swing, imaginary)
    b = xp.matmul(turn, imaginary) + xp.matmul(swing, real)
    power = xp.reshape(xp.matmul(a * a + b * b, bands), (-1, times * BANDS))
    amplitude = xp.sqrt(xp.add(xp.maximum(xp.add(power, np.float32(-1)), 0), np.float32(1e-6)))
    amplitude = amplitude / xp.sqrt(xp.mean(amplitude * amplitude, axis=1, keepdims=True))
    level = xp.log1p(power)
    return xp.concatenate([amplitude, level - xp.mean(level, axis=1, keepdims=True)], axis=1)


@lru_cache(maxsize=2)
def _constants(times: int, channels: int) -> tuple[Array, ...]:
    """Return the matrices of the transform.

    Returns
    -------
    cosine, sine : (F, F // 2 + 1)
        Real and imaginary part of the transform along channels.
    turn, swing : (T, T)
        Real and imaginary part of the transform along time.
    bands : (F // 2 + 1, BANDS)
        Weights that average the power of each band and divide it by the mean power of noise.
    """
    frequencies = channels // 2 + 1
    phase = 2 * np.pi / channels * np.outer(np.arange(channels), np.arange(frequencies))
    turning = 2 * np.pi / times * np.outer(np.arange(times), np.arange(times))
    starts = channel_bands(channels, BANDS - 1)
    in_band = np.diff(starts, append=frequencies)
    bands = np.zeros((frequencies, len(starts)))
    for band, (start, count) in enumerate(zip(starts, in_band, strict=True)):
        bands[start : start + count, band] = 1 / (count * times * channels * noise_variance())
    constants = (np.cos(phase), np.sin(phase), np.cos(turning), np.sin(turning), bands)
    return tuple(one.astype(np.float32) for one in constants)
