"""Encoders turn 8-bit cutouts (n, T, F) into unit vectors (n, dimension); :func:`load_encoder` makes one by name.

Importing this package loads neither TensorFlow nor Keras.
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

from pipeline.encoders import beta_vae, power_spectrum, resnet50, spectral
from pipeline.encoders.backend import (
    PRECISIONS,
    check_precision,
    fastest_precision,
    gpu_devices,
    gpu_names,
    has_gpu_device,
    hash_weights,
    keras,
    load_arrays,
    save_arrays,
    save_weights,
    use_precision,
)
from pipeline.encoders.base import Encoder
from pipeline.encoders.frequency import near_scores, nearness
from pipeline.encoders.projection import Projection, fit_projection
from pipeline.errors import ConfigError, PrecisionError
from pipeline.grid.cutouts import cutouts_of_power
from pipeline.model import EncoderSpec, WindowGrid

__all__ = [
    "ENCODERS",
    "Encoder",
    "Projection",
    "default_version",
    "encode",
    "fastest_precision",
    "fit",
    "gpu_devices",
    "gpu_names",
    "has_gpu_device",
    "has_weights",
    "keras",
    "load_arrays",
    "load_encoder",
    "near_scores",
    "nearness",
    "needs_projection",
    "require_precision",
    "resolve_precision",
    "save_arrays",
    "save_weights",
    "sees_nothing",
    "supported_precisions",
    "use_precision",
    "versions",
]


def _power_spectrum(grid: WindowGrid, weights: str) -> Encoder:
    if weights:
        raise ConfigError(f"encoder {power_spectrum.NAME} takes no weights, got weights {weights!r}")
    return power_spectrum.PowerSpectrum(grid)


ENCODERS: Mapping[str, Callable[..., Encoder]] = MappingProxyType(
    {
        spectral.NAME: spectral.Spectral,
        power_spectrum.NAME: _power_spectrum,
        resnet50.NAME: resnet50.ResNet50,
        beta_vae.NAME: beta_vae.BetaVae,
    }
)
"""Name → function that makes an encoder from a window grid and a weights file.

The encoders in ``_WITH_PROJECTION`` also take ``projection``, those in ``_WITH_REDUCED_PRECISION`` also ``precision``.
"""

_WITH_PROJECTION = frozenset({resnet50.NAME})
_WITH_REDUCED_PRECISION = frozenset({spectral.NAME, resnet50.NAME})

_GRID = WindowGrid()


def load_encoder(
    name: str,
    *,
    grid: WindowGrid = _GRID,
    weights: str = "",
    projection: Path | str = "",
    precision: str = "float32",
    version: int | None = None,
) -> Encoder:
    """Return an encoder. The process keeps the last four encoders and reuses them.

    Parameters
    ----------
    name : str
        One of :data:`ENCODERS`.
    grid : WindowGrid
        Shape of the windows to encode.
    weights : str
        Path of a local weights file, for encoders that have weights. Empty: the encoder's default weights.
    projection : Path or str
        Path of the corpus' projection, for an encoder that needs one. Empty: the encoder returns its features, which
        are what :func:`fit` fits a projection to.
    precision : str
        Arithmetic of the encoder; the values are those of :func:`resolve_precision`. Vectors of different precisions
        must not be mixed: to add to stored vectors, pass the ``precision`` of their spec.
    version : int, optional
        Version of an encoder of which the package has several, without a weights file: one of :func:`versions`.
        Default: :func:`default_version`. Other encoders ignore it: compare their spec.

    Returns
    -------
    Encoder

    Raises
    ------
    ConfigError
        No encoder has this name, or it takes no such weights, projection or precision.
    EncoderError
        The weights or the projection are missing or do not fit.
    """
    if name not in ENCODERS:
        raise ConfigError(f"no encoder {name!r}; there are {', '.join(ENCODERS)}")
    if projection and not needs_projection(name):
        raise ConfigError(f"encoder {name} takes no projection, got {str(projection)!r}")
    settled = resolve_precision(name, precision)
    # the cache looks at the content too: another corpus may be made later under the same path
    digest = hash_weights(Path(projection), name) if projection else ""
    wanted = default_version(name) if version is None and not weights else version
    return _load(name, grid, weights, str(projection), digest, settled, wanted)


def versions(name: str) -> tuple[int, ...]:
    """Return the versions of an encoder's weights that come with the package; empty for an encoder without weights."""
    return tuple(spectral.SHIPPED) if name == spectral.NAME else ()


def default_version(name: str) -> int | None:
    """Return the version whose weights an encoder uses by default; None for an encoder of one version."""
    return spectral.DEFAULT if name == spectral.NAME else None


