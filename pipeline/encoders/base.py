"""What an encoder is, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncoderError
from pipeline.model import EncoderSpec, WindowGrid


class Encoder(Protocol):
    """Turns cutouts into vectors whose cosine similarity says how much two windows look alike."""

    @property
    def spec(self) -> EncoderSpec:
        """Identity of the vectors it makes."""
        ...

    def encode(self, cutouts: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode cutouts.

        Parameters
        ----------
        cutouts : (n, T, F) uint8
            As of :mod:`pipeline.cutouts`; n may be 0.

        Returns
        -------
        (n, dimension) float32
            Finite, unit length, the same for a window whatever its batch, within ``spec.tolerance``. A
            window in which nothing is seen (every pixel masked) has a unit vector too: the same one for all
            such windows.

        Raises
        ------
        EncoderError
            Where the cutouts are of another shape or type, or the weights make vectors that are not finite.
        PrecisionError
            Where this machine does not compute in the precision of the spec.
        """
        ...

    def encode_all(self, blocks: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Encode cutouts that come block by block, as if they were one array; the next block is asked for meanwhile."""
        ...


def checked(name: str, cutouts: NDArray[np.uint8], grid: WindowGrid) -> NDArray[np.uint8]:
    """Return ``cutouts``; :class:`EncoderError` unless they are uint8 of the grid's window shape."""
    expected = (grid.integrations, grid.channels)
    if cutouts.ndim != 3 or cutouts.shape[1:] != expected or cutouts.dtype != np.uint8:
        raise EncoderError(
            f"encoder {name} was made for uint8 cutouts of shape (n, {expected[0]}, {expected[1]}), "
            f"got {cutouts.dtype} of shape {cutouts.shape}"
        )
    return cutouts


def joined(vectors: Iterable[NDArray[np.float32]], dimension: int) -> NDArray[np.float32]:
    """Join vectors (n, dimension), also where there are none."""
    return np.concatenate([np.empty((0, dimension), np.float32), *vectors])


def unit_rows(name: str, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to unit length; :class:`EncoderError` where one is not finite or is zero."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    bad = ~(np.isfinite(length) & (length > 0))
    if bad.any():
        raise EncoderError(
            f"encoder {name} made {int(bad.sum())} of {len(vectors)} vectors that are zero or not finite; "
            "its weights are damaged or not its own"
        )
    unit: NDArray[np.float32] = (vectors / length[:, None]).astype(np.float32)
    return unit
