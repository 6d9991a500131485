"""ResNet50 as trained on ImageNet: the window as a picture, its pooled features as the vector.

The features of spectrograms have most of their length in common, whatever the window holds. So they are projected: the
mean of a sample of the corpus is subtracted and the 256 axes of largest variance are kept. That subtraction raised mean
average precision from .610 to .653 for another ImageNet network (EfficientNet-Lite0) on simulated signals. ResNet50's
own figure was not measured: its weights are not to be had from any package registry.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CUTOUT_VERSION
from pipeline.encoders.backend import batch_of_device, computing_in, digest_of, keras, of_cutouts
from pipeline.encoders.base import checked, joined, unit_rows
from pipeline.encoders.device import in_batches
from pipeline.encoders.projection import Projection
from pipeline.errors import EncoderError
from pipeline.model import EncoderSpec, WindowGrid
from pipeline.support.text import shown

NAME = "resnet50"
VERSION = 2
SIDE = 224
"""Pixels of the square picture that the network was trained on."""
FEATURES = 2048
RANGE_PERCENTILES = (1.0, 99.9)
"""Of a window's pixels: what becomes black and white."""
BATCH, GPU_BATCH = 16, 256
"""Windows at once on processors, and on a GPU: the last batch is filled up, so that a network is compiled once."""
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.02, "float16": 0.005}
"""By precision: components of one window's vector differ by less, whatever the batch and the hardware."""

_WEIGHTS_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
_WEIGHTS_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{_WEIGHTS_FILE}"
_WEIGHTS_MD5 = "4d473c1dd8becc155b73f8504c6f6626"


class ResNet50:
    """Encoder by Keras' ``ResNet50(include_top=False)``, averaged over the picture and projected.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows.
    weights : str
        A weights file without the classifier, ``.h5`` or ``.weights.h5``; empty for Keras' own download.
    projection : Path, optional
        The corpus' own, fitted to vectors that this class makes without one: those are the plain features.
    precision : str
        ``float32``, ``bfloat16`` or ``float16``: other vectors each, so it is part of the spec.
    batch : int
        Windows at once; 0 for what suits the device.

    Raises
    ------
    ConfigError
        For another precision.
    EncoderError
        Where the weights or the projection cannot be had, or do not fit.
    """

    def __init__(
        self,
        grid: WindowGrid,
        weights: str = "",
        projection: Path | None = None,
        precision: str = "float32",
        batch: int = 0,
    ) -> None:
        self._grid = grid
        self._projection = None if projection is None else _projection(projection)
        path = Path(weights).expanduser() if weights else _imagenet_weights()
        digest = digest_of(path, NAME)
        if projection is not None:
            digest = hashlib.sha256(f"{digest} {digest_of(projection, NAME)}".encode()).hexdigest()
        with computing_in(precision):
            self._model = _model(path)
        self._begin = of_cutouts(self._model, (grid.integrations, grid.channels), _input)
        self._batch = batch or batch_of_device(GPU_BATCH, BATCH)
        self.spec = EncoderSpec(
            name=NAME,
            version=VERSION,
            dimension=FEATURES if self._projection is None else len(self._projection.axes),
            input=f"cutout-v{CUTOUT_VERSION} {grid.integrations}x{grid.channels}",
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
        made = in_batches(self._begin, windows, self._batch)
        return joined(map(self._vectors, made), self.spec.dimension)

    def _vectors(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        unit = unit_rows(NAME, features)
        return unit if self._projection is None else unit_rows(NAME, self._projection.apply(unit))


def pictures(image: Any, xp: Any) -> Any:
    """Draw windows as the pictures the network sees.

    A window's asinh image is scaled by its own range (:data:`RANGE_PERCENTILES` of its pixels become 0 and
    255, what lies beyond is clipped; a constant window is black), then stretched along *both* axes by
    bilinear interpolation: scikit-image's ``resize(order=1, mode="edge", anti_aliasing=False)``.

    Parameters
    ----------
    image : (n, T, F) float32
        asinh images.
    xp : module
        ``numpy`` or ``keras.ops``, whichever the array is of.

    Returns
    -------
    (n, 224, 224, 3) float32
        Between 0 and 255, three equal colours.
    """
    _, times, channels = image.shape
    ordered = xp.sort(xp.reshape(image, (-1, 1, times * channels)), axis=2)
    low, high = (_percentile(ordered, percent) for percent in RANGE_PERCENTILES)
    scale = xp.where(high > low, 255 / xp.where(high > low, high - low, 1), 0)
    grey = xp.clip((image - low) * scale, 0, 255)
    resized = xp.matmul(_stretching(times), xp.matmul(grey, _stretching(channels).T))
    return xp.repeat(resized[..., None], 3, axis=-1)


def _percentile(ordered: Any, percent: float) -> Any:
    """Interpolate a percentile (n, 1, 1) of numbers (n, 1, m) in rising order, as numpy does."""
    place = percent / 100 * (ordered.shape[2] - 1)
    below, beyond = int(place), np.float32(place % 1)
    above = min(below + 1, ordered.shape[2] - 1)
    return ordered[:, :, below : below + 1] * (1 - beyond) + ordered[:, :, above : above + 1] * beyond


def _input(image: Any, xp: Any) -> Any:
    return keras().applications.resnet50.preprocess_input(pictures(image, xp))


@lru_cache(maxsize=4)
def _stretching(pixels: int) -> NDArray[np.float32]:
    """Weights (224, pixels) of linear interpolation between pixel centres; beyond the outermost, these are repeated."""
    places = np.clip((np.arange(SIDE) + 0.5) * pixels / SIDE - 0.5, 0, pixels - 1)
    weights = np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(pixels)), 0), np.float32)
    weights.flags.writeable = False  # it is kept
    return weights


def _projection(path: Path) -> Projection:
    projection = Projection.load(path, NAME)
    if len(projection.mean) != FEATURES:
        raise EncoderError(f"{shown(path)}: is no projection for {NAME}: made for {len(projection.mean)} features, not "
                           f"{FEATURES}")
    return projection


def _imagenet_weights() -> Path:
    """Return Keras' file of ImageNet weights, from its cache or from the network."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras reports a download where results go
            path = keras().utils.get_file(
                _WEIGHTS_FILE, _WEIGHTS_URL, cache_subdir="models", file_hash=_WEIGHTS_MD5
            )
    except Exception as error:  # Keras raises a bare Exception
        raise EncoderError(
            f"the ImageNet weights of {NAME} could not be downloaded ({error}); let this machine reach "
            f"{_WEIGHTS_URL}, or fetch that file elsewhere and name it with --weights FILE"
        ) from error
    return Path(path)


def _model(path: Path) -> Any:
    """Load the network; it averages in float32, whatever it computes in."""
    try:
        network = keras().applications.ResNet50(weights=str(path), include_top=False, input_shape=(SIDE, SIDE, 3))
    except Exception as error:  # h5py and Keras raise whatever comes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"{shown(path)}: no weights of Keras' ResNet50 without its classifier (.h5 or .weights.h5): {reason}"
        ) from error
    return keras().Model(network.input, keras().layers.GlobalAveragePooling2D(dtype="float32")(network.output))
