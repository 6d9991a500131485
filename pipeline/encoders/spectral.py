"""The default encoder: a small residual network, trained on simulated signals by contrastive learning.

Training pulls together the vectors of two windows that hold the same signal at different places, strengths, phases and
gains. It pushes apart the vectors of all other pairs (SimCLR, arXiv 2002.05709). In version 2, a linear discriminant of
simulated kinds of interference makes a second part of the vectors. :mod:`pipeline.train.spectral` holds the training.
Version 3 is a smaller network, which has learned the vectors of version 2 (:mod:`pipeline.train.distil`). Version 4 has
learned to tell from a weak view what version 2 tells from a clear one (:mod:`pipeline.train.denoise`).
The model card, ``pipeline/encoders/weights/spectral.md``, describes the training data and the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CUTOUT_VERSION
from pipeline.encoders.backend import (
    check_precision,
    choose_batch_size,
    has_gpu_device,
    hash_weights,
    keras,
    list_arrays,
    load_network_arrays,
    load_weights,
    place_model,
    place_on_cutouts,
    use_precision,
    weights_mismatch,
)
from pipeline.encoders.base import check_cutouts, join_vectors, normalise_rows
from pipeline.encoders.device import StartBatch, compute_in_batches
from pipeline.encoders.openvino_network import BATCH as OPENVINO_BATCH
from pipeline.encoders.openvino_network import PRECISIONS as OPENVINO_PRECISIONS
from pipeline.encoders.openvino_network import OpenVinoNetwork, precision_error, supports_precision
from pipeline.encoders.parts import EMITTER_DIMENSION, KIND_DIMENSION, join_parts
from pipeline.encoders.spectrum import spectrum_features
from pipeline.errors import EncoderError, PrecisionError
from pipeline.grid.cutouts import image_of_cutouts
from pipeline.model import EncoderSpec, WindowGrid
from pipeline.support.text import shown

NAME = "spectral"
DIMENSIONS = MappingProxyType(
    {1: EMITTER_DIMENSION, **dict.fromkeys((2, 3, 4), EMITTER_DIMENSION + KIND_DIMENSION)})
"""Version → number of components of a vector."""
INTEGRATIONS, CHANNELS = 16, 256
"""Spectra and channels of a window. The network was trained on this shape and takes no other."""
_WEIGHTS = Path(__file__).with_name("weights")
SHIPPED = MappingProxyType(
    {1: _WEIGHTS / "spectral.npz", **{version: _WEIGHTS / f"spectral-{version}.npz" for version in (2, 3, 4)}})
"""Version → weights that come with the package."""
DEFAULT = 4
"""Version of the shipped weights that are used by default."""
TRAINED = 2
"""Version of the network that the contrastive training makes weights for."""
TOLERANCE = {"float32": 2e-3, "bfloat16": 0.02, "float16": 0.005}
"""Precision → tolerance. No component of a window's vector differs by more than this between batches or machines."""
BATCH, GPU_BATCH = 128, 4096
"""Windows per batch of Keras, on processors and on a GPU. The last batch is padded to this size, so that the network is
compiled for one shape only."""

_LARGE = (32, ((48, 48), (96, 96), (128, 128)))
_SMALL = (24, ((24, 32), (32, 64), (48, 128)))
_SHAPES = MappingProxyType({1: _LARGE, 2: _LARGE, 3: _SMALL, 4: _SMALL})
"""Version → filters of the stem, and filters inside and at the end of each residual block."""
SPECTRUM_UNITS = 192
"""Units that see the power spectrum; another 256 units see the picture."""
PIXEL_SCALE = 0.5
"""Factor by which asinh images are scaled before the network; they span -3 to 7."""


