"""Vectors of unrelated simulated signals, which come with the package: one file for each encoder.

:mod:`pipeline.simulate.unrelated` has the signals, and :mod:`pipeline.evaluate.unrelated` makes the vectors. They are
stored in 8 bits, each vector relative to its largest component, which changes a score by .001.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.support.array_headers import evaluated

_FOLDER = Path(__file__).parent / "vectors"
_LEVELS = 127


def unrelated_vectors(encoder_key: str) -> NDArray[np.float32] | None:
    """Return the unit vectors (n, d) of unrelated signals by an encoder; None if the package has none.

    Parameters
    ----------
    encoder_key : str
        Key of the encoder. Its precision does not matter.
    """
    return _read("-".join(encoder_key.split("-")[:3]))


@lru_cache(maxsize=4)
def _read(name: str) -> NDArray[np.float32] | None:
    path = _FOLDER / f"{name}.npy"
    if not path.is_file():
        return None
    codes = evaluated(lambda: np.load(path, allow_pickle=False)).astype(np.float32)
    vectors: NDArray[np.float32] = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    vectors.setflags(write=False)
    return vectors


@lru_cache(maxsize=1)
def digest_of_unrelated() -> str:
    """Return a digest of all vectors in the package. It changes if other signals are simulated."""
    digest = hashlib.sha256()
    for path in sorted(_FOLDER.glob("*.npy")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def write_unrelated(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write vectors (n, d) in 8 bits, as :func:`unrelated_vectors` reads them."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    np.save(path, np.round(vectors * (_LEVELS / largest)).astype(np.int8))
