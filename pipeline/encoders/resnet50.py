"""ResNet50, trained on ImageNet, as an encoder: it sees a window as a picture, and its pooled features are the vector.

All spectrograms share a large part of these features, whatever the window holds. The features are therefore projected:
the mean of a sample of the corpus is subtracted, and the 256 axes of largest variance are kept. On simulated signals,
subtracting the mean raised mean average precision from .610 to .653 for another ImageNet network (EfficientNet-Lite0).
The effect on ResNet50 itself was not measured, because no package registry holds its weights.
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
from pipeline.encoders.backend import choose_batch_size, hash_weights, keras, place_on_cutouts, use_precision
from pipeline.encoders.base import check_cutouts, join_vectors, normalise_rows
from pipeline.encoders.device import compute_in_batches
from pipeline.encoders.projection import Projection
from pipeline.errors import EncoderError
from pipeline.model import EncoderSpec, WindowGrid
from pipeline.support.text import shown

NAME = "resnet50"
VERSION = 2
SIDE = 224
"""Side in pixels of the square pictures that the network was trained on."""
FEATURES = 2048
"""Features of a picture, after averaging over positions."""
RANGE_PERCENTILES = (1.0, 99.9)
"""Percentiles of a window's pixels that become black and white."""
BATCH, GPU_BATCH = 16, 256
"""Windows per batch on processors and on a GPU. The last batch is padded, so that the network is compiled once."""
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.02, "float16": 0.005}
"""Precision → tolerance. No component of a window's vector differs by more than this between batches or machines."""

_WEIGHTS_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
_WEIGHTS_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{_WEIGHTS_FILE}"
_WEIGHTS_MD5 = "4d473c1dd8becc155b73f8504c6f6626"


class ResNet50:
    """Encoder with Keras' ``ResNet50(include_top=False)``; features are averaged over the picture and projected.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows. Any shape is allowed.
    weights : str
        Path of a weights file without the classifier, ``.h5`` or ``.weights.h5``. Empty: the file that Keras downloads.
    projection : Path, optional
        Path of the corpus' projection. Without it, vectors are the 2048 features at unit length; the projection is
        fitted to such vectors.
    precision : str
        ``float32``, ``bfloat16`` or ``float16``. Precisions give different vectors, so the precision is part of the
        spec.
    batch : int
        Windows per batch; 0 selects a size that suits the device.

    Raises
    ------
    ConfigError
        The precision does not exist.
    EncoderError
        The weights or the projection are missing or do not fit.
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
        digest = hash_weights(path, NAME)
        if projection is not None:
            digest = hashlib.sha256(f"{digest} {hash_weights(projection, NAME)}".encode()).hexdigest()
        with use_precision(precision):
            self._model = _model(path)
        self._start_batch = place_on_cutouts(self._model, (grid.integrations, grid.channels), _input)
        self._batch = batch or choose_batch_size(GPU_BATCH, BATCH)
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
        """Encode an iterable of blocks of cutouts; see :meth:`pipeline.encoders.Encoder.encode_all`."""
        windows = (check_cutouts(NAME, block, self._grid) for block in blocks)
        made = compute_in_batches(self._start_batch, windows, self._batch)
        return join_vectors(map(self._vectors, made), self.spec.dimension)

    def _vectors(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        unit = normalise_rows(NAME, features)
        return unit if self._projection is None else normalise_rows(NAME, self._projection.apply(unit))


def draw_pictures(image: Any, xp: Any) -> Any:
    """Convert windows to the pictures that the network takes.

    The two :data:`RANGE_PERCENTILES` of a window's pixels become 0 and 255. Pixels beyond them are clipped, and a
    constant window becomes black. The picture is then stretched along both axes by bilinear interpolation, like
    scikit-image's ``resize(order=1, mode="edge", anti_aliasing=False)``.

    Parameters
    ----------
    image : (n, T, F) float32
        asinh images.
    xp : module
        ``numpy`` or ``keras.ops``: the module whose functions work on the array.

    Returns
    -------
    (n, 224, 224, 3) float32
        Values from 0 to 255; the three colours are equal.
    """
    _, times, channels = image.shape
    ordered = xp.sort(xp.reshape(image, (-1, 1, times * channels)), axis=2)
    low, high = (_percentile(ordered, percent) for percent in RANGE_PERCENTILES)
    scale = xp.where(high > low, 255 / xp.where(high > low, high - low, 1), 0)
    grey = xp.clip((image - low) * scale, 0, 255)
    resized = xp.matmul(_interpolation_weights(times), xp.matmul(grey, _interpolation_weights(channels).T))
    return xp.repeat(resized[..., None], 3, axis=-1)


def _percentile(ordered: Any, percent: float) -> Any:
    """Return a percentile (n, 1, 1) of ascending numbers (n, 1, m), interpolated as by ``numpy.percentile``."""
    place = percent / 100 * (ordered.shape[2] - 1)
    below, beyond = int(place), np.float32(place % 1)
    above = min(below + 1, ordered.shape[2] - 1)
    return ordered[:, :, below : below + 1] * (1 - beyond) + ordered[:, :, above : above + 1] * beyond


def _input(image: Any, xp: Any) -> Any:
    return keras().applications.resnet50.preprocess_input(draw_pictures(image, xp))


@lru_cache(maxsize=4)
def _interpolation_weights(pixels: int) -> NDArray[np.float32]:
    """Return the matrix (224, pixels) that interpolates linearly between pixel centres and repeats the edge pixels."""
    places = np.clip((np.arange(SIDE) + 0.5) * pixels / SIDE - 0.5, 0, pixels - 1)
    weights = np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(pixels)), 0), np.float32)
    weights.flags.writeable = False  # the cache hands the same array to all callers
    return weights


def _projection(path: Path) -> Projection:
    projection = Projection.load(path, NAME)
    if len(projection.mean) != FEATURES:
        raise EncoderError(f"{shown(path)}: is not a projection for {NAME}: it was made for {len(projection.mean)} "
                           f"features, not {FEATURES}")
    return projection


def _imagenet_weights() -> Path:
    """Return the path of Keras' ImageNet weights; downloads them if they are not in its cache."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras reports downloads on standard output
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
    """Load the network with the current precision; the average over the picture is computed in float32."""
    try:
        network = keras().applications.ResNet50(weights=str(path), include_top=False, input_shape=(SIDE, SIDE, 3))
    except Exception as error:  # h5py and Keras raise many types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"{shown(path)}: is not a weights file of Keras' ResNet50 without its classifier (.h5 or .weights.h5): "
            f"{reason}"
        ) from error
    return keras().Model(network.input, keras().layers.GlobalAveragePooling2D(dtype="float32")(network.output))
