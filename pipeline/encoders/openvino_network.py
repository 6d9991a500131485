"""The network of ``spectral`` on processors, computed by OpenVINO. Only this module imports OpenVINO.

It uses the same weights as Keras and gives the same vectors within 1e-4 (tested). Batch normalisation is folded into
the convolution before it. OpenVINO loads in a tenth of a second where TensorFlow takes seconds, needs an eighth of the
memory and computes faster. Keras remains in use for GPUs and for training.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from threading import Lock
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.parts import join_parts
from pipeline.encoders.spectrum import spectrum_features
from pipeline.errors import PrecisionError
from pipeline.support.processor import describe

BATCH, SMALL_BATCH = 32, 4
"""Windows per batch, and per batch if there are few. The intermediate arrays of larger batches leave the processor's
cache. Small batches take 1.4 times as long for a window."""
FEW = 5 * SMALL_BATCH
"""Number of windows up to which small batches are faster than a padded large one."""
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""Supported precisions of the convolutions → OpenVINO's names for them."""
MIN_PRECISION_DIFFERENCE = 1e-4
"""Minimum difference between the results of bfloat16 and float32 for an image, relative to the largest result. bfloat16
rounds each number by up to 2e-3 of its value. float32 results differ among processors by 1e-6."""

_EPSILON = 1e-3  # Keras' default for batch normalisation

Array = NDArray[np.float32]
_Layers = Mapping[str, tuple[Array, Array]]
"""Name of a layer → its kernel and bias."""


