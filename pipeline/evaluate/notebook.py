"""The notebook this project began as, to the letter, as a baseline: never an encoder for a corpus.

It grabs windows by blimpy from ``round(f, 3)`` MHz to the unrounded end, so that they overlap and vary in width;
resizes each array to (1, 224, 224, 3), which shrinks its time axis to one pixel; takes logarithms and divides by their
largest; flattens what ResNet50 (ImageNet, without its top) makes of that, 100,352 numbers a window; and compares these
by scikit-learn's brute force. Only the calls of the network are gathered into batches here, which changes nothing.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.backend import keras
from pipeline.errors import EncoderError
from pipeline.evaluate.metrics import Scores, rank_order, scores
from pipeline.evaluate.sets import HELD_OUT, SetSpec, draw_signals
from pipeline.filterbank import read_waterfall, write_filterbank
from pipeline.grid.cutouts import quantise
from pipeline.simulate import add_signal, fine_header, noise, place_in_window
from pipeline.simulate.signals import FINE
from pipeline.simulate.windows import FINE_GRID

INTERVAL_MHZ = 256 * 2.79e-6
"""Width of a window, and the step from one to the next."""
START_MHZ = 1530.0
BATCH = 16
QUICK, FULL = SetSpec("notebook", signals=128, noise=384, kinds=10), SetSpec("notebook")
METRICS = ("cosine", "euclidean")


@dataclass(frozen=True, slots=True)
class NotebookSet:
    """A band with known signals, one in each of the windows that the notebook's author had in mind."""

    path: Path
    """A filterbank file of it."""
    labels: NDArray[np.str_]
    """Family in each window."""
    cutouts: NDArray[np.uint8]
    """The same windows cut in channels, as this program cuts them."""


def notebook_set(folder: Path, spec: SetSpec = QUICK, *, seed: int = 0) -> NotebookSet:
    """Simulate the band and write its file into ``folder``."""
    rng = np.random.default_rng([HELD_OUT, seed, 6])
    signals, labels = draw_signals(spec, seed, rng)
    order = rng.permutation(len(labels))
    channels = -(-len(labels) * FINE_GRID.channels // 1024) * 1024 + 1024
    header = fine_header(coarse_width=channels, source_name="NOTEBOOK", f_min_mhz=START_MHZ)
    starts = [header.channel_at(f_mhz) for f_mhz in _starts_mhz(len(labels))]
    power = noise(rng, (FINE_GRID.integrations, channels), FINE)
    for start, k in zip(starts, order, strict=True):
        signal = signals[k]
        if signal is not None:
            channel, t_s = place_in_window(rng, signal, FINE, FINE_GRID)
            add_signal(power, signal, axes=FINE, channel=start + channel, t_s=t_s, rng=rng)
    path = write_filterbank(folder / "notebook.h5", power * np.float32(1e9), header)
    first = np.rint(starts).astype(np.int64)
    windows = np.moveaxis(power[:, first[:, None] + np.arange(FINE_GRID.channels)], 1, 0)
    return NotebookSet(path, labels[order], quantise(windows, FINE.sigma))


def evaluate_notebook(one: NotebookSet, weights: str = "") -> dict[str, Scores]:
    """Do as the notebook does, by both of its metrics.

    Parameters
    ----------
    weights : str
        ResNet50's ImageNet weights without the top; empty for Keras' own download.

    Raises
    ------
    EncoderError
        Where the weights cannot be had, or do not fit.
    """
    features = notebook_features(one.path, len(one.labels), _network(weights).predict_on_batch)
    return {metric: scores(rank_order(neighbours(features, metric), one.labels)) for metric in METRICS}


def notebook_features(path: Path, count: int, predict: Any) -> NDArray[np.float32]:
    """Return the notebook's features of its first ``count`` windows, (count, 100,352) for ResNet50, unit length.

    Parameters
    ----------
    predict : callable
        (n, 224, 224, 3) float32 to features of any shape.
    """
    waterfall = read_waterfall(path)
    features = []
    for first in range(0, count, BATCH):
        pictures = [picture(grab(waterfall, f_mhz)) for f_mhz in _starts_mhz(count)[first : first + BATCH]]
        made = np.asarray(predict(np.concatenate(pictures).astype(np.float32)))
        flat = made.reshape(len(pictures), -1)
        features.append(flat / np.linalg.norm(flat, axis=1, keepdims=True))
    return np.concatenate(features)


def grab(waterfall: Any, f_mhz: float) -> NDArray[np.float32]:
    """Grab the window that begins at ``f_mhz`` from a ``blimpy.Waterfall``: (spectra, channels)."""
    _, data = waterfall.grab_data(f_start=round(f_mhz, 3), f_stop=f_mhz + INTERVAL_MHZ)
    return np.asarray(data)


def picture(data: NDArray[np.float32]) -> NDArray[np.float64]:
    """Make the notebook's picture, (1, 224, 224, 3), of a window's linear power."""
    from skimage.transform import resize

    log = np.log(resize(data, (1, 224, 224, 3)))
    return np.asarray((log - log.min()) / log.max())


def neighbours(features: NDArray[np.float32], metric: str) -> NDArray[np.int64]:
    """Return all windows in order of distance from each, (n, n)."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=len(features), algorithm="brute", metric=metric).fit(features)
    return np.asarray(found.kneighbors(features, return_distance=False))


def _network(weights: str) -> Any:
    """Make the notebook's ResNet50; :class:`EncoderError` where its weights cannot be had."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras reports a download where results go
            return keras().applications.ResNet50(weights=weights or "imagenet", include_top=False,
                                                 input_shape=(224, 224, 3))
    except Exception as error:  # Keras and h5py raise whatever comes
        raise EncoderError(f"{weights or 'ImageNet'}: no weights of Keras' ResNet50 without its classifier "
                           f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); name a file "
                           "with --resnet50-weights FILE") from error


def _starts_mhz(count: int) -> NDArray[np.float64]:
    """Return where the notebook's windows begin, a hair above the band's first channel."""
    return np.asarray(START_MHZ + 1e-3 + np.arange(count) * INTERVAL_MHZ, np.float64)
