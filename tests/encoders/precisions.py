"""Helpers that simulate machines with and without bfloat16."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from pipeline import encoders
from pipeline.encoders import openvino_network, spectral
from pipeline.encoders.backend import keras, place_model, use_precision
from pipeline.support.processor import describe
from tests.run import fake

needs_bfloat16 = pytest.mark.skipif(not openvino_network.supports_precision("bfloat16"),
                                    reason=f"OpenVINO does not compute in bfloat16 here: {describe()}")


def computes_in_float32_alone(patch: pytest.MonkeyPatch) -> None:
    """Simulate a machine without a GPU on which OpenVINO always computes in float32."""
    really = openvino_network._settings
    patch.setattr(openvino_network, "_settings", lambda precision: really("float32"))
    for module in (openvino_network, spectral, encoders.backend):
        patch.setattr(module, "supports_precision", lambda precision: precision == "float32")
    shows_gpu(patch, False)


def computes_by_keras(patch: pytest.MonkeyPatch) -> None:
    """Simulate a machine on which Keras runs every network; Keras computes in any precision on any processor."""
    shows_gpu(patch, True)


def shows_gpu(patch: pytest.MonkeyPatch, shown: bool) -> None:
    patch.setattr(spectral, "has_gpu_device", lambda: shown)
    # encoders that are loaded already do not know the patch, and those loaded now are not for later tests
    has_fakes = hasattr(encoders._load, "really")
    really = getattr(encoders._load, "really", encoders._load)
    patch.setattr(encoders, "_load", lru_cache(really.__wrapped__))
    if has_fakes:
        fake.register(patch.setattr)


def made_by_a_layer(precision: str) -> np.ndarray:
    """Return the output of a Keras layer that computes in a precision. It is converted to float32, without a loss.

    A second layer, the identity, converts to float32, because a compiler might skip the rounding of the last layer.
    """
    layers = keras().layers
    rng = np.random.default_rng(3)
    image = keras().Input((16,))
    with use_precision(precision):
        first = layers.Dense(8, use_bias=False)(image)
    second = layers.Dense(8, use_bias=False, dtype="float32")(first)
    model = keras().Model(image, second)
    model.set_weights([rng.normal(size=(16, 8)).astype(np.float32), np.eye(8, dtype=np.float32)])
    return np.array(place_model(model)(rng.normal(size=(32, 16)).astype(np.float32))())
