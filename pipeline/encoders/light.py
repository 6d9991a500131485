"""The network of ``spectral`` on processors, by OpenVINO: the only importer of it.

The same weights and the same vectors as Keras within 1e-4 (tested); batch normalisation is folded into the convolution
before it. It loads in a tenth of a second where TensorFlow takes seconds, needs an eighth of the memory and computes
faster, so Keras is for GPUs and for teaching.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.spectrum import spectrum_features
from pipeline.errors import PrecisionError
from pipeline.processor import described

BATCH = 32
"""Windows at once: patches of more leave the processor's cache, and a query of one waits for all of them."""
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""What the convolutions may compute in, in OpenVINO's words."""
OTHER_NUMBERS = 1e-4
"""Least difference, beside the largest number, between what bfloat16 and float32 make of an image. bfloat16 rounds each
number by up to 2e-3 of it; float32 differs by 1e-6 among processors."""

_EPSILON = 1e-3  # Keras' own, of batch normalisation

Array = NDArray[np.float32]


class LightNetwork:
    """Forward pass of :func:`pipeline.encoders.spectral.build`.

    May be called by several threads at once. It computes in ``OMP_NUM_THREADS`` threads, by default one a core.

    Parameters
    ----------
    arrays : mapping
        As :func:`pipeline.encoders.backend.load_network` gives them for its weights.
    shape : (T, F)
        Of the windows.
    pixel_scale : float
        Of the images it will get.
    precision : str
        One of :data:`PRECISIONS`.

    Raises
    ------
    KeyError, ValueError, RuntimeError
        The arrays are of another network.
    PrecisionError
        OpenVINO computes in another precision on this machine.
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int], pixel_scale: float, precision: str
    ) -> None:
        import openvino

        named = {key.split(" ", 1)[1]: value for key, value in arrays.items()}
        layers = {key.removesuffix("/kernel"): _folded(named, key.removesuffix("/kernel"))
                  for key in named if key.endswith("/kernel")}
        images, pooled = _convolutions(layers, shape)
        core, network = openvino.Core(), openvino.Model([pooled], [images])
        self._convolutions = core.compile_model(network, "CPU", _settings(precision))
        inputs, vectors = _head(layers, shape, pixel_scale)
        self._head = core.compile_model(openvino.Model([vectors], inputs), "CPU", _settings("float32"))
        if precision != "float32":
            _require_other_numbers(self._convolutions, core.compile_model(network, "CPU", _settings("float32")), shape,
                                   precision)

    def predict_on_batch(self, images: Array) -> Array:
        """Compute vectors (BATCH, d) of images (BATCH, T, F, 1), not yet of unit length."""
        pixels = np.ascontiguousarray(images.reshape(images.shape[:3]))
        # a request of one's own: those that the models share are not safe among threads
        pooled = self._convolutions.create_infer_request().infer([pixels[:, None]])[0]
        vectors: Array = self._head.create_infer_request().infer([pixels, pooled])[0]
        return vectors


def computes_in(precision: str) -> bool:
    """Tell whether OpenVINO says that it computes in one of :data:`PRECISIONS` here; ``ONEDNN_MAX_CPU_ISA`` counts."""
    import openvino

    known = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return precision == "float32" or PRECISIONS[precision].upper() in known


def refusal(precision: str) -> PrecisionError:
    """Return the error of a machine that does not compute in a precision: what it has, and what to do."""
    return PrecisionError(
        f"OpenVINO cannot compute in {precision} on {socket.gethostname()} ({described()}); it would compute in "
        "float32 instead. Ask for --precision float32 or auto, or use a machine with AVX-512 or AMX")


def _require_other_numbers(reduced: Any, full: Any, shape: tuple[int, int], precision: str) -> None:
    """Raise :class:`PrecisionError` unless a compiled network computes in the precision that it was compiled for.

    OpenVINO says nothing where it computes in float32 instead. So its own word on the compiled network is asked for,
    and the numbers are looked at: they must not be those of the network that was compiled for float32.
    """
    if reduced.get_property("INFERENCE_PRECISION_HINT").to_string() != PRECISIONS[precision]:
        raise refusal(precision)
    images = np.random.default_rng(0).normal(size=(BATCH, 1, *shape)).astype(np.float32)
    made, expected = (network.create_infer_request().infer([images])[0] for network in (reduced, full))
    if np.abs(made - expected).max() <= OTHER_NUMBERS * np.abs(expected).max():
        raise refusal(precision)


def _settings(precision: str) -> dict[str, Any]:
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return {"INFERENCE_PRECISION_HINT": PRECISIONS[precision], "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": int(threads) if threads.isdecimal() else 0,
            "ENABLE_CPU_PINNING": False}  # every worker of a machine would choose the same core


def _convolutions(layers: Mapping[str, tuple[Array, Array]], shape: tuple[int, int]) -> tuple[Any, Any]:
    """Images (BATCH, 1, T, F) → mean and maximum over what is left of the window (BATCH, 2 × channels)."""
    from openvino import opset13 as ops

    def convolved(x: Any, layer: str, strides: Sequence[int], size: tuple[int, int]) -> tuple[Any, tuple[int, int]]:
        kernel, bias = layers[layer]
        before, after = zip(*map(_padding, size, kernel.shape[:2], strides), strict=True)
        in_order = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        made = ops.convolution(x, in_order, list(strides), before, after, [1, 1])
        rows, columns = (-(-length // step) for length, step in zip(size, strides, strict=True))
        return ops.add(made, bias.reshape(1, -1, 1, 1)), (rows, columns)

    images = ops.parameter([BATCH, 1, *shape], np.float32)
    x, size = convolved(images, "stem", (1, 4), shape)
    x = ops.relu(x)
    for width in (name.removeprefix("down") for name in layers if name.startswith("down")):
        y, halved = convolved(x, f"down{width}", (2, 2), size)
        y, _ = convolved(ops.relu(y), f"same{width}", (1, 1), halved)
        skipped, _ = convolved(x, f"skip{width}", (2, 2), size)
        x, size = ops.relu(ops.add(y, skipped)), halved
    places = [2, 3]
    return images, ops.concat([ops.reduce_mean(x, places, False), ops.reduce_max(x, places, False)], 1)


def _head(
    layers: Mapping[str, tuple[Array, Array]], shape: tuple[int, int], pixel_scale: float
) -> tuple[list[Any], Any]:
    """Images (BATCH, T, F) and what the convolutions made of them → vectors (BATCH, d)."""
    from openvino import opset13 as ops

    def dense(x: Any, layer: str) -> Any:
        kernel, bias = layers[layer]
        return ops.add(ops.matmul(x, kernel, False, False), bias)

    pooled_size = len(layers["vector"][0]) - len(layers["scales"][1])
    images = ops.parameter([BATCH, *shape], np.float32)
    pooled = ops.parameter([BATCH, pooled_size], np.float32)
    features = spectrum_features(ops.multiply(images, np.float32(1 / pixel_scale)), _named_as_in_numpy())
    scales = ops.relu(dense(features, "scales"))
    return [images, pooled], dense(ops.concat([pooled, scales], 1), "vector")


def _named_as_in_numpy() -> Any:
    """OpenVINO's operations, as far as :func:`spectrum_features` asks for them."""
    from openvino import opset13 as ops

    return SimpleNamespace(
        add=lambda a, b: ops.add(a, np.float32(b)),
        concatenate=lambda parts, axis: ops.concat(list(parts), axis),
        log1p=lambda a: ops.log(ops.add(a, np.float32(1))),
        matmul=lambda a, b: ops.matmul(a, b, False, False),
        maximum=lambda a, b: ops.maximum(a, np.float32(b)),
        mean=lambda a, axis, keepdims: ops.reduce_mean(a, axis, keepdims),
        reshape=lambda a, shape: ops.reshape(a, np.array(shape), False),
        sqrt=ops.sqrt,
    )


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
