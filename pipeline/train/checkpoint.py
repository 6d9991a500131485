"""The state of an unfinished training on disk, from which it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.encoders import load_arrays, save_arrays
from pipeline.errors import EncoderError
from pipeline.support.text import shown

_STEP, _SETTING, _MODEL, _OPTIMIZER = "step", "setting ", "model ", "optimizer "


def save_checkpoint(path: Path, model: Any, step: int, settings: Mapping[str, Any]) -> None:
    """Write the weights of a compiled Keras model, the state of its optimiser, and what the training depends on.

    The write is atomic.

    Parameters
    ----------
    path : Path
        Path of the .npz to write.
    model : keras.Model
        The model.
    step : int
        Number of steps that are done.
    settings : mapping
        What must be the same when the training goes on, as name → number or text.
    """
    arrays = {_STEP: np.array(step)} | {_SETTING + name: np.array(value) for name, value in settings.items()}
    for prefix, variables in _states(model).items():
        arrays |= {f"{prefix}{number:03d}": np.asarray(one) for number, one in enumerate(variables)}
    save_arrays(path, arrays)


def load_checkpoint(path: Path, model: Any, settings: Mapping[str, Any]) -> int:
    """Set a compiled Keras model to the state that :func:`save_checkpoint` wrote, and return the number of steps done.

    Raises
    ------
    EncoderError
        The file cannot be read, belongs to another network, or has other settings; the message names the first one.
    """
    arrays = load_arrays(path, "a training")
    for name, value in settings.items():
        found = arrays.get(_SETTING + name)
        if found is None or found.item() != value:
            raise EncoderError(f"{shown(path)}: belongs to a training with {name} {found}, not {value}; go on with the "
                               "same options, or remove the file to start from the beginning")
    for prefix, variables in _states(model).items():
        stored = [array for key, array in arrays.items() if key.startswith(prefix)]
        if [array.shape for array in stored] != [tuple(one.shape) for one in variables]:
            raise EncoderError(f"{shown(path)}: belongs to the training of another network; remove the file to start "
                               "from the beginning")
        for one, array in zip(variables, stored, strict=True):
            one.assign(array)
    return int(arrays[_STEP])


def _states(model: Any) -> dict[str, list[Any]]:
    """Return the variables of the model and of its optimiser, as prefix of their names → variables."""
    model.optimizer.build(model.trainable_variables)
    return {_MODEL: model.weights, _OPTIMIZER: model.optimizer.variables}
