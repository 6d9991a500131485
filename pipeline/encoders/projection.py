"""A projection of an encoder's features onto the axes along which a corpus varies most.

This is a principal component analysis without whitening. The mean of a sample is subtracted, and the axes keep their
variances. The projection is fitted once per corpus, stored with the corpus, and never changed. Its digest is part of
the encoder's identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders.backend import load_arrays, save_arrays
from pipeline.errors import EncoderError
from pipeline.support.text import shown

MAX_AXES = 256
"""Maximum number of axes that a projection keeps."""
MIN_SAMPLE_WINDOWS = 32
"""Minimum number of windows to fit a projection. Fewer do not represent a corpus, and the projection is final."""
_MIN_RELATIVE_VARIANCE = 1e-9
"""Minimum variance of an axis, relative to the largest; an axis with less holds only rounding errors."""


@dataclass(frozen=True, slots=True)
class Projection:
    """Linear map from D features to d components: subtracts a mean, then projects onto d axes."""

    mean: NDArray[np.float32]
    """(D,) Mean of the sample."""
    axes: NDArray[np.float32]
    """(d, D) Orthonormal rows, in order of decreasing variance."""

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project features (n, D) to (n, d)."""
        projected: NDArray[Any] = (features - self.mean) @ self.axes.T
        return projected

    def save(self, path: Path) -> None:
        """Write a .npz of plain arrays. The write is atomic, and equal projections give equal bytes."""
        save_arrays(path, {"mean": self.mean, "axes": self.axes})

    @classmethod
    def load(cls, path: Path, name: str) -> Self:
        """Read a file that :meth:`save` wrote; raise :class:`EncoderError` if it is not a projection.

        The error message names the encoder ``name``.
        """
        arrays = load_arrays(path, name)
        mean, axes = arrays.get("mean", np.empty(0)), arrays.get("axes", np.empty(0))
        fits = mean.ndim == 1 and axes.ndim == 2 and axes.shape[1:] == mean.shape and 0 < len(axes) <= len(mean)
        if not fits or any(a.dtype != np.float32 or not np.isfinite(a).all() for a in (mean, axes)):
            raise EncoderError(f"{shown(path)}: is not a projection for {name}: expected finite float32 arrays mean "
                               f"(D,) and axes (d, D), found {_list_arrays(arrays) or 'nothing'}")
        return cls(mean, axes)


def fit_projection(features: NDArray[np.float32], dimension: int = MAX_AXES) -> Projection:
    """Fit a projection to a sample.

    Parameters
    ----------
    features : (n, D) float32
        Features of n ≥ 32 windows.
    dimension : int
        Maximum number of axes. The projection has fewer if the sample varies along fewer.

    Returns
    -------
    Projection
        In each axis, the component of largest magnitude is positive.

    Raises
    ------
    EncoderError
        There are fewer than 32 windows, or all windows are alike.
    """
    if len(features) < MIN_SAMPLE_WINDOWS:
        raise EncoderError(f"a projection needs at least {MIN_SAMPLE_WINDOWS} windows, but there are {len(features)}; "
                           "start the corpus with more files, or use an encoder that needs no projection")
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    variances, axes = np.linalg.eigh(centred.T @ centred / len(features))
    # rounding errors have a variance of about 1e-16 of the mean's square
    least = max(_MIN_RELATIVE_VARIANCE * variances[-1], 1e-12 * float(mean @ mean))
    kept = np.flatnonzero(variances > least)[::-1][:dimension]
    if not len(kept):
        raise EncoderError(f"no projection can be fitted to {len(features)} windows that are all alike; start the "
                           "corpus with other files, or use an encoder that needs no projection")
    rows = axes.T[kept]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return Projection(mean.astype(np.float32), (rows * np.sign(largest)).astype(np.float32))


def _list_arrays(arrays: dict[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items())