def resolve_precision(name: str, precision: str) -> str:
    """Return the precision that an encoder computes in, with ``auto`` replaced by this machine's fastest.

    Parameters
    ----------
    name : str
        Name of the encoder.
    precision : str
        ``float32``, ``bfloat16``, ``float16`` or ``auto``. ``auto`` is the fastest precision on this machine that the
        encoder supports.

    Returns
    -------
    str
        ``float32``, ``bfloat16`` or ``float16``.

    Raises
    ------
    ConfigError
        The precision does not exist, or the encoder does not support it.
    """
    if precision == "auto":
        return fastest_precision() if name in _WITH_REDUCED_PRECISION else "float32"
    check_precision(precision)
    if precision != "float32" and name not in _WITH_REDUCED_PRECISION:
        raise ConfigError(f"encoder {name} computes in float32 only, not in {precision}; other precisions are "
                          f"supported by {' and '.join(sorted(_WITH_REDUCED_PRECISION))}")
    return precision


def require_precision(name: str, precision: str) -> None:
    """Raise :class:`PrecisionError` if this machine cannot compute an encoder's vectors in a precision.

    :func:`load_encoder` does not check this, because the machine that starts a run may not be one of those that
    compute its vectors. On an unsuitable machine the encoder loads, and raises when it encodes.

    Parameters
    ----------
    name : str
        Name of the encoder.
    precision : str
        As :func:`resolve_precision` returns it.
    """
    if name == spectral.NAME:
        spectral.require_precision(precision)


def supported_precisions(name: str) -> tuple[str, ...]:
    """List the precisions in which an encoder can compute on this machine."""
    found = []
    for precision in PRECISIONS if name in _WITH_REDUCED_PRECISION else ("float32",):
        with suppress(PrecisionError):
            require_precision(name, precision)
            found.append(precision)
    return tuple(found)


def sees_nothing(spec: EncoderSpec, vectors: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Tell in which windows an encoder sees nothing. Their vectors say nothing about what they resemble.

    Parameters
    ----------
    spec : EncoderSpec
        The encoder.
    vectors : (n, dimension) floating-point array
        Vectors that it made.

    Returns
    -------
    (n,) bool
    """
    if spec.name == power_spectrum.NAME:
        return power_spectrum.sees_nothing(vectors)
    return np.zeros(len(vectors), np.bool_)


def needs_projection(name: str) -> bool:
    """Return whether an encoder needs a projection that :func:`fit` makes; False for an unknown name."""
    return name in _WITH_PROJECTION


def has_weights(name: str) -> bool:
    """Return whether an encoder can be loaded without a weights file; False if ``lookalike train`` must make one."""
    return name != beta_vae.NAME or beta_vae.SHIPPED.exists()


def fit(
    name: str, cutouts: NDArray[np.uint8], *, grid: WindowGrid = _GRID, weights: str = "", precision: str = "float32"
) -> Projection:
    """Fit an encoder's projection to a sample of a corpus.

    Parameters
    ----------
    name, grid, weights, precision
        As :func:`load_encoder` takes them.
    cutouts : (n, T, F) uint8
        At least 32 windows. A few thousand give a better projection, and take minutes without a GPU.

    Returns
    -------
    Projection

    Raises
    ------
    ConfigError
        The encoder takes no projection, or one of the reasons of :func:`load_encoder` applies.
    EncoderError
        There are too few windows, all windows are alike, or one of the reasons of :func:`load_encoder` applies.
    """
    if not needs_projection(name):
        raise ConfigError(f"encoder {name} takes no projection")
    return fit_projection(load_encoder(name, grid=grid, weights=weights, precision=precision).encode(cutouts))


def encode(
    power: NDArray[Any], *, encoder: str = spectral.NAME, weights: str = ""
) -> NDArray[np.float32]:
    """Encode windows that are given as arrays of power, not as a file.

    Parameters
    ----------
    power : (n, T, F) array
        Linear power, ascending frequency. Values that are not finite or not positive count as masked.
        :func:`pipeline.grid.cutouts.cutouts_of_power` explains what is lost because the band around them is unknown.
    encoder, weights : str
        As :func:`load_encoder` takes them.

    Returns
    -------
    (n, dimension) float32
        Vectors of unit length.

    Raises
    ------
    ConfigError
        The array is not three-dimensional or its windows are empty, or for the reasons that :func:`load_encoder` lists.
    EncoderError
        For the reasons that :func:`load_encoder` lists.
    """
    if power.ndim != 3 or 0 in power.shape[1:]:
        raise ConfigError(f"expected windows of shape (n, spectra, channels), got shape {power.shape}")
    _, integrations, channels = power.shape
    grid = WindowGrid(channels=channels, step=channels, integrations=integrations)
    return load_encoder(encoder, grid=grid, weights=weights).encode(cutouts_of_power(power))


@lru_cache(maxsize=4)
def _load(
    name: str, grid: WindowGrid, weights: str, projection: str, projection_digest: str, precision: str,
    version: int | None,
) -> Encoder:
    options: dict[str, Any] = {}
    if name in _WITH_PROJECTION:
        options["projection"] = Path(projection) if projection else None
    if name in _WITH_REDUCED_PRECISION:
        options["precision"] = precision
    if versions(name):
        options["version"] = version
    return ENCODERS[name](grid, weights, **options)