class Spectral:
    """Encoder whose vectors are the output of the network of :func:`build`.

    Keras runs the network on a GPU and in float16; OpenVINO runs it on processors.

    If this machine cannot compute in the requested precision, the encoder still loads and has a spec, because a run on
    other machines needs the spec. Each encoding then raises :class:`pipeline.errors.PrecisionError`.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows; must be 16 × 256.
    weights : str
        Path of a file made by ``lookalike train spectral``. Empty: the shipped weights.
    precision : str
        ``float32``, ``bfloat16`` or ``float16``. Precisions give different vectors, so the precision is part of the
        spec.
    batch : int
        Windows per batch when Keras runs the network; 0 selects a size that suits the device.
    version : int, optional
        Version of the encoder. Default: that of the weights file, or :data:`DEFAULT`.

    Raises
    ------
    ConfigError
        The precision does not exist.
    EncoderError
        The grid has another window shape, the weights are missing or do not fit, or they have another version.
    """

    def __init__(
        self, grid: WindowGrid, weights: str = "", precision: str = "float32", batch: int = 0,
        version: int | None = None,
    ) -> None:
        check_precision(precision)
        if (grid.integrations, grid.channels) != (INTEGRATIONS, CHANNELS):
            raise EncoderError(
                f"encoder {NAME} takes windows of {INTEGRATIONS} spectra × {CHANNELS} channels, not "
                f"{grid.integrations} × {grid.channels}; use --encoder power-spectrum"
            )
        self._grid = grid
        self._batch = batch
        self._path = Path(weights).expanduser() if weights else _shipped(version)
        digest = hash_weights(self._path, NAME)
        self._version = _version_of(self._path)
        if version not in (None, self._version):
            raise EncoderError(f"{shown(self._path)}: holds weights of version {self._version} of {NAME}, not "
                               f"{version}; name another file with --weights")
        self._openvino: OpenVinoNetwork | None = None
        self._refusal = ""
        if _runs_on_openvino(precision):
            try:
                self._openvino = _load_openvino(self._path, precision, self._version)
            except PrecisionError as error:
                self._refusal = str(error)
        self.spec = EncoderSpec(
            name=NAME,
            version=self._version,
            dimension=DIMENSIONS[self._version],
            input=f"cutout-v{CUTOUT_VERSION} {INTEGRATIONS}x{CHANNELS}",
            weights_sha256=digest,
            precision=precision,
            tolerance=TOLERANCE[precision],
        )

    def encode(self, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode cutouts; see :meth:`pipeline.encoders.Encoder.encode`."""
        return self.encode_all([cutouts])

    def encode_all(self, blocks: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode an iterable of blocks of cutouts; see :meth:`pipeline.encoders.Encoder.encode_all`."""
        windows = (check_cutouts(NAME, block, self._grid) for block in blocks)
        self._require_precision()
        if self._openvino:
            return self._unit_vectors(_start_on_openvino(self._openvino, inputs), windows, OPENVINO_BATCH, pad=False)
        return self._unit_vectors(self._of_cutouts, windows, self._keras_batch)

    def encode_images(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encode unrounded asinh images (n, 16, 256), to measure what rounding to 8 bits costs."""
        self._require_precision()
        if self._openvino:
            return self._unit_vectors(_start_on_openvino(self._openvino, _scale), [images], OPENVINO_BATCH, pad=False)
        return self._unit_vectors(self._of_images, [_scale(images)], self._keras_batch)

    def _unit_vectors(
        self, start_batch: StartBatch, windows: Iterable[NDArray[Any]], batch: int, *, pad: bool = True
    ) -> NDArray[np.float32]:
        outputs = compute_in_batches(start_batch, windows, batch, pad=pad)
        return join_vectors((normalise_rows(NAME, output) for output in outputs), self.spec.dimension)

    def _require_precision(self) -> None:
        if self._refusal:
            raise PrecisionError(self._refusal)

    @cached_property
    def _of_cutouts(self) -> StartBatch:
        return place_on_cutouts(self._keras, (INTEGRATIONS, CHANNELS), _scale)

    @cached_property
    def _of_images(self) -> StartBatch:
        return place_model(self._keras)

    @cached_property
    def _keras_batch(self) -> int:
        return self._batch or choose_batch_size(GPU_BATCH, BATCH)

    @cached_property
    def _keras(self) -> Any:
        with use_precision(self.spec.precision):
            model = build(self._version)
        load_weights(self._path, model, NAME)
        return model


def _shipped(version: int | None) -> Path:
    """Return the weights of a version that come with the package. Raises :class:`EncoderError` if there are none."""
    if version is None:
        return SHIPPED[DEFAULT]
    if version not in SHIPPED:
        raise EncoderError(f"this program has version {', '.join(map(str, SHIPPED))} of {NAME}, not {version}; use the "
                           "program that made these vectors")
    return SHIPPED[version]


def _version_of(path: Path) -> int:
    """Return the version of a weights file, from the layers that it names."""
    layers = {name.split(" ", 1)[-1] for name in list_arrays(path, NAME)}
    if "kind/kernel" not in layers:
        return 1
    if "join/centre" in layers:
        return 4
    return 3 if f"down{_SMALL[1][0][1]}/kernel" in layers else 2


def require_precision(precision: str) -> None:
    """Raise :class:`PrecisionError` if the libraries report that they cannot compute in a precision on this machine."""
    if _runs_on_openvino(precision) and not supports_precision(precision):
        raise precision_error(precision)


def _runs_on_openvino(precision: str) -> bool:
    """Return whether OpenVINO computes the vectors, rather than Keras."""
    return not has_gpu_device() and precision in OPENVINO_PRECISIONS


def inputs(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert cutouts (n, T, F) to the network's input: scaled asinh images (n, T, F, 1)."""
    scaled: NDArray[np.float32] = _scale(image_of_cutouts(cutouts))
    return scaled


def _scale(images: Any, _: Any = np) -> Any:
    return (images * np.float32(PIXEL_SCALE))[..., None]


def _start_on_openvino(network: OpenVinoNetwork, prepare: Callable[[NDArray[Any]], NDArray[np.float32]]) -> StartBatch:
    """Compute a batch when its vectors are fetched: starting earlier gains nothing on a processor."""
    return lambda windows: lambda: network.predict(prepare(windows))


def _load_openvino(path: Path, precision: str, version: int) -> OpenVinoNetwork:
    """Load the network without Keras, and check that it computes vectors of the right shape."""
    arrays = load_network_arrays(path, NAME)
    try:
        network = OpenVinoNetwork(arrays, (INTEGRATIONS, CHANNELS), PIXEL_SCALE, precision)
        made = network.predict(np.zeros((1, INTEGRATIONS, CHANNELS, 1), np.float32))
        fits = made.shape == (1, DIMENSIONS[version])
    except PrecisionError:
        raise
    except (KeyError, ValueError, IndexError, RuntimeError):
        fits = False
    if not fits:
        raise weights_mismatch(path, NAME)
    return network


def build(version: int = TRAINED) -> Any:
    """Build the network: (n, 16, 256, 1) scaled asinh image → (n, d).

    The first convolution (the stem) sees 3 spectra × 7 channels at every fourth channel. Three residual blocks follow;
    each halves both axes. The mean and the maximum of each feature over the remaining positions follow. Beside these,
    other units see the power spectrum of the whole window. Means, maxima and power spectrum hardly depend on the
    position of a signal in the window, so neither does the vector.

    A linear layer makes the vector of version 1, of 128 components and any length. Version 2 has a second linear layer
    of 24 components, which also sees the power spectrum itself. :func:`~pipeline.encoders.parts.join_parts` joins the
    two. Versions 3 and 4 have fewer filters. From the vectors of version 4, the mean vector of noise is subtracted.
    """
    layers = keras().layers
    pixels = keras().Input((INTEGRATIONS, CHANNELS, 1), name="image")
    stem, blocks = _SHAPES[version]
    x = layers.ReLU()(_convolve(pixels, "stem", stem, (3, 7), strides=(1, 4)))
    for inner, width in blocks:
        y = layers.ReLU()(_convolve(x, f"down{width}", inner, 3, strides=2))
        y = _convolve(y, f"same{width}", width, 3)
        x = layers.ReLU()(layers.Add()([y, _convolve(x, f"skip{width}", width, 1, strides=2)]))
    pooled = [layers.GlobalAveragePooling2D(dtype="float32")(x), layers.GlobalMaxPooling2D(dtype="float32")(x)]
    spectrum = _spectrum_layer()(pixels)
    scales = layers.Dense(SPECTRUM_UNITS, activation="relu", dtype="float32", name="scales")(spectrum)
    x = layers.Concatenate(dtype="float32")([*pooled, scales])
    vector = layers.Dense(EMITTER_DIMENSION, dtype="float32", name="vector")(x)
    if version > 1:
        seen = layers.Concatenate(dtype="float32")([x, spectrum])
        kind = layers.Dense(KIND_DIMENSION, dtype="float32", name="kind")(seen)
        vector = _joining_layer(version > 3)([vector, kind])
    return keras().Model(pixels, vector, name=NAME)


def _joining_layer(is_centred: bool) -> Any:

    class Join(keras().layers.Layer):  # type: ignore[misc]  # Keras has no types
        centre = None

        def build(self, _: Any) -> None:
            if is_centred:
                self.centre = self.add_weight(shape=(EMITTER_DIMENSION + KIND_DIMENSION,), name="centre",
                                              initializer="zeros", trainable=False)

        def call(self, parts: Any) -> Any:
            return join_parts(parts[0], parts[1], keras().ops, self.centre)

    return Join(dtype="float32", name="join")


def _spectrum_layer() -> Any:

    class Spectrum(keras().layers.Layer):  # type: ignore[misc]  # Keras has no types
        def call(self, images: Any) -> Any:
            return spectrum_features(images[..., 0] * (1 / PIXEL_SCALE), keras().ops)

    return Spectrum(dtype="float32", name="spectrum")


def _convolve(x: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    layers = keras().layers
    x = layers.Conv2D(*args, padding="same", use_bias=False, name=name, **kwargs)(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)
