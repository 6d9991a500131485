"""Vectors of two parts: one tells emitters apart, the other tells kinds apart.

Similarity is graded: windows of one emitter are alike in both parts, windows of another emitter of the same kind mostly
in the second, and windows of other kinds in neither. If little of any kind is seen in a window, its second part is a
vector of small length. So weak signals are compared mostly by the first part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

EMITTER_DIMENSION, KIND_DIMENSION = 128, 24
"""Components of the first part, which tells emitters apart, and of the second part, which tells kinds apart."""
KIND_SHARE = 0.6
"""Weight of the second part in the cosine of two vectors, if the lengths of their second parts are much above 1."""


def join_parts(emitter: Any, kind: Any, xp: Any, centre: Any = None) -> Any:
    """Join the two parts of vectors, with their weights. The whole is not yet of unit length.

    What all windows of noise have in common says nothing about a signal. If it is known, it is subtracted.

    Parameters
    ----------
    emitter : (n, EMITTER_DIMENSION) float32
        First part; it is scaled to length 1.
    kind : (n, KIND_DIMENSION) float32
        Second part; a length of r is scaled to r / √(r² + 1).
    xp : module
        The module whose functions work on the array: ``numpy``, ``keras.ops``, or an object with the same functions.
    centre : (EMITTER_DIMENSION + KIND_DIMENSION,) float32, optional
        Mean of what windows of noise give without it.

    Returns
    -------
    (n, EMITTER_DIMENSION + KIND_DIMENSION) float32
    """
    def scaled(part: Any, added: float, share: float) -> Any:
        squared = xp.sum(part * part, axis=1, keepdims=True)
        return xp.multiply(part / xp.sqrt(xp.add(squared, np.float32(added))), np.float32(share**0.5))

    joined = xp.concatenate([scaled(emitter, 1e-12, 1 - KIND_SHARE), scaled(kind, 1, KIND_SHARE)], axis=1)
    return joined if centre is None else xp.add(joined, -centre)
