"""Access to Keras, and weights files as plain arrays.

Networks use only Keras layers and ``keras.ops``, so TensorFlow, JAX and PyTorch all run the same weights. The
environment variable ``KERAS_BACKEND`` selects the library; the default is TensorFlow.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tempfile
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.device import StartBatch, list_gpus, place_on_device
from pipeline.encoders.openvino_network import supports_precision
from pipeline.errors import ConfigError, EncoderError
from pipeline.grid.cutouts import IMAGE_OF_CODE
from pipeline.model import Precision
from pipeline.support.array_headers import evaluated
from pipeline.support.durable import atomic_file
from pipeline.support.processor import has_bfloat16
from pipeline.support.regular_files import file_size
from pipeline.support.text import shown

_T = TypeVar("_T")

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_NOTICE_LINE = re.compile(rb"I\d{4} |WARNING: All log messages before absl::|E\d{4} .*cuInit: UNKNOWN ERROR \(303\)")
"""Beginnings of TensorFlow's log lines that say nothing to a user. The last one appears on every machine without an
NVIDIA driver."""
_GPU_MEMORY_SETTINGS = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Environment variables that make TensorFlow and JAX allocate GPU memory as needed. Without them, the first process
takes nearly all of it."""
_DEVICE_FOLDER = Path("/dev")
_keras_lock = threading.Lock()


def keras() -> Any:
    """Return the Keras module, which is imported at first use: that takes seconds, and most commands do not need it.

    TensorFlow's notices are removed from standard error, unless ``TF_CPP_MIN_LOG_LEVEL`` is set in the environment.
    """
    with _keras_lock:
        return _keras()


@functools.cache
def _keras() -> Any:
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name, value in _GPU_MEMORY_SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings(), _hide_notices() if quiet else nullcontext():
        warnings.simplefilter("ignore", DeprecationWarning)  # raised by modules that Keras imports
        import keras

        keras.ops.zeros(1)  # the first operation looks for devices, which logs more notices
    return keras


@contextmanager
def _hide_notices() -> Iterator[None]:
    """Hold back standard error until the block ends; then write it without the lines of :data:`_NOTICE_LINE`.

    This works on the file descriptor, because TensorFlow writes the notices before its own log level takes effect.
    """
    try:
        error = os.dup(2)
    except OSError:  # standard error is closed: nothing will be written
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(error, 2)
            os.close(error)
            held.seek(0)
            os.write(2, b"".join(line for line in held if not _NOTICE_LINE.match(line)))


