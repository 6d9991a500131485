"""The network of ``spectral`` in numpy alone: a query need not wait seconds for TensorFlow.

The same weights, the same vectors within 1e-4 (tested); batch normalisation is folded into the convolution before it.
Slower in large batches than Keras, and there is no GPU: an ingest takes Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.spectrum import spectrum_features

_EPSILON = 1e-3  # Keras' own, of batch normalisation
BATCH = 16
"""Windows at once whose patches stay in a core's cache."""

Array = NDArray[np.float32]


class PlainNetwork:
    """Forward pass of :func:`pipeline.encoders.spectral.build`.

    Parameters
    ----------
    arrays : mapping
        As :func:`pipeline.encoders.backend.load_arrays` gives them for its weights.
    pixel_scale : float
        Of the images it will get.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], pixel_scale: float) -> None:
        self._pixel_scale = pixel_scale
        named = {key.split(" ", 1)[1]: value for key, value in arrays.items()}
        self._layers = {key.removesuffix("/kernel"): _folded(named, key.removesuffix("/kernel"))
                        for key in named if key.endswith("/kernel")}
        self._widths = [name.removeprefix("down") for name in self._layers if name.startswith("down")]

    def predict_on_batch(self, images: Array) -> Array:
        """Compute vectors (n, d) of images (n, T, F, 1), not yet of unit length."""
        x = images
        kernel, bias = self._layers["scales"]
        scales = _rectified(spectrum_features(x[..., 0] * np.float32(1 / self._pixel_scale), np) @ kernel + bias)
        x = _rectified(self._convolved(x, "stem", (1, 4)))
        for width in self._widths:
            y = _rectified(self._convolved(x, f"down{width}", (2, 2)))
            y = self._convolved(y, f"same{width}", (1, 1))
            y += self._convolved(x, f"skip{width}", (2, 2))
            x = _rectified(y)
        kernel, bias = self._layers["vector"]
        vectors: Array = np.concatenate([x.mean(axis=(1, 2)), x.max(axis=(1, 2)), scales], axis=1) @ kernel + bias
        return vectors

    def _convolved(self, x: Array, layer: str, strides: tuple[int, int]) -> Array:
        """Convolve (n, T, F, c) with zeros around it, such that every ``strides``-th place has an answer."""
        kernel, bias = self._layers[layer]
        size = kernel.shape[:2]
        padding = [_padding(length, k, step) for length, k, step in zip(x.shape[1:3], size, strides, strict=True)]
        padded = np.pad(x, [(0, 0), *padding, (0, 0)])
        patches = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))[:, :: strides[0], :: strides[1]]
        n, rows, columns = patches.shape[:3]  # (n, rows, columns, c, *size)
        flat = np.ascontiguousarray(patches.transpose(0, 1, 2, 4, 5, 3)).reshape(n * rows * columns, -1)
        out: Array = flat @ kernel.reshape(flat.shape[1], -1)
        out += bias
        return out.reshape(n, rows, columns, -1)


def _folded(named: Mapping[str, NDArray[Any]], layer: str) -> tuple[Array, Array]:
    """Return a layer's kernel and bias, the normalisation after it included."""
    kernel = named[f"{layer}/kernel"]
    if f"{layer}/bias" in named:
        return kernel, named[f"{layer}/bias"]
    gamma, beta, mean, variance = (named[f"{layer}_norm/{part}"]
                                   for part in ("gamma", "beta", "moving_mean", "moving_variance"))
    scale = gamma / np.sqrt(variance + _EPSILON)
    return np.asarray(kernel * scale, np.float32), np.asarray(beta - mean * scale, np.float32)


def _padding(length: int, kernel: int, step: int) -> tuple[int, int]:
    """Zeros before and after an axis: as few as give ⌈length / step⌉ answers, the odd one after it."""
    total = max((-(-length // step) - 1) * step + kernel - length, 0)
    return total // 2, total - total // 2


def _rectified(x: Array) -> Array:
    np.maximum(x, 0, out=x)
    return x
