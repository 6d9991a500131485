"""Encoders, behind one door: :func:`load_encoder`.

An encoder takes 8-bit cutouts (n, T, F) and returns unit vectors (n, dimension). Importing this package loads
neither TensorFlow nor Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cutouts import cutouts_of_power
from pipeline.encoders import beta_vae, power_spectrum, resnet50, spectral
from pipeline.encoders.backend import (
    PRECISIONS,
    check_precision,
    digest_of,
    fastest_precision,
    gpu_devices,
    gpu_names,
    has_gpu_device,
)
from pipeline.encoders.base import Encoder
from pipeline.encoders.projection import Projection, fit_projection
from pipeline.errors import ConfigError, PrecisionError
from pipeline.model import WindowGrid

__all__ = [
    "ENCODERS", "Encoder", "Projection", "encode", "fit", "gpu_devices", "gpu_names", "has_gpu_device",
    "load_encoder", "needs_projection", "precisions_here", "require_precision", "settled_precision",
]


def _power_spectrum(grid: WindowGrid, weights: str) -> Encoder:
    if weights:
        raise ConfigError(f"encoder {power_spectrum.NAME} has no weights, got weights {weights!r}")
    return power_spectrum.PowerSpectrum(grid)


ENCODERS: Mapping[str, Callable[..., Encoder]] = MappingProxyType(
    {
        spectral.NAME: spectral.Spectral,
        power_spectrum.NAME: _power_spectrum,
        resnet50.NAME: resnet50.ResNet50,
        beta_vae.NAME: beta_vae.BetaVae,
    }
)
"""Name → maker of an encoder for a window grid and a weights file; for some also a projection, or a precision."""

_PROJECTED = frozenset({resnet50.NAME})
_OF_SEVERAL_PRECISIONS = frozenset({spectral.NAME, resnet50.NAME})

_GRID = WindowGrid()


def load_encoder(
    name: str,
    *,
    grid: WindowGrid = _GRID,
    weights: str = "",
    projection: Path | str = "",
    precision: str = "float32",
) -> Encoder:
    """Return an encoder, made once per process.

    Parameters
    ----------
    name : str
        One of :data:`ENCODERS`.
    grid : WindowGrid
        Shape of the windows it is to encode.
    weights : str
        A local weights file, for encoders that have weights; empty for their own.
    projection : Path or str
        The corpus' projection, for an encoder that needs one; empty for the features that :func:`fit` fits it to.
    precision : str
        What the encoder computes with, as :func:`settled_precision` takes it. Its spec says which; each makes vectors
        of its own, so give the spec's again for more of them.

    Raises
    ------
    ConfigError
        Where no encoder has this name, or it is given weights, a projection or a precision that it cannot have.
    EncoderError
        Where the weights or the projection cannot be had, or do not fit.
    """
    if name not in ENCODERS:
        raise ConfigError(f"no encoder {name!r}; there are {', '.join(ENCODERS)}")
    if projection and not needs_projection(name):
        raise ConfigError(f"encoder {name} takes no projection, got {str(projection)!r}")
    settled = settled_precision(name, precision)
    # by content: another corpus may come to lie where this one lay
    digest = digest_of(Path(projection), name) if projection else ""
    return _load(name, grid, weights, str(projection), digest, settled)


def settled_precision(name: str, precision: str) -> str:
    """Return what an encoder computes with on this machine.

    Parameters
    ----------
    name : str
        Of the encoder.
    precision : str
        ``float32``, ``bfloat16``, ``float16``, or ``auto``: the fastest here of those that the encoder knows, which is
        float32 for one that knows no other.

    Raises
    ------
    ConfigError
        Where there is no such precision, or the encoder does not know it.
    """
    if precision == "auto":
        return fastest_precision() if name in _OF_SEVERAL_PRECISIONS else "float32"
    check_precision(precision)
    if precision != "float32" and name not in _OF_SEVERAL_PRECISIONS:
        raise ConfigError(f"encoder {name} computes in float32 alone, not in {precision}; others are known to "
                          f"{' and '.join(sorted(_OF_SEVERAL_PRECISIONS))}")
    return precision


def require_precision(name: str, precision: str) -> None:
    """Raise :class:`PrecisionError` where this machine does not compute an encoder in a settled precision.

    :func:`load_encoder` does not: the machine that starts a run need not be one of those that make its vectors. Such an
    encoder raises as it encodes.
    """
    if name == spectral.NAME:
        spectral.require_precision(precision)


def precisions_here(name: str) -> tuple[str, ...]:
    """List what an encoder can compute in on this machine."""
    found = []
    for precision in PRECISIONS if name in _OF_SEVERAL_PRECISIONS else ("float32",):
        with suppress(PrecisionError):
            require_precision(name, precision)
            found.append(precision)
    return tuple(found)


def needs_projection(name: str) -> bool:
    """Say whether vectors of this encoder are projected by what :func:`fit` finds in a corpus; False for no encoder."""
    return name in _PROJECTED


def fit(
    name: str, cutouts: NDArray[np.uint8], *, grid: WindowGrid = _GRID, weights: str = "", precision: str = "float32"
) -> Projection:
    """Fit the projection of an encoder that needs one to a sample of a corpus.

    Parameters
    ----------
    name, grid, weights, precision
        As :func:`load_encoder` takes them.
    cutouts : (n, T, F) uint8
        At least 32 windows; a few thousand are better, and take minutes without a GPU.

    Raises
    ------
    ConfigError
        Where the encoder needs no projection, or as :func:`load_encoder` does.
    EncoderError
        For too few windows or windows all alike, or as :func:`load_encoder` does.
    """
    if not needs_projection(name):
        raise ConfigError(f"encoder {name} takes no projection")
    return fit_projection(load_encoder(name, grid=grid, weights=weights, precision=precision).encode(cutouts))


def encode(
    power: NDArray[Any], *, encoder: str = spectral.NAME, weights: str = ""
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
def _load(
    name: str, grid: WindowGrid, weights: str, projection: str, projection_digest: str, precision: str
) -> Encoder:
    more: dict[str, Any] = {}
    if name in _PROJECTED:
        more["projection"] = Path(projection) if projection else None
    if name in _OF_SEVERAL_PRECISIONS:
        more["precision"] = precision
    return ENCODERS[name](grid, weights, **more)
