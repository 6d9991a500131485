"""ResNet50 as trained on ImageNet: the window as a picture, its pooled features as the vector."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import CUTOUT_VERSION
from pipeline.cutouts import image_of_cutouts
from pipeline.encoders.base import check_cutouts, unit_rows
from pipeline.errors import EncoderError
from pipeline.model import EncoderSpec, WindowGrid

NAME = "resnet50"
VERSION = 1
SIDE = 224
"""Pixels of the square picture that the network was trained on."""
DIMENSION = 2048
RANGE_PERCENTILES = (1.0, 99.9)
"""Of a window's pixels: what becomes black and white."""
BATCH = 16
"""Windows at once: the last batch is filled up, so that the network is compiled for one shape."""

_WEIGHTS_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
_WEIGHTS_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{_WEIGHTS_FILE}"
_WEIGHTS_MD5 = "4d473c1dd8becc155b73f8504c6f6626"


class ResNet50:
    """Encoder by Keras' ``ResNet50(include_top=False, pooling="avg")``.

    Parameters
    ----------
    grid : WindowGrid
        Shape of the windows.
    weights : str
        A weights file without the classifier, ``.h5`` or ``.weights.h5``; empty for Keras' own download.
    batch : int
        Windows at once.

    Raises
    ------
    EncoderError
        Where the weights cannot be had, or do not fit.
    """

    def __init__(self, grid: WindowGrid, weights: str = "", batch: int = BATCH) -> None:
        self._grid = grid
        self._batch = batch
        path = Path(weights).expanduser() if weights else _imagenet_weights()
        digest = _digest(path)
        self._model = _model(path)
        self.spec = EncoderSpec(
            name=NAME,
            version=VERSION,
            dimension=DIMENSION,
            input=f"cutout-v{CUTOUT_VERSION} {grid.integrations}x{grid.channels}",
            weights_sha256=digest,
        )

    def encode(self, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode cutouts; see :meth:`pipeline.encoders.Encoder.encode`."""
        check_cutouts(NAME, cutouts, self._grid)
        preprocess = _keras().applications.resnet50.preprocess_input
        vectors = np.empty((len(cutouts), DIMENSION), np.float32)
        for start in range(0, len(cutouts), self._batch):
            part = cutouts[start : start + self._batch]
            filled = np.zeros((self._batch, *part.shape[1:]), np.uint8)
            filled[: len(part)] = part
            features = self._model.predict_on_batch(preprocess(pictures(filled)))
            vectors[start : start + len(part)] = features[: len(part)]
        return unit_rows(NAME, vectors)


def pictures(cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Draw cutouts as the pictures the network sees.

    A window's asinh image is scaled by its own range (:data:`RANGE_PERCENTILES` of its pixels become 0 and
    255, what lies beyond is clipped; a constant window is black), then stretched along *both* axes by
    bilinear interpolation.

    Parameters
    ----------
    cutouts : (n, T, F) uint8

    Returns
    -------
    (n, 224, 224, 3) float32
        Between 0 and 255, three equal colours.
    """
    ops = _keras().ops
    image = image_of_cutouts(cutouts)
    low, high = np.percentile(image, RANGE_PERCENTILES, axis=(1, 2))[:, :, None, None].astype(np.float32)
    scale = np.divide(255, high - low, out=np.zeros_like(low), where=high > low)
    grey = np.clip((image - low) * scale, 0, 255)
    resized = ops.image.resize(
        grey[..., None], (SIDE, SIDE), interpolation="bilinear", antialias=False, data_format="channels_last"
    )
    return np.repeat(ops.convert_to_numpy(resized), 3, axis=-1)


def _keras() -> Any:
    """Import Keras at first use: it takes seconds, and most commands do without."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what Keras itself imports
        import keras

    return keras


def _imagenet_weights() -> Path:
    """Return Keras' file of ImageNet weights, from its cache or from the network."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras reports a download where results go
            path = _keras().utils.get_file(
                _WEIGHTS_FILE, _WEIGHTS_URL, cache_subdir="models", file_hash=_WEIGHTS_MD5
            )
    except Exception as error:  # Keras raises a bare Exception
        raise EncoderError(
            f"the ImageNet weights of {NAME} could not be downloaded ({error}); let this machine reach "
            f"{_WEIGHTS_URL}, or fetch that file elsewhere and name it with --weights FILE"
        ) from error
    return Path(path)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{path}: cannot read the weights of {NAME}: {error.strerror}") from error


def _model(path: Path) -> Any:
    try:
        return _keras().applications.ResNet50(
            weights=str(path), include_top=False, pooling="avg", input_shape=(SIDE, SIDE, 3)
        )
    except Exception as error:  # h5py and Keras raise whatever comes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"{path}: no weights of Keras' ResNet50 without its classifier (.h5 or .weights.h5): {reason}"
        ) from error
