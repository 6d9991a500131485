"""Running a network on a device, batch by batch. Only this module knows the libraries behind Keras.

Batches run asynchronously: while a GPU computes one batch, the next batch is copied to it, and the vectors of the
previous batch are copied back. Networks are compiled for one shape, so all batches have the same size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

StartBatch = Callable[[NDArray[Any]], Callable[[], NDArray[np.float32]]]
"""Function that starts a batch of windows and returns a function that waits for their vectors.

The caller must not change the array of windows after the start.
"""

MAX_BATCHES_IN_FLIGHT = 3
"""Maximum number of batches that are started and not yet fetched: one is computed, one copied to the device, and one
copied back."""


def list_gpus(library: str, keras: Any) -> list[str]:
    """List the GPUs that a library behind Keras can compute on."""
    if library == "torch":  # Keras lists no devices of PyTorch
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    try:
        return [str(device) for device in keras.distribution.list_devices("gpu")]
    except RuntimeError:  # JAX raises this if there is no GPU
        return []


def place_on_device(model: Any, library: str) -> StartBatch:
    """Put a Keras model, with its present weights, on the device that its library prefers.

    A float32 model computes in full float32. GPUs could use 19 bits (TF32) instead; in an emulation, TF32 changed
    vectors of ResNet50 by 0.0013. Users who want speed choose float16, which the encoder's spec records.

    Parameters
    ----------
    model : keras.Model
        A model with one input and one output.
    library : str
        ``keras.backend.backend()``.

    Returns
    -------
    StartBatch
        For a library other than TensorFlow, JAX and PyTorch, it computes a batch when its vectors are fetched.
    """
    by = {"tensorflow": _place_with_tensorflow, "jax": _place_with_jax, "torch": _place_with_torch}
    return by[library](model) if library in by else lambda windows: lambda: model.predict_on_batch(windows)


def compute_in_batches(
    start_batch: StartBatch, blocks: Iterable[NDArray[Any]], batch: int, *, pad: bool = True
) -> Iterator[NDArray[np.float32]]:
    """Compute vectors of windows in batches of one size.

    Parameters
    ----------
    start_batch : StartBatch
        As :func:`place_on_device` returns it.
    blocks : iterable of (n, T, F) array
        Windows; blocks may differ in length. The next block is read while earlier windows are computed.
    batch : int
        Windows per batch.
    pad : bool
        True: the last batch is padded with zeros. False: it may be smaller.

    Yields
    ------
    (m ≤ batch, dimension) float32
        Vectors in the order of the windows.
    """
    started: deque[tuple[int, Callable[[], NDArray[np.float32]]]] = deque()
    for part in _rebatch(blocks, batch):
        started.append((len(part), start_batch(_pad_batch(part, batch if pad else len(part)))))
        if len(started) == MAX_BATCHES_IN_FLIGHT:
            count, wait = started.popleft()
            yield wait()[:count]
    for count, wait in started:
        yield wait()[:count]


def _rebatch(blocks: Iterable[NDArray[Any]], batch: int) -> Iterator[NDArray[Any]]:
    """Cut and join blocks into batches; only the last may be smaller. A batch within one block is not copied."""
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


def _pad_batch(part: NDArray[Any], batch: int) -> NDArray[Any]:
    if len(part) == batch:
        return np.ascontiguousarray(part)
    filled = np.zeros((batch, *part.shape[1:]), part.dtype)
    filled[: len(part)] = part
    return filled


def _place_with_jax(model: Any) -> StartBatch:
    import jax

    weights = [[variable.value for variable in some]
               for some in (model.trainable_variables, model.non_trainable_variables)]

    def compute(weights: Any, windows: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return model.stateless_call(*weights, windows, training=False)[0]

    # by default XLA may skip the rounding between layers on processors without the reduced precision
    compiled = jax.jit(compute, compiler_options={"xla_allow_excess_precision": False})

    def start_batch(windows: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
        made = compiled(weights, jax.device_put(windows))  # returns before the computation ends
        made.copy_to_host_async()
        return lambda: np.asarray(made)

    return start_batch


def _place_with_tensorflow(model: Any) -> StartBatch:
    import tensorflow

    tensorflow.config.experimental.enable_tensor_float_32_execution(False)

    def compute(windows: Any) -> Any:
        return model(windows, training=False)

    # Keras chooses whether to compile by XLA; it does so on GPUs
    compiled = tensorflow.function(compute, jit_compile=bool(model.jit_compile), autograph=False)

    def start_batch(windows: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
        made = compiled(tensorflow.convert_to_tensor(windows))  # on a GPU, returns before the computation ends
        return lambda: np.asarray(made)

    return start_batch


def _place_with_torch(model: Any) -> StartBatch:
    import keras
    import torch

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = keras.ops.zeros(1).device
    if device.type != "cuda":
        def start_batch(windows: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
            with torch.inference_mode():
                made = model(torch.from_numpy(np.require(windows, requirements="W")), training=False)
            return lambda: made.numpy()

        return start_batch

    upward = torch.cuda.Stream()

    def start_on_gpu(windows: NDArray[Any]) -> Callable[[], NDArray[np.float32]]:
        here = torch.cuda.current_stream()
        with torch.inference_mode():
            with torch.cuda.stream(upward):  # a stream of its own, so that the copy does not wait for computations
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

    return start_on_gpu
