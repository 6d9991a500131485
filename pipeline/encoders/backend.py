"""The one door to Keras, and weights as plain arrays.

Networks are written with Keras layers and ``keras.ops`` alone, so TensorFlow, JAX and PyTorch run the same weights:
``KERAS_BACKEND`` in the environment picks, TensorFlow where it is not set.
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.cutouts import IMAGE_OF_CODE
from pipeline.durable import atomic_file
from pipeline.encoders.device import Begin, gpus_of, on_device
from pipeline.encoders.light import computes_in
from pipeline.errors import ConfigError, EncoderError
from pipeline.model import Precision
from pipeline.processor import has_bfloat16
from pipeline.text import shown

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_NOTICES = re.compile(rb"I\d{4} |WARNING: All log messages before absl::|E\d{4} .*cuInit: UNKNOWN ERROR \(303\)")
"""How lines begin by which TensorFlow tells of itself; the last one is said wherever there is no NVIDIA driver."""
_GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""By which TensorFlow and JAX take a GPU's memory as they need it: else the first process takes (nearly) all of it."""
_DEVICES = Path("/dev")
_loading = threading.Lock()


def keras() -> Any:
    """Import Keras at first use: it takes seconds, and most commands do without.

    Its library's notices are left out of standard error, unless ``TF_CPP_MIN_LOG_LEVEL`` is set in the environment.
    """
    with _loading:
        return _keras()


@functools.cache
def _keras() -> Any:
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name, value in _GROWTH.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings(), _without_notices() if quiet else nullcontext():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what Keras itself imports
        import keras

        keras.ops.zeros(1)  # devices are looked for at the first use, with more notices
    return keras


@contextmanager
def _without_notices() -> Iterator[None]:
    """Hold what is written to standard error back until the block ends, then write it but for :data:`_NOTICES`.

    The library writes them to the file descriptor before it heeds its own log level.
    """
    try:
        error = os.dup(2)
    except OSError:  # closed: nothing will be written
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
            os.write(2, b"".join(line for line in held if not _NOTICES.match(line)))


def gpu_names() -> list[str]:
    """List NVIDIA's GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them: all, where it is not set.

    As in CUDA, what comes after a name that is none (``-1``) does not count.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return sorted((path.name[6:] for path in _DEVICES.glob("nvidia[0-9]*")), key=int)
    names = [name.strip() for name in visible.split(",")]
    return list(takewhile(lambda name: bool(name) and not name.startswith("-"), names))


def has_gpu_device() -> bool:
    """Say whether this process is shown a GPU, without the seconds that asking Keras takes."""
    return bool(gpu_names()) or (_DEVICES / "kfd").exists()


def gpu_devices() -> list[str]:
    """List the GPUs that Keras can compute on. Takes seconds."""
    return gpus_of(keras().backend.backend(), keras())


def batch_of_device(on_gpu: int, on_processors: int) -> int:
    """Return how many windows a network is given at once where it is to compute. Takes seconds."""
    return on_gpu if gpu_devices() else on_processors


def fastest_precision() -> Precision:
    """Return the precision in which this machine computes fastest; it gains by less than 32 bits or has float32.

    GPUs gain by float16 (tensor cores), processors by bfloat16 where they have instructions for it (AMX, AVX-512) and
    the libraries use them: ``ONEDNN_MAX_CPU_ISA`` may forbid it.
    """
    if has_gpu_device() and gpu_devices():  # in this order: Keras takes seconds to load
        return "float16"
    return "bfloat16" if has_bfloat16() and computes_in("bfloat16") else "float32"


def check_precision(precision: str) -> None:
    """Raise :class:`ConfigError` unless ``precision`` is one of :data:`PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ConfigError(f"no precision {precision!r}; there are {', '.join(PRECISIONS)}")


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Make what this thread builds within the block compute in ``precision``; see :func:`check_precision`."""
    check_precision(precision)
    config = keras().config
    before = config.dtype_policy()
    config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        config.set_dtype_policy(before)


def digest_of(path: Path, name: str) -> str:
    """SHA-256 of the weights file of encoder ``name``; :class:`EncoderError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{shown(path)}: cannot read the weights of {name}: {error.strerror}") from error


def computed(model: Any) -> Begin:
    """Put a Keras model on the device: see :func:`pipeline.encoders.device.on_device`."""
    return on_device(model, keras().backend.backend())


def of_cutouts(model: Any, shape: tuple[int, int], prepare: Callable[[Any, Any], Any]) -> Begin:
    """Put a Keras model on the device, to which cutouts go as they are stored: 8 bits a pixel.

    Parameters
    ----------
    model : keras.Model
        Its weights are set already.
    shape : (T, F)
        Of the cutouts.
    prepare : callable
        asinh images (n, T, F) to the model's input, by functions of the second argument: ``keras.ops``.
    """
    ops = keras().ops

    class Prepared(keras().layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, codes: Any) -> Any:
            return prepare(ops.take(IMAGE_OF_CODE, ops.cast(codes, "int32"), axis=0), ops)

    codes = keras().Input(shape, dtype="uint8", name="cutout")
    return computed(keras().Model(codes, model(Prepared(dtype="float32")(codes))))


def misfit(path: Path, name: str) -> EncoderError:
    """Return the error of a weights file that was made for another network."""
    return EncoderError(f"{shown(path)}: is not of this version's {name}: its arrays have other names or shapes; "
                        f"make it anew with: lookalike train {name}")


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as an uncompressed .npz, whole or not at all."""
    with atomic_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path, name: str) -> dict[str, NDArray[Any]]:
    """Read a .npz of plain arrays, never a pickle; :class:`EncoderError` where ``path`` is none for ``name``."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, AttributeError, KeyError, zipfile.BadZipFile) as error:
        raise EncoderError(f"{shown(path)}: no weights of {name} (.npz of plain arrays): {error}") from error


def load_network(path: Path, name: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a network; :class:`EncoderError`, also where one is not finite: layers may hide that."""
    arrays = load_arrays(path, name)
    if bad := [key for key, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]:
        raise EncoderError(f"{shown(path)}: weights of {name} are not finite ({bad[0]}); the file is damaged, or its "
                           "training went astray")
    return arrays


def save_weights(path: Path, model: Any) -> None:
    """Write a Keras model's weights as plain arrays: ``000 path/of/variable``, in the model's order."""
    save_arrays(path, dict(zip(_keys(model), model.get_weights(), strict=True)))


def load_weights(path: Path, model: Any, name: str) -> None:
    """Set a Keras model's weights from :func:`save_weights`' file.

    Raises
    ------
    EncoderError
        Where the file cannot be read, or was made for another network.
    """
    arrays = load_network(path, name)
    if list(arrays) != _keys(model) or any(
        arrays[key].shape != tuple(variable.shape) for key, variable in zip(arrays, model.weights, strict=True)
    ):
        raise misfit(path, name)
    model.set_weights(list(arrays.values()))


def _keys(model: Any) -> list[str]:
    return [f"{number:03d} {variable.path}" for number, variable in enumerate(model.weights)]
