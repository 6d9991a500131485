"""The notebook from which this project started, reproduced exactly as a baseline. It is not an encoder for a corpus.

The notebook does the following:

1. It grabs each window with blimpy, from ``round(f, 3)`` MHz to an end that is not rounded. The windows therefore
   overlap and vary in width.
2. It resizes each array to (1, 224, 224, 3), which reduces the time axis to one pixel.
3. It takes logarithms, subtracts the smallest one and divides by the largest one.
4. It computes ResNet50 (ImageNet, without its classifier) and flattens the output to 100,352 numbers per window.
5. It compares these numbers with scikit-learn's brute force search.

The only difference here is that the network takes several windows per call, which does not change the result.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import keras
from pipeline.errors import EncoderError
from pipeline.evaluate.metrics import Scores, rank_order, scores
from pipeline.evaluate.sets import HELD_OUT, SetSpec, draw_signals
from pipeline.filterbank import read_waterfall, write_filterbank
from pipeline.grid.cutouts import quantise
from pipeline.simulate import FINE, FINE_GRID, add_signal, fine_header, noise, place_in_window

INTERVAL_MHZ = 256 * 2.79e-6
"""Width of a window, and the step from one window to the next."""
START_MHZ = 1530.0
"""Lower edge of the simulated band."""
BATCH = 16
"""Windows per call of the network."""
QUICK, FULL = SetSpec("notebook", signals=128, noise=384, kinds=10), SetSpec("notebook")
METRICS = ("cosine", "euclidean")


@dataclass(frozen=True, slots=True)
class NotebookSet:
    """A band with known signals. Each window of the notebook's nominal grid holds one signal, or noise only."""

    path: Path
    """Filterbank file of the band."""
    labels: NDArray[np.str_]
    """(n,) Family of each window."""
    cutouts: NDArray[np.uint8]
    """(n, 16, 256) Cutouts of the same windows, cut at whole channels as in a scan."""


def notebook_set(folder: Path, spec: SetSpec = QUICK, *, seed: int = 0) -> NotebookSet:
    """Simulate the band and write its file into ``folder``.

    Parameters
    ----------
    folder : Path
        Folder for the file ``notebook.h5``.
    spec : SetSpec
        Numbers of signals and of windows of noise.
    seed : int
        Seed of signals and noise.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 6])
    signals, labels = draw_signals(spec, seed, rng)
    order = rng.permutation(len(labels))
    channels = -(-len(labels) * FINE_GRID.channels // 1024) * 1024 + 1024
    header = fine_header(coarse_width=channels, source_name="NOTEBOOK", f_min_mhz=START_MHZ)
    starts = [header.channel_at(f_mhz) for f_mhz in _window_starts_mhz(len(labels))]
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
    """Measure retrieval by the notebook's method, with both of its metrics.

    Parameters
    ----------
    one : NotebookSet
        The simulated band.
    weights : str
        Path of ResNet50's ImageNet weights without the classifier. Empty: the file that Keras downloads.

    Returns
    -------
    dict
        Metric, one of :data:`METRICS` → scores.

    Raises
    ------
    EncoderError
        The weights are missing or do not fit.
    """
    features = notebook_features(one.path, len(one.labels), _load_network(weights).predict_on_batch)
    return {metric: scores(rank_order(order_by_distance(features, metric), one.labels)) for metric in METRICS}


def notebook_features(path: Path, count: int, predict: Any) -> NDArray[np.float32]:
    """Compute the notebook's features of the first ``count`` windows of a file.

    Parameters
    ----------
    path : Path
        Filterbank file of the band.
    count : int
        Number of windows.
    predict : callable
        Network: (n, 224, 224, 3) float32 → features (n, ...).

    Returns
    -------
    (count, d) float32
        Flattened features at unit length; d is 100,352 for ResNet50.
    """
    waterfall = read_waterfall(path)
    features = []
    for first in range(0, count, BATCH):
        pictures = [picture(grab(waterfall, f_mhz)) for f_mhz in _window_starts_mhz(count)[first : first + BATCH]]
        made = np.asarray(predict(np.concatenate(pictures).astype(np.float32)))
        flat = made.reshape(len(pictures), -1)
        features.append(flat / np.linalg.norm(flat, axis=1, keepdims=True))
    return np.concatenate(features)


def grab(waterfall: Any, f_mhz: float) -> NDArray[np.float32]:
    """Read the window (spectra, channels) at ``f_mhz`` from a ``blimpy.Waterfall``, as the notebook does."""
    _, data = waterfall.grab_data(f_start=round(f_mhz, 3), f_stop=f_mhz + INTERVAL_MHZ)
    return np.asarray(data)


def picture(data: NDArray[np.float32]) -> NDArray[np.float64]:
    """Convert a window's linear power to the notebook's picture (1, 224, 224, 3)."""
    from skimage.transform import resize

    log = np.log(resize(data, (1, 224, 224, 3)))
    return np.asarray((log - log.min()) / log.max())


def order_by_distance(features: NDArray[np.float32], metric: str) -> NDArray[np.int64]:
    """Return for each window all windows in order of distance, nearest first, (n, n)."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=len(features), algorithm="brute", metric=metric).fit(features)
    return np.asarray(found.kneighbors(features, return_distance=False))


def _load_network(weights: str) -> Any:
    """Load the notebook's ResNet50; raise :class:`EncoderError` if its weights are missing or do not fit."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras reports downloads on standard output
            return keras().applications.ResNet50(weights=weights or "imagenet", include_top=False,
                                                 input_shape=(224, 224, 3))
    except Exception as error:  # Keras and h5py raise many types
        raise EncoderError(f"{weights or 'ImageNet'}: cannot be loaded as weights of Keras' ResNet50 without its "
                           f"classifier ({str(error).splitlines()[0] if str(error) else type(error).__name__}); name a "
                           "weights file with --resnet50-weights FILE") from error


def _window_starts_mhz(count: int) -> NDArray[np.float64]:
    """Return the frequencies at which the notebook's windows begin; the first is 1 kHz above the band's lower edge."""
    return np.asarray(START_MHZ + 1e-3 + np.arange(count) * INTERVAL_MHZ, np.float64)
