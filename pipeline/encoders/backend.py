"""The one door to Keras, and weights as plain arrays.

Networks are written with Keras layers and ``keras.ops`` alone, so TensorFlow, JAX and PyTorch run the same weights:
``KERAS_BACKEND`` in the environment picks, TensorFlow where it is not set.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.durable import atomic_file
from pipeline.errors import EncoderError
from pipeline.text import shown


def keras() -> Any:
    """Import Keras at first use: it takes seconds, and most commands do without."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what Keras itself imports
        import keras

    return keras


def digest_of(path: Path, name: str) -> str:
    """SHA-256 of the weights file of encoder ``name``; :class:`EncoderError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{shown(path)}: cannot read the weights of {name}: {error.strerror}") from error


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as an uncompressed .npz, whole or not at all."""
    with atomic_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path, name: str) -> dict[str, NDArray[Any]]:
    """Read a .npz of plain arrays, never a pickle; :class:`EncoderError` where ``path`` is none for encoder ``name``."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, AttributeError, KeyError, zipfile.BadZipFile) as error:
        raise EncoderError(f"{shown(path)}: no weights of {name} (.npz of plain arrays): {error}") from error


def save_weights(path: Path, model: Any) -> None:
    """Write a Keras model's weights as plain arrays: ``000 path/of/variable``, in the model's order."""
    save_arrays(path, {key: np.asarray(keras().ops.convert_to_numpy(variable), np.float32)
                       for key, variable in zip(_keys(model), model.weights, strict=True)})


def load_weights(path: Path, model: Any, name: str) -> None:
    """Set a Keras model's weights from :func:`save_weights`' file.

    Raises
    ------
    EncoderError
        Where the file cannot be read, or was made for another network.
    """
    arrays = load_arrays(path, name)
    if list(arrays) != _keys(model) or any(
        arrays[key].shape != tuple(variable.shape) for key, variable in zip(arrays, model.weights, strict=True)
    ):
        raise EncoderError(f"{shown(path)}: is not of this version's {name}: its arrays have other names or shapes; "
                           f"make it anew with: lookalike train {name}")
    model.set_weights(list(arrays.values()))


def _keys(model: Any) -> list[str]:
    return [f"{number:03d} {variable.path}" for number, variable in enumerate(model.weights)]
