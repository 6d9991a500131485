"""The interface of an encoder, and the checks that all encoders share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncoderError
from pipeline.model import EncoderSpec, WindowGrid


class Encoder(Protocol):
    """Encoder of cutouts into vectors; the cosine of two vectors measures how much the windows look alike."""

    @property
    def spec(self) -> EncoderSpec:
        """Identity of the vectors that this encoder makes."""
        ...

    def encode(self, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode cutouts.

        Parameters
        ----------
        cutouts : (n, T, F) uint8
            Cutouts as :mod:`pipeline.grid.cutouts` makes them; n may be 0.

        Returns
        -------
        (n, dimension) float32
            Finite vectors of unit length. The vector of a window does not depend on its batch, within
            ``spec.tolerance``. All windows in which every pixel is masked have the same unit vector.

        Raises
        ------
        EncoderError
            The cutouts have another shape or type, or the weights make vectors that are not finite.
        PrecisionError
            This machine does not compute in the precision of the spec.
        """
        ...

    def encode_all(self, blocks: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode an iterable of blocks as if they were one array.

        The next block may be read while the current one is encoded.

        Parameters
        ----------
        blocks : iterable of (n, T, F) uint8
            Cutouts; blocks may differ in length.

        Returns
        -------
        (total n, dimension) float32
            Vectors in the order of the windows.

        Raises
        ------
        EncoderError, PrecisionError
            As for :meth:`encode`.
        """
        ...


def check_cutouts(name: str, cutouts: NDArray[np.uint8], grid: WindowGrid) -> NDArray[np.uint8]:
    """Return ``cutouts``; raise :class:`EncoderError` unless they are uint8 and have the grid's window shape."""
    expected = (grid.integrations, grid.channels)
    if cutouts.ndim != 3 or cutouts.shape[1:] != expected or cutouts.dtype != np.uint8:
        raise EncoderError(
            f"encoder {name} was made for uint8 cutouts of shape (n, {expected[0]}, {expected[1]}), "
            f"got {cutouts.dtype} of shape {cutouts.shape}"
        )
    return cutouts


def join_vectors(vectors: Iterable[NDArray[np.float32]], dimension: int) -> NDArray[np.float32]:
    """Concatenate arrays (n, dimension); no arrays give an array (0, dimension)."""
    return np.concatenate([np.empty((0, dimension), np.float32), *vectors])


def normalise_rows(name: str, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to unit length; raise :class:`EncoderError` if a row is zero or not finite."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    bad = ~(np.isfinite(length) & (length > 0))
    if bad.any():
        raise EncoderError(
            f"encoder {name} made {int(bad.sum())} of {len(vectors)} vectors that are zero or not finite; "
            "its weights are damaged or belong to another encoder"
        )
    unit: NDArray[np.float32] = (vectors / length[:, None]).astype(np.float32)
    return unit