def gpu_names() -> list[str]:
    """List the NVIDIA GPUs that this process may use.

    These are the names in ``CUDA_VISIBLE_DEVICES``, or the numbers of all GPUs if it is not set. As in CUDA, the list
    ends before the first invalid name, such as ``-1``.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return sorted((path.name[6:] for path in _DEVICE_FOLDER.glob("nvidia[0-9]*")), key=int)
    names = [name.strip() for name in visible.split(",")]
    return list(takewhile(lambda name: bool(name) and not name.startswith("-"), names))


def has_gpu_device() -> bool:
    """Return whether this process can see a GPU of NVIDIA, or of AMD (``/dev/kfd``). It does not load Keras."""
    return bool(gpu_names()) or (_DEVICE_FOLDER / "kfd").exists()


def gpu_devices() -> list[str]:
    """List the GPUs that Keras can compute on. Takes seconds."""
    return list_gpus(keras().backend.backend(), keras())


def choose_batch_size(on_gpu: int, on_processors: int) -> int:
    """Return ``on_gpu`` if Keras can use a GPU, else ``on_processors``. Takes seconds."""
    return on_gpu if gpu_devices() else on_processors


def fastest_precision() -> Precision:
    """Return the precision in which this machine computes fastest.

    - ``float16`` on a GPU, which has tensor cores for it.
    - ``bfloat16`` on a processor that has instructions for it (AMX, AVX-512), if OpenVINO uses them;
      ``ONEDNN_MAX_CPU_ISA`` may forbid that.
    - ``float32`` on all other machines, where fewer bits gain nothing.
    """
    if has_gpu_device() and gpu_devices():  # the quick check first: Keras takes seconds to load
        return "float16"
    return "bfloat16" if has_bfloat16() and supports_precision("bfloat16") else "float32"


def check_precision(precision: str) -> None:
    """Raise :class:`ConfigError` unless ``precision`` is one of :data:`PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ConfigError(f"no precision {precision!r}; there are {', '.join(PRECISIONS)}")


@contextmanager
def use_precision(precision: str) -> Iterator[None]:
    """Within the block, let the networks that this thread builds compute in ``precision``.

    The weights remain float32. Raises :class:`ConfigError` for an unknown precision.
    """
    check_precision(precision)
    config = keras().config
    before = config.dtype_policy()
    config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        config.set_dtype_policy(before)


MAX_WEIGHTS_BYTES = 1 << 33
"""Largest size of a file of weights."""


def hash_weights(path: Path, name: str) -> str:
    """Return the SHA-256 of a weights file of encoder ``name``; raise :class:`EncoderError` if it cannot be read.

    Only a regular file is opened. A corpus may name the file, and reading a pipe or a device might never end.
    """
    if path.exists() and not path.is_file():
        raise EncoderError(f"{shown(path)}: the weights of {name} must be a regular file; name one with --weights")
    try:
        if (size := file_size(path)) > MAX_WEIGHTS_BYTES:
            raise EncoderError(f"{shown(path)}: has {size:,} bytes, more than any weights of {name}; name another file "
                               "with --weights")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{shown(path)}: cannot read the weights of {name}: {error.strerror}") from error


def place_model(model: Any) -> StartBatch:
    """Put a Keras model on the device of the current backend; see :func:`pipeline.encoders.device.place_on_device`."""
    return place_on_device(model, keras().backend.backend())


def place_on_cutouts(model: Any, shape: tuple[int, int], prepare: Callable[[Any, Any], Any]) -> StartBatch:
    """Put a Keras model on the device, with a first layer that takes cutouts as they are stored.

    The device then receives 8 bits per pixel, and decodes them itself.

    Parameters
    ----------
    model : keras.Model
        The model, with its weights set.
    shape : (T, F)
        Shape of a cutout.
    prepare : callable
        Function that converts asinh images (n, T, F) to the model's input. Its second argument is ``keras.ops``, whose
        functions it must use.

    Returns
    -------
    StartBatch
        Function that starts a batch of cutouts (n, T, F) uint8.
    """
    ops = keras().ops

    class Prepared(keras().layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, codes: Any) -> Any:
            return prepare(ops.take(IMAGE_OF_CODE, ops.cast(codes, "int32"), axis=0), ops)

    codes = keras().Input(shape, dtype="uint8", name="cutout")
    return place_model(keras().Model(codes, model(Prepared(dtype="float32")(codes))))


def weights_mismatch(path: Path, name: str) -> EncoderError:
    """Make the error for a weights file that belongs to another network."""
    return EncoderError(f"{shown(path)}: does not fit this version's {name}: its arrays have other names or shapes; "
                        f"make a new file with: lookalike train {name}")


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as an uncompressed .npz. The write is atomic."""
    with atomic_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path, name: str) -> dict[str, NDArray[Any]]:
    """Read a .npz of plain arrays; pickles are refused.

    Raises
    ------
    EncoderError
        ``path`` cannot be read as such a file. The message names the encoder ``name``.
    """
    return _read_npz(path, name, lambda file: {key: file[key] for key in file.files})


def list_arrays(path: Path, name: str) -> list[str]:
    """Return the names of the arrays in a .npz without reading them; errors as for :func:`load_arrays`."""
    return _read_npz(path, name, lambda file: list(file.files))


def _read_npz(path: Path, name: str, read: Callable[[Any], _T]) -> _T:
    try:
        file_size(path)  # raises for a pipe, which would be waited for
        with np.load(path, allow_pickle=False) as file:
            return evaluated(lambda: read(file))
    except (OSError, ValueError, AttributeError, TypeError, LookupError, ArithmeticError, MemoryError, EOFError,
            RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise EncoderError(f"{shown(path)}: is not an .npz of plain arrays, as {name} needs it: {error}") from error


def load_network_arrays(path: Path, name: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a network, and check that they are finite: a network may hide a NaN in its weights.

    Raises
    ------
    EncoderError
        The file cannot be read, or a value is not finite.
    """
    arrays = load_arrays(path, name)
    if bad := [key for key, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]:
        raise EncoderError(f"{shown(path)}: weights of {name} are not finite ({bad[0]}); the file is damaged, or its "
                           f"training diverged; make a new file with: lookalike train {name}")
    return arrays


def save_weights(path: Path, model: Any) -> None:
    """Write a Keras model's weights as plain arrays, named ``000 path/of/variable`` and so on in the model's order."""
    save_arrays(path, dict(zip(_keys(model), model.get_weights(), strict=True)))


def load_weights(path: Path, model: Any, name: str) -> None:
    """Set a Keras model's weights from a file that :func:`save_weights` wrote.

    Raises
    ------
    EncoderError
        The file cannot be read, or belongs to another network.
    """
    arrays = load_network_arrays(path, name)
    if list(arrays) != _keys(model) or any(
        arrays[key].shape != tuple(variable.shape) for key, variable in zip(arrays, model.weights, strict=True)
    ):
        raise weights_mismatch(path, name)
    model.set_weights(list(arrays.values()))


def _keys(model: Any) -> list[str]:
    return [f"{number:03d} {variable.path}" for number, variable in enumerate(model.weights)]
