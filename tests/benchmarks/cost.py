"""What a window costs a network: arithmetic counted from its layers, and the bytes that go through the memory."""

from __future__ import annotations

import math
from typing import Any


def flops_of(model: Any) -> int:
    """Additions and multiplications of a window, of convolutions, dense layers and the power spectrum alone.

    Padding is counted as if it were pixels, as libraries do that compute with it.
    """
    return sum(_flops(layer) for layer in layers_of(model))


def bytes_of(model: Any, itemsize: int) -> int:
    """Bytes that a window's convolutions read and write, were everything else computed in passing."""
    return itemsize * sum(math.prod(tensor.shape[1:]) for layer in layers_of(model) if len(_kernel(layer)) == 4
                          for tensor in (layer.input, layer.output))


def layers_of(model: Any) -> list[Any]:
    """Layers, those of models within it among them."""
    return [inner for layer in model.layers for inner in (layers_of(layer) if hasattr(layer, "layers") else [layer])]


def _flops(layer: Any) -> int:
    kernel = _kernel(layer)
    if kernel:  # (height, width, from, to) for each pixel that it makes, or (from, to)
        return 2 * math.prod(kernel) * math.prod(layer.output.shape[1:-1])
    if layer.name == "spectrum":
        _, times, channels, _ = layer.input.shape
        return spectrum_flops(times, channels, layer.output.shape[1] // (2 * times))
    return 0


def _kernel(layer: Any) -> tuple[int, ...]:
    return tuple(layer.kernel.shape) if hasattr(layer, "kernel") else ()


def spectrum_flops(times: int, channels: int, bands: int) -> int:
    """Of the matrix products of :func:`pipeline.encoders.spectrum.spectrum_features`."""
    frequencies = channels // 2 + 1
    along_channels, along_time = 2 * times * channels * frequencies, 4 * times * times * frequencies
    return 2 * (along_channels + along_time + times * frequencies * bands)
