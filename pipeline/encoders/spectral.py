"""The default encoder: a small residual network, taught by contrast on simulated signals.

Two windows that hold the same signal at another place, strength, phase and gain attract each other, all others repel
(SimCLR, arXiv 2002.05709). How it is taught is :mod:`pipeline.train.spectral`'s; what it was taught, and how well it
does, its model card's (``pipeline/encoders/weights/spectral.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CUTOUT_VERSION
from pipeline.cutouts import image_of_cutouts
from pipeline.encoders.backend import (
    batch_of_device,
    check_precision,
    computed,
    computing_in,
    digest_of,
    has_gpu_device,
    keras,
    load_network,
    load_weights,
    misfit,
    of_cutouts,
)
from pipeline.encoders.base import checked, joined, unit_rows
from pipeline.encoders.device import Begin, in_batches
from pipeline.encoders.light import BATCH as LIGHT_BATCH
from pipeline.encoders.light import PRECISIONS as LIGHT_PRECISIONS
from pipeline.encoders.light import LightNetwork, computes_in, refusal
from pipeline.encoders.spectrum import spectrum_features
from pipeline.errors import EncoderError, PrecisionError
from pipeline.model import EncoderSpec, WindowGrid

NAME = "spectral"
VERSION = 1
DIMENSION = 128
INTEGRATIONS, CHANNELS = 16, 256
"""The windows it was taught on, the only ones it takes."""
SHIPPED = Path(__file__).with_name("weights") / "spectral.npz"
TOLERANCE = {"float32": 2e-3, "bfloat16": 0.02, "float16": 0.005}
"""By precision: components of one window's vector differ by less, whatever the batch and the hardware."""
BATCH, GPU_BATCH = 128, 4096
"""Windows at once where Keras runs it, on processors and on a GPU: the last batch is filled up, so that the network is
compiled for one shape."""

_WIDTHS = (48, 96, 128)
SPECTRUM_UNITS = 192
"""Units that see the power spectrum, beside the 256 that see the picture."""
PIXEL_SCALE = 0.5
"""Of asinh images, which span -3 to 7, as the network takes them."""


