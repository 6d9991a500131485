"""Machines that compute in bfloat16, and machines that do not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import encoders
from pipeline.encoders import light, spectral
from pipeline.encoders.backend import computed, computing_in, keras
from pipeline.processor import described

needs_bfloat16 = pytest.mark.skipif(not light.computes_in("bfloat16"),
                                    reason=f"OpenVINO does not compute in bfloat16 here: {described()}")


def computes_in_float32_alone(patch: pytest.MonkeyPatch) -> None:
    """Be a machine without a GPU on which OpenVINO computes in float32, whatever it is asked for."""
    really = light._settings
    patch.setattr(light, "_settings", lambda precision: really("float32"))
    for module in (light, spectral, encoders.backend):
        patch.setattr(module, "computes_in", lambda precision: precision == "float32")
    shows_gpu(patch, False)


def computes_by_keras(patch: pytest.MonkeyPatch) -> None:
    """Be a machine on which Keras runs every network: in whatever it is asked for, on any processor."""
    shows_gpu(patch, True)


def shows_gpu(patch: pytest.MonkeyPatch, shown: bool) -> None:
    patch.setattr(spectral, "has_gpu_device", lambda: shown)
    encoders._load.cache_clear()  # what was loaded before is of the machine as it was


def made_by_a_layer(precision: str) -> np.ndarray:
    """What a layer of a network of Keras makes in a precision, as float32, which holds every number of the others.

    A second layer, which changes nothing, turns it into float32: a compiler might leave out that it was rounded.
    """
    layers = keras().layers
    rng = np.random.default_rng(3)
    image = keras().Input((16,))
    with computing_in(precision):
        first = layers.Dense(8, use_bias=False)(image)
    second = layers.Dense(8, use_bias=False, dtype="float32")(first)
    model = keras().Model(image, second)
    model.set_weights([rng.normal(size=(16, 8)).astype(np.float32), np.eye(8, dtype=np.float32)])
    return np.array(computed(model)(rng.normal(size=(32, 16)).astype(np.float32))())
