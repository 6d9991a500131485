"""Assigns new windows to families that exist, by the families of their nearest neighbours. Uses no files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.families.grouping import NONE, POWER

MIN_SHARE = 0.8
"""Smallest share of the neighbours' weight that a family must have to get a new window."""
VOTERS = 5
"""Number of nearest windows that decide."""
MIN_VOTER_COSINE = 0.7
"""Smallest cosine of a neighbour that counts. Windows below it share too little with the new one."""


def assign(families: NDArray[np.int32], cosines: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the family of each new window, or :data:`~pipeline.families.grouping.NONE`.

    Parameters
    ----------
    families : (n, k) int32
        Family of each neighbour among the windows that were grouped before, the nearest first; :data:`NONE` for one
        that is in no family.
    cosines : (n, k) float32
        Cosine of each neighbour; −inf where there is none.
    """
    families, cosines = families[:, :VOTERS], cosines[:, :VOTERS]
    weight = np.where(cosines >= MIN_VOTER_COSINE, np.maximum(cosines, 0.0) ** POWER, 0.0)
    best, share = np.full(len(families), NONE, np.int32), np.zeros(len(families))
    total = np.maximum(weight.sum(axis=1), 1e-30)
    for column in range(families.shape[1]):
        candidate = families[:, column]
        votes = np.where(families == candidate[:, None], weight, 0.0).sum(axis=1) / total
        wins = (candidate != NONE) & (votes > share)
        best, share = np.where(wins, candidate, best).astype(np.int32), np.where(wins, votes, share)
    return np.where(share >= MIN_SHARE, best, NONE).astype(np.int32)
