"""Count the operations of a network for one window, and the bytes that it reads and writes."""

from __future__ import annotations

import math
from typing import Any


def flops_of(model: Any) -> int:
    """Return the additions and multiplications for one window, in convolutions, dense layers and the power spectrum.

    Padding counts as pixels: libraries compute with it.
    """
    return sum(_flops(layer) for layer in layers_of(model))


def bytes_of(model: Any, itemsize: int) -> int:
    """Return the bytes that the convolutions read and write for one window; other layers count as free."""
    return itemsize * sum(math.prod(tensor.shape[1:]) for layer in layers_of(model) if len(_kernel(layer)) == 4
                          for tensor in (layer.input, layer.output))


def layers_of(model: Any) -> list[Any]:
    """Return all layers, including those of models inside the model."""
    return [inner for layer in model.layers for inner in (layers_of(layer) if hasattr(layer, "layers") else [layer])]


def _flops(layer: Any) -> int:
    kernel = _kernel(layer)
    if kernel:  # (height, width, inputs, outputs) for each output pixel, or (inputs, outputs)
        return 2 * math.prod(kernel) * math.prod(layer.output.shape[1:-1])
    if layer.name == "spectrum":
        _, times, channels, _ = layer.input.shape
        return spectrum_flops(times, channels, layer.output.shape[1] // (2 * times))
    return 0


def _kernel(layer: Any) -> tuple[int, ...]:
    return tuple(layer.kernel.shape) if hasattr(layer, "kernel") else ()


def spectrum_flops(times: int, channels: int, bands: int) -> int:
    """Return the operations of the matrix products in :func:`pipeline.encoders.spectrum.spectrum_features`."""
    frequencies = channels // 2 + 1
    along_channels, along_time = 2 * times * channels * frequencies, 4 * times * times * frequencies
    return 2 * (along_channels + along_time + times * frequencies * bands)
