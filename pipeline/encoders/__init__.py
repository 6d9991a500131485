"""Encoders, behind one door: :func:`load_encoder`.

An encoder takes 8-bit cutouts (n, T, F) and returns unit vectors (n, dimension). Importing this package loads
neither TensorFlow nor Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cutouts import cutouts_of_power
from pipeline.encoders import power_spectrum, resnet50
from pipeline.encoders.base import Encoder
from pipeline.errors import ConfigError
from pipeline.model import WindowGrid

__all__ = ["ENCODERS", "Encoder", "encode", "load_encoder"]


def _power_spectrum(grid: WindowGrid, weights: str) -> Encoder:
    if weights:
        raise ConfigError(f"encoder {power_spectrum.NAME} has no weights, got weights {weights!r}")
    return power_spectrum.PowerSpectrum(grid)


ENCODERS: Mapping[str, Callable[[WindowGrid, str], Encoder]] = MappingProxyType(
    {power_spectrum.NAME: _power_spectrum, resnet50.NAME: resnet50.ResNet50}
)
"""Name → maker of an encoder for a window grid and a weights file."""

_GRID = WindowGrid()


def load_encoder(name: str, *, grid: WindowGrid = _GRID, weights: str = "") -> Encoder:
    """Return an encoder, made once per process.

    Parameters
    ----------
    name : str
        One of :data:`ENCODERS`.
    grid : WindowGrid
        Shape of the windows it is to encode.
    weights : str
        A local weights file, for encoders that have weights; empty for their own.

    Raises
    ------
    ConfigError
        Where no encoder has this name, or weights are given to one that has none.
    EncoderError
        Where the weights cannot be had, or do not fit.
    """
    if name not in ENCODERS:
        raise ConfigError(f"no encoder {name!r}; there are {', '.join(ENCODERS)}")
    return _load(name, grid, weights)


def encode(
    power: NDArray[Any], *, encoder: str = power_spectrum.NAME, weights: str = ""
) -> NDArray[np.float32]:
    """Encode windows that come as arrays, without a file around them.

    Parameters
    ----------
    power : (n, T, F) array
        Linear power, ascending frequency; not finite or not positive values count as masked. See
        :func:`pipeline.cutouts.cutouts_of_power` for what windows without their band cannot show.
    encoder, weights : str
        As :func:`load_encoder` takes them.

    Returns
    -------
    (n, dimension) float32
        Unit length.

    Raises
    ------
    ConfigError
        Where the array is not three-dimensional, or as :func:`load_encoder` does.
    EncoderError
        As :func:`load_encoder` does.
    """
    if power.ndim != 3 or 0 in power.shape[1:]:
        raise ConfigError(f"expected windows of shape (n, spectra, channels), got shape {power.shape}")
    _, integrations, channels = power.shape
    grid = WindowGrid(channels=channels, step=channels, integrations=integrations)
    return load_encoder(encoder, grid=grid, weights=weights).encode(cutouts_of_power(power))


@lru_cache(maxsize=4)
def _load(name: str, grid: WindowGrid, weights: str) -> Encoder:
    return ENCODERS[name](grid, weights)
