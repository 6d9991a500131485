"""A frozen projection of an encoder's features onto the axes along which a corpus varies most.

A principal component analysis without whitening: the sample's mean is subtracted, the axes keep their own variances.
It is fitted once a corpus and stored beside it; its digest is part of the encoder's identity.
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

MOST_AXES = 256
SMALLEST_SAMPLE = 32
"""Windows. Fewer say too little of what a corpus will hold, and a projection is never fitted anew."""
_LEAST_VARIANCE = 1e-9
"""Of the largest: an axis with less is rounding."""


@dataclass(frozen=True, slots=True)
class Projection:
    """Subtracts a mean and turns features onto fewer axes."""

    mean: NDArray[np.float32]
    """(D,)"""
    axes: NDArray[np.float32]
    """(d, D), orthonormal rows by falling variance."""

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project features (n, D) to (n, d)."""
        projected: NDArray[Any] = (features - self.mean) @ self.axes.T
        return projected

    def save(self, path: Path) -> None:
        """Write a .npz of plain arrays, whole or not at all; equal projections make equal bytes."""
        save_arrays(path, {"mean": self.mean, "axes": self.axes})

    @classmethod
    def load(cls, path: Path, name: str) -> Self:
        """Read what :meth:`save` wrote; :class:`EncoderError` where ``path`` is no projection for encoder ``name``."""
        arrays = load_arrays(path, name)
        mean, axes = arrays.get("mean", np.empty(0)), arrays.get("axes", np.empty(0))
        fits = mean.ndim == 1 and axes.ndim == 2 and axes.shape[1:] == mean.shape and 0 < len(axes) <= len(mean)
        if not fits or any(a.dtype != np.float32 or not np.isfinite(a).all() for a in (mean, axes)):
            raise EncoderError(f"{shown(path)}: is no projection for {name}: expected finite float32 arrays mean (D,) "
                               f"and axes (d, D), found {_described(arrays) or 'nothing'}")
        return cls(mean, axes)


def fit_projection(features: NDArray[np.float32], dimension: int = MOST_AXES) -> Projection:
    """Fit a projection to a sample.

    Parameters
    ----------
    features : (n, D) float32
        Of n ≥ 32 windows.
    dimension : int
        Axes at most. There are fewer where the sample does not vary along so many.

    Returns
    -------
    Projection
        The sign of each axis is such that its component largest in magnitude is positive.

    Raises
    ------
    EncoderError
        For fewer windows, and where they are all alike.
    """
    if len(features) < SMALLEST_SAMPLE:
        raise EncoderError(f"a projection is fitted to {SMALLEST_SAMPLE} windows or more, there are {len(features)}; "
                           "begin the corpus with more files, or use an encoder that needs no projection")
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    variances, axes = np.linalg.eigh(centred.T @ centred / len(features))
    # rounding alone makes about 1e-16 of the mean's square
    least = max(_LEAST_VARIANCE * variances[-1], 1e-12 * float(mean @ mean))
    kept = np.flatnonzero(variances > least)[::-1][:dimension]
    if not len(kept):
        raise EncoderError(f"no projection can be fitted to {len(features)} windows that are all alike; begin the "
                           "corpus with other files, or use an encoder that needs no projection")
    rows = axes.T[kept]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return Projection(mean.astype(np.float32), (rows * np.sign(largest)).astype(np.float32))


def _described(arrays: dict[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items())
