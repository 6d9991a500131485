"""Measure the limits of a device: products, memory and bus. Calls go through the same queue as those of encoders."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.backend import gpu_devices, keras, place_model, use_precision
from pipeline.encoders.device import StartBatch, compute_in_batches

PRODUCTS = 16
"""Matrix products in one call."""


@dataclass(frozen=True)
class Limits:
    """Highest rates of a device, per second."""

    flops: dict[str, float]
    """Precision → floating-point operations in products of large matrices."""
    memory_bytes: float
    """Bytes read from the memory of the device."""
    bus_bytes: float
    """Bytes of cutouts copied from the memory of the host to the device."""


def names() -> str:
    """Return the name of the card, from its driver or else from Keras; without a card, say that there is none."""
    if not gpu_devices():
        return "a processor, no GPU"
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False)
        if said.returncode == 0 and said.stdout.strip():
            return said.stdout.strip().splitlines()[0]
    return gpu_devices()[0]


def pretended() -> list[str]:
    """Return the processor as the only GPU, so that code for GPUs can be tried on a machine without a GPU."""
    return ["cpu:0"]


def measure(precisions: tuple[str, ...], size: int, seconds: float) -> Limits:
    """Measure all three limits. Matrices have the shape (size, size); 16 of them are read from memory."""
    flops = {}
    for precision in precisions:
        calls = calls_a_second(_products(size, precision), np.ones((1, 1), np.float32), seconds)
        flops[precision] = calls * PRODUCTS * 2 * size**3
    reading = calls_a_second(_reading(16 * size * size), np.ones((1, 1), np.float32), seconds)
    cutouts = np.ones((4096, 4096), np.uint8)
    return Limits(flops, reading * 64 * size * size, calls_a_second(_receiving(), cutouts, seconds) * cutouts.nbytes)


def calls_a_second(begin: StartBatch, batch: NDArray[Any], seconds: float) -> float:
    """Return calls per second with one batch, as an encoder makes them. The first call compiles and does not count."""
    begin(batch)()
    began, calls = time.perf_counter(), 0

    def blocks() -> Iterator[NDArray[Any]]:
        nonlocal calls
        while calls < 2 or time.perf_counter() - began < seconds:
            calls += 1
            yield batch

    for _ in compute_in_batches(begin, blocks(), len(batch)):
        pass
    return calls / (time.perf_counter() - began)


def _products(size: int, precision: str) -> StartBatch:
    scale, ops = size**-0.5, keras().ops
    return _layer((size, size), scale, precision, lambda matrix, one: ops.mean(
        _repeatedly(lambda product: ops.matmul(product, matrix), matrix * ops.mean(one)), axis=0, keepdims=True))


def _repeatedly(step: Callable[[Any], Any], value: Any) -> Any:
    for _ in range(PRODUCTS):
        value = step(value)
    return value


def _reading(count: int) -> StartBatch:
    ops = keras().ops
    return _layer((count // 1024, 1024), 1.0, "float32", lambda held, one: one + ops.sum(held))


def _receiving() -> StartBatch:
    codes = keras().Input((4096,), dtype="uint8")
    return place_model(keras().Model(codes, keras().ops.cast(codes[:, :1], "float32")))


def _layer(shape: tuple[int, int], scale: float, precision: str, function: Callable[[Any, Any], Any]) -> StartBatch:
    """Return a function of numbers that are on the device and of one number from the host."""

    class Held(keras().layers.Layer):  # type: ignore[misc]  # Keras has no types
        def build(self, _: Any) -> None:
            normal = keras().initializers.RandomNormal(stddev=scale, seed=1)
            self.held = self.add_weight(shape=shape, initializer=normal)

        def call(self, one: Any) -> Any:
            return keras().ops.cast(function(keras().ops.convert_to_tensor(self.held), one), "float32")

    with use_precision(precision):
        one = keras().Input((1,))
        return place_model(keras().Model(one, Held()(one)))
