"""A network on a device, and a queue before it: the one place that knows the libraries behind Keras.

What is begun is waited for only when its vectors are fetched. So while a GPU computes one batch, the next goes to it
and the vectors of the one before come back. Networks are compiled, for the one shape that batches have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Begin = Callable[[NDArray[Any]], Callable[[], NDArray[np.float32]]]
"""Starts on a batch of windows, which must not be changed any more, and returns what waits for their vectors."""

IN_FLIGHT = 3
"""Batches that are begun and not yet fetched: one that is computed, one on its way up and one on its way down."""


def gpus_of(library: str, keras: Any) -> list[str]:
    """List the GPUs that a library behind Keras can compute on."""
    if library == "torch":  # of which Keras lists none
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    try:
        return [str(device) for device in keras.distribution.list_devices("gpu")]
    except RuntimeError:  # JAX's way to say that there is none
        return []


def on_device(model: Any, library: str) -> Begin:
    """Put a Keras model, with the weights that it has now, on the device that its library prefers.

    In float32 it computes in float32, not in the 19 bits (TF32) that GPUs may take for it: in these, emulated, vectors
    of ResNet50 differ by 0.0013 from a processor's; for speed there is float16, which says so.

    Parameters
    ----------
    model : keras.Model
        Of one input and one output.
    library : str
        ``keras.backend.backend()``.
    """
    by = {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}
    return by[library](model) if library in by else lambda windows: lambda: model.predict_on_batch(windows)


def in_batches(begin: Begin, blocks: Iterable[NDArray[Any]], batch: int) -> Iterator[NDArray[np.float32]]:
    """Compute what a network makes of windows, so many at once, whichever block they come in.

    Parameters
    ----------
    begin : callable
        As :func:`on_device` makes it. It gets batches of one size: the last is filled up with zeros.
    blocks : iterable of (n, T, F) array
        The next is asked for while what came before is computed.
    batch : int

    Yields
    ------
    (m ≤ batch, dimension) float32
        In the order of the windows.
    """
    begun: deque[tuple[int, Callable[[], NDArray[np.float32]]]] = deque()
    for part in _rebatched(blocks, batch):
        begun.append((len(part), begin(_filled(part, batch))))
        if len(begun) == IN_FLIGHT:
            count, wait = begun.popleft()
            yield wait()[:count]
    for count, wait in begun:
        yield wait()[:count]


def _rebatched(blocks: Iterable[NDArray[Any]], batch: int) -> Iterator[NDArray[Any]]:
    """Cut and join blocks to batches; only the last may be smaller. What need not be joined is not copied."""
    waiting: list[NDArray[Any]] = []
    missing = batch
    for block in blocks:
        rest = block
        while len(rest) >= missing:
            yield np.concatenate([*waiting, rest[:missing]]) if waiting else rest[:missing]
            waiting, rest, missing = [], rest[missing:], batch
        if len(rest):
            waiting.append(rest)
            missing -= len(rest)
    if waiting:
        yield np.concatenate(waiting)


def _filled(part: NDArray[Any], batch: int) -> NDArray[Any]:
    if len(part) == batch:
        return np.ascontiguousarray(part)
    filled = np.zeros((batch, *part.shape[1:]), part.dtype)
    filled[: len(part)] = part
    return filled


def _by_jax(model: Any) -> Begin:
    import jax

    weights = [[variable.value for variable in some]
               for some in (model.trainable_variables, model.non_trainable_variables)]

    def compute(weights: Any, windows: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return model.stateless_call(*weights, windows, training=False)[0]

    # else a compiler leaves out that numbers are rounded between layers, where its processor has not the precision
    compiled = jax.jit(compute, compiler_options={"xla_allow_excess_precision": False})

    def begin(windows: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
        made = compiled(weights, jax.device_put(windows))  # returns before it is done
        made.copy_to_host_async()
        return lambda: np.asarray(made)

    return begin


def _by_tensorflow(model: Any) -> Begin:
    import tensorflow

    tensorflow.config.experimental.enable_tensor_float_32_execution(False)

    def compute(windows: Any) -> Any:
        return model(windows, training=False)

    # whether by XLA is Keras' own choice: on GPUs
    compiled = tensorflow.function(compute, jit_compile=bool(model.jit_compile), autograph=False)

    def begin(windows: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
        made = compiled(tensorflow.convert_to_tensor(windows))  # on a GPU, returns before it is done
        return lambda: np.asarray(made)

    return begin


def _by_torch(model: Any) -> Begin:
    import keras
    import torch

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = keras.ops.zeros(1).device
    if device.type != "cuda":
        def begin(windows: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
            with torch.inference_mode():
                made = model(torch.from_numpy(np.require(windows, requirements="W")), training=False)
            return lambda: made.numpy()

        return begin

    upward = torch.cuda.Stream()

    def begin_on_gpu(windows: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
        here = torch.cuda.current_stream()
        with torch.inference_mode():
            with torch.cuda.stream(upward):  # copies wait for computations only on their own stream
                pinned = torch.from_numpy(np.require(windows, requirements="W")).pin_memory()
                sent = pinned.to(device, non_blocking=True)
            here.wait_stream(upward)
            sent.record_stream(here)
            made = model(sent, training=False)
            fetched = torch.empty(made.shape, dtype=made.dtype, pin_memory=True)
            fetched.copy_(made, non_blocking=True)
            done = torch.cuda.Event()
            done.record()

        def wait() -> NDArray[np.float32]:
            done.synchronize()
            vectors: NDArray[np.float32] = fetched.numpy()
            return vectors

        return wait

    return begin_on_gpu