class Spectral:
    """Encoder by the network of :func:`build`: Keras runs it on a GPU and in float16, OpenVINO on processors.

    Where this machine does not compute in the precision asked for, it has a spec, as a run of other machines needs it,
    but makes no vectors: each encoding raises :class:`pipeline.errors.PrecisionError`.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows; only 16 × 256 will do.
    weights : str
        A file made by ``lookalike train spectral``; empty for the shipped one.
    precision : str
        ``float32``, ``bfloat16`` or ``float16``: other vectors each, so it is part of the spec.
    batch : int
        Windows at once where Keras runs it; 0 for what suits the device.

    Raises
    ------
    ConfigError
        For another precision.
    EncoderError
        For windows of another shape, or where the weights are missing or do not fit.
    """

    def __init__(
        self, grid: WindowGrid, weights: str = "", precision: str = "float32", batch: int = 0
    ) -> None:
        check_precision(precision)
        if (grid.integrations, grid.channels) != (INTEGRATIONS, CHANNELS):
            raise EncoderError(
                f"encoder {NAME} takes windows of {INTEGRATIONS} spectra × {CHANNELS} channels, not "
                f"{grid.integrations} × {grid.channels}; use --encoder power-spectrum"
            )
        self._grid = grid
        self._batch = batch
        self._path = Path(weights).expanduser() if weights else SHIPPED
        digest = digest_of(self._path, NAME)
        self._light: LightNetwork | None = None
        self._refusal = ""
        if _runs_lightly(precision):
            try:
                self._light = _light(self._path, precision)
            except PrecisionError as error:
                self._refusal = str(error)
        self.spec = EncoderSpec(
            name=NAME,
            version=VERSION,
            dimension=DIMENSION,
            input=f"cutout-v{CUTOUT_VERSION} {INTEGRATIONS}x{CHANNELS}",
            weights_sha256=digest,
            precision=precision,
            tolerance=TOLERANCE[precision],
        )

    def encode(self, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode cutouts; see :meth:`pipeline.encoders.Encoder.encode`."""
        return self.encode_all([cutouts])

    def encode_all(self, blocks: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode cutouts that come block by block; see :meth:`pipeline.encoders.Encoder.encode_all`."""
        windows = (checked(NAME, block, self._grid) for block in blocks)
        self._require_precision()
        if self._light:
            return _vectors(_lightly(self._light, inputs), windows, LIGHT_BATCH)
        return _vectors(self._of_cutouts, windows, self._keras_batch)

    def encode_images(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encode asinh images (n, 16, 256) that were never rounded to 8 bits: what cutouts cost is measured by this."""
        self._require_precision()
        if self._light:
            return _vectors(_lightly(self._light, _scaled), [images], LIGHT_BATCH)
        return _vectors(self._of_images, [_scaled(images)], self._keras_batch)

    def _require_precision(self) -> None:
        if self._refusal:
            raise PrecisionError(self._refusal)

    @cached_property
    def _of_cutouts(self) -> Begin:
        return of_cutouts(self._keras, (INTEGRATIONS, CHANNELS), _scaled)

    @cached_property
    def _of_images(self) -> Begin:
        return computed(self._keras)

    @cached_property
    def _keras_batch(self) -> int:
        return self._batch or batch_of_device(GPU_BATCH, BATCH)

    @cached_property
    def _keras(self) -> Any:
        with computing_in(self.spec.precision):
            model = build()
        load_weights(self._path, model, NAME)
        return model


def require_precision(precision: str) -> None:
    """Raise :class:`PrecisionError` where this machine, as its libraries say, does not compute in a precision."""
    if _runs_lightly(precision) and not computes_in(precision):
        raise refusal(precision)


def _runs_lightly(precision: str) -> bool:
    """Tell whether OpenVINO computes, not Keras."""
    return not has_gpu_device() and precision in LIGHT_PRECISIONS


def inputs(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn cutouts (n, T, F) into what the network takes: scaled asinh images (n, T, F, 1)."""
    scaled: NDArray[np.float32] = _scaled(image_of_cutouts(cutouts))
    return scaled


def _scaled(images: Any, _: Any = np) -> Any:
    return (images * np.float32(PIXEL_SCALE))[..., None]


def _vectors(begin: Begin, windows: Iterable[NDArray[Any]], batch: int) -> NDArray[np.float32]:
    return joined((unit_rows(NAME, made) for made in in_batches(begin, windows, batch)), DIMENSION)


def _lightly(network: LightNetwork, prepare: Callable[[NDArray[Any]], NDArray[np.float32]]) -> Begin:
    """Compute when the vectors are asked for: a processor has nothing to do meanwhile."""
    return lambda windows: lambda: network.predict_on_batch(prepare(windows))


def _light(path: Path, precision: str) -> LightNetwork:
    """Load the network without Keras, and see that it works."""
    arrays = load_network(path, NAME)
    try:
        network = LightNetwork(arrays, (INTEGRATIONS, CHANNELS), PIXEL_SCALE, precision)
        made = network.predict_on_batch(np.zeros((LIGHT_BATCH, INTEGRATIONS, CHANNELS, 1), np.float32))
        fits = made.shape == (LIGHT_BATCH, DIMENSION)
    except PrecisionError:
        raise
    except (KeyError, ValueError, IndexError, RuntimeError):
        fits = False
    if not fits:
        raise misfit(path, NAME)
    return network


def build() -> Any:
    """Build the network: (n, 16, 256, 1) scaled asinh image → (n, 128), not yet of unit length.

    A stem that sees 3 spectra × 7 channels at every fourth channel, three residual blocks that halve both axes, and
    each feature's mean and maximum over what is left of the window; beside them, units that see the whole window's
    power spectrum. Where a signal lies does not matter.
    """
    layers = keras().layers
    pixels = keras().Input((INTEGRATIONS, CHANNELS, 1), name="image")
    x = layers.ReLU()(_convolved(pixels, "stem", 32, (3, 7), strides=(1, 4)))
    for width in _WIDTHS:
        y = layers.ReLU()(_convolved(x, f"down{width}", width, 3, strides=2))
        y = _convolved(y, f"same{width}", width, 3)
        x = layers.ReLU()(layers.Add()([y, _convolved(x, f"skip{width}", width, 1, strides=2)]))
    pooled = [layers.GlobalAveragePooling2D(dtype="float32")(x), layers.GlobalMaxPooling2D(dtype="float32")(x)]
    scales = layers.Dense(SPECTRUM_UNITS, activation="relu", dtype="float32", name="scales")(_spectrum_layer()(pixels))
    x = layers.Concatenate(dtype="float32")([*pooled, scales])
    vector = layers.Dense(DIMENSION, dtype="float32", name="vector")(x)
    return keras().Model(pixels, vector, name=NAME)


def _spectrum_layer() -> Any:

    class Spectrum(keras().layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, images: Any) -> Any:
            return spectrum_features(images[..., 0] * (1 / PIXEL_SCALE), keras().ops)

    return Spectrum(dtype="float32", name="spectrum")


def _convolved(x: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    layers = keras().layers
    x = layers.Conv2D(*args, padding="same", use_bias=False, name=name, **kwargs)(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)