class OpenVinoNetwork:
    """Forward pass of the network :func:`pipeline.encoders.spectral.build`.

    Several threads may call it at once. Each call computes in ``OMP_NUM_THREADS`` threads, by default one per core.

    Parameters
    ----------
    arrays : mapping
        Weights, as :func:`pipeline.encoders.backend.load_network_arrays` returns them.
    shape : (T, F)
        Shape of the windows.
    pixel_scale : float
        Factor by which the input images will be scaled.
    precision : str
        One of :data:`PRECISIONS`.

    Raises
    ------
    KeyError, ValueError, RuntimeError
        The arrays belong to another network.
    PrecisionError
        OpenVINO computes in another precision on this machine.
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int], pixel_scale: float, precision: str
    ) -> None:
        if not supports_precision(precision):
            raise precision_error(precision)
        named = {key.split(" ", 1)[1]: value for key, value in arrays.items()}
        layers = {key.removesuffix("/kernel"): _fold_normalisation(named, key.removesuffix("/kernel"))
                  for key in named if key.endswith("/kernel")}
        self._compile = partial(_compile, layers, named.get("join/centre"), shape, pixel_scale, precision)
        self._compiled = {SMALL_BATCH: self._compile(SMALL_BATCH)}
        self._lock = Lock()

    def predict(self, images: Array) -> Array:
        """Compute vectors (n, d) of at most :data:`BATCH` images (n, T, F, 1). They are not yet scaled to unit length.

        The network for large batches is compiled when it is first needed.
        """
        size = SMALL_BATCH if len(images) <= FEW else BATCH
        with self._lock:
            if size not in self._compiled:
                self._compiled[size] = self._compile(size)
        pixels = np.ascontiguousarray(images.reshape(images.shape[:3]))
        parts = [self._predict(pixels[first : first + size], size) for first in range(0, len(pixels), size)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _predict(self, pixels: Array, size: int) -> Array:
        """Compute the vectors (n, d) of at most ``size`` images (n, T, F) in one batch, padded with zeros."""
        count = len(pixels)
        if count < size:
            pixels = np.concatenate([pixels, np.zeros((size - count, *pixels.shape[1:]), np.float32)])
        convolutions, head = self._compiled[size]
        # a new request per call, because the default request of a model is not thread-safe
        pooled = convolutions.create_infer_request().infer([pixels[:, None]])[0]
        vectors: Array = head.create_infer_request().infer([pixels, pooled])[0]
        return vectors[:count]


def supports_precision(precision: str) -> bool:
    """Return whether OpenVINO computes in one of :data:`PRECISIONS` on this machine.

    The environment variable ``ONEDNN_MAX_CPU_ISA`` can turn precisions off. OpenVINO's list of precisions ignores it,
    so a small convolution is compiled, too.
    """
    return precision == "float32" or _compiles_in(precision)


@lru_cache
def _openvino() -> Any:
    """Load OpenVINO without its converter of models, which takes half of the time and loads a client of telemetry."""
    converter = "openvino.tools.ovc"
    is_loaded = converter in sys.modules
    if not is_loaded:
        sys.modules[converter] = None  # type: ignore[assignment]  # importing it fails, which OpenVINO allows for
    try:
        import openvino
    finally:
        if not is_loaded:
            sys.modules.pop(converter, None)
    return openvino


@lru_cache
def _compiles_in(precision: str) -> bool:
    """Return whether OpenVINO lists a reduced precision and compiles a small convolution for it."""
    openvino = _openvino()
    ops = openvino.opset13

    core = openvino.Core()
    if PRECISIONS[precision].upper() not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    image = ops.parameter([1, 1, 8, 8], np.float32)
    made = ops.convolution(image, np.ones((16, 1, 3, 3), np.float32), [1, 1], [1, 1], [1, 1], [1, 1])
    try:
        compiled = core.compile_model(openvino.Model([made], [image]), "CPU",
                                      {"INFERENCE_PRECISION_HINT": PRECISIONS[precision]})
    except RuntimeError:
        return False
    return bool(compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == PRECISIONS[precision])


def precision_error(precision: str) -> PrecisionError:
    """Make the error for a machine that cannot compute in a precision."""
    return PrecisionError(
        f"OpenVINO cannot compute in {precision} on {socket.gethostname()} ({describe()}); it would compute in "
        "float32 instead. Ask for --precision float32 or auto, or use a machine with AVX-512 or AMX")


def _compile(
    layers: _Layers, centre: Array | None, shape: tuple[int, int], pixel_scale: float, precision: str, batch: int
) -> tuple[Any, Any]:
    """Compile the convolutions and the last layers for batches of one size."""
    openvino = _openvino()
    images, pooled = _convolutions(layers, batch, shape)
    core, network = openvino.Core(), openvino.Model([pooled], [images])
    convolutions = core.compile_model(network, "CPU", _settings(precision))
    inputs, vectors = _head(layers, centre, batch, shape, pixel_scale)
    head = core.compile_model(openvino.Model([vectors], inputs), "CPU", _settings("float32"))
    if precision != "float32":
        full = core.compile_model(network, "CPU", _settings("float32"))
        _require_reduced_precision(convolutions, full, (batch, *shape), precision)
    return convolutions, head


def _require_reduced_precision(reduced: Any, full: Any, shape: tuple[int, int, int], precision: str) -> None:
    """Raise :class:`PrecisionError` unless a compiled network really computes in its reduced precision.

    OpenVINO falls back to float32 silently. Two checks detect that. The compiled network must report the precision, and
    its results must differ from those of the same network compiled for float32.

    Parameters
    ----------
    reduced, full : compiled models
        The network compiled for ``precision``, and for float32.
    shape : (n, T, F)
        Shape of a batch.
    precision : str
        The reduced precision.
    """
    if reduced.get_property("INFERENCE_PRECISION_HINT").to_string() != PRECISIONS[precision]:
        raise precision_error(precision)
    images = np.random.default_rng(0).normal(size=shape)[:, None].astype(np.float32)
    made, expected = (network.create_infer_request().infer([images])[0] for network in (reduced, full))
    if np.abs(made - expected).max() <= MIN_PRECISION_DIFFERENCE * np.abs(expected).max():
        raise precision_error(precision)


def _settings(precision: str) -> dict[str, Any]:
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return {"INFERENCE_PRECISION_HINT": PRECISIONS[precision], "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": int(threads) if threads.isdecimal() else 0,
            "ENABLE_CPU_PINNING": False}  # with pinning, all workers of a machine would choose the same core


def _convolutions(layers: _Layers, batch: int, shape: tuple[int, int]) -> tuple[Any, Any]:
    """Build the convolutions: images (batch, 1, T, F) → mean and maximum of each feature (batch, 2 × features).

    Returns the input and the output of the graph.
    """
    ops = _openvino().opset13

    def convolve(x: Any, layer: str, strides: Sequence[int], size: tuple[int, int]) -> tuple[Any, tuple[int, int]]:
        kernel, bias = layers[layer]
        before, after = zip(*map(_padding, size, kernel.shape[:2], strides), strict=True)
        in_order = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        made = ops.convolution(x, in_order, list(strides), before, after, [1, 1])
        rows, columns = (-(-length // step) for length, step in zip(size, strides, strict=True))
        return ops.add(made, bias.reshape(1, -1, 1, 1)), (rows, columns)

    images = ops.parameter([batch, 1, *shape], np.float32)
    x, size = convolve(images, "stem", (1, 4), shape)
    x = ops.relu(x)
    for width in (name.removeprefix("down") for name in layers if name.startswith("down")):
        y, halved = convolve(x, f"down{width}", (2, 2), size)
        y, _ = convolve(ops.relu(y), f"same{width}", (1, 1), halved)
        skipped, _ = convolve(x, f"skip{width}", (2, 2), size)
        x, size = ops.relu(ops.add(y, skipped)), halved
    places = [2, 3]
    return images, ops.concat([ops.reduce_mean(x, places, False), ops.reduce_max(x, places, False)], 1)


def _head(
    layers: _Layers, centre: Array | None, batch: int, shape: tuple[int, int], pixel_scale: float
) -> tuple[list[Any], Any]:
    """Build the last layers: images (batch, T, F) and the result of the convolutions → vectors (batch, d).

    Returns the two inputs and the output of the graph.
    """
    ops = _openvino().opset13

    def dense(x: Any, layer: str) -> Any:
        kernel, bias = layers[layer]
        return ops.add(ops.matmul(x, kernel, False, False), bias)

    pooled_size = len(layers["vector"][0]) - len(layers["scales"][1])
    images = ops.parameter([batch, *shape], np.float32)
    pooled = ops.parameter([batch, pooled_size], np.float32)
    features = spectrum_features(ops.multiply(images, np.float32(1 / pixel_scale)), _numpy_operations())
    scales = ops.relu(dense(features, "scales"))
    combined = ops.concat([pooled, scales], 1)
    vectors = dense(combined, "vector")
    if "kind" in layers:
        seen = ops.concat([combined, features], 1)
        vectors = join_parts(vectors, dense(seen, "kind"), _numpy_operations(), centre)
    return [images, pooled], vectors


def _numpy_operations() -> Any:
    """Return OpenVINO's operations under numpy's names, as far as the last layers need them."""
    ops = _openvino().opset13

    return SimpleNamespace(
        add=lambda a, b: ops.add(a, np.float32(b)),
        concatenate=lambda parts, axis: ops.concat(list(parts), axis),
        log1p=lambda a: ops.log(ops.add(a, np.float32(1))),
        matmul=lambda a, b: ops.matmul(a, b, False, False),
        maximum=lambda a, b: ops.maximum(a, np.float32(b)),
        multiply=lambda a, b: ops.multiply(a, np.float32(b)),
        mean=lambda a, axis, keepdims: ops.reduce_mean(a, axis, keepdims),
        reshape=lambda a, shape: ops.reshape(a, np.array(shape), False),
        sqrt=ops.sqrt,
        sum=lambda a, axis, keepdims: ops.reduce_sum(a, axis, keepdims),
    )


def _fold_normalisation(named: Mapping[str, NDArray[Any]], layer: str) -> tuple[Array, Array]:
    """Return a layer's kernel and bias; batch normalisation after the layer is folded into them."""
    kernel = named[f"{layer}/kernel"]
    if f"{layer}/bias" in named:
        return kernel, named[f"{layer}/bias"]
    gamma, beta, mean, variance = (named[f"{layer}_norm/{part}"]
                                   for part in ("gamma", "beta", "moving_mean", "moving_variance"))
    scale = gamma / np.sqrt(variance + _EPSILON)
    return np.asarray(kernel * scale, np.float32), np.asarray(beta - mean * scale, np.float32)


def _padding(length: int, kernel: int, step: int) -> tuple[int, int]:
    """Return how many zeros to add before and after an axis.

    They are the fewest for ⌈length / step⌉ results. An odd zero goes after the axis, as in Keras.
    """
    total = max((-(-length // step) - 1) * step + kernel - length, 0)
    return total // 2, total - total // 2
