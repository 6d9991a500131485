"""The share of unrelated signals that scores at least so well: counted where there are enough, else extrapolated.

The extrapolation works on the *nearness* −ln(1 − score). Near a query, the number of vectors within a small distance
is a power of that distance. So the tail of the nearness is exponential. Its rate is fitted to the best scores, as by
Hill (1975).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

TAIL_SHARE = 0.02
"""Share of the best scores that the rate is fitted to."""
MIN_TAIL = 20
"""Minimum number of scores that it is fitted to."""
MIN_DISTANCE = 1e-6
"""Distances 1 − score below this are rounding errors."""
DEVIATIONS = 1.96
"""Half of the width of an interval of 95 %, in standard deviations."""


def nearness(scores: ArrayLike) -> NDArray[np.float64]:
    """Return −ln(1 − score) of some scores, which grows from 0 at a score of 0."""
    out: NDArray[np.float64] = -np.log(np.maximum(1 - np.asarray(scores, np.float64), MIN_DISTANCE))
    return out


def _nearness(score: float) -> float:
    """Return the :func:`nearness` of one score, which takes a tenth of the time."""
    return -math.log(max(1 - score, MIN_DISTANCE))


@dataclass(frozen=True, slots=True)
class Tail:
    """Scores of unrelated signals, and the exponential tail above them."""

    scores: NDArray[np.float32]
    """(n,) ascending."""
    fitted: int
    """Number of the best scores that the rate was fitted to."""
    rate: float
    """Rate of the exponential tail of the nearness."""

    @classmethod
    def of(cls, scores: NDArray[np.float32]) -> Self:
        """Fit the tail of at least 2 · :data:`MIN_TAIL` scores (n,), in any order."""
        ordered = np.sort(scores)
        fitted = max(MIN_TAIL, round(TAIL_SHARE * len(scores)))
        near = nearness(ordered[-fitted - 1 :])
        return cls(ordered, fitted, 1 / max(float((near[1:] - near[0]).mean()), 1e-3))

    def quantile(self, share: float) -> float:
        """Return the score that this share of the scores exceeds."""
        return float(self.scores[len(self.scores) - 1 - round(share * len(self.scores))])

    def share(self, score: float) -> tuple[float, float, float]:
        """Return the share of unrelated signals that score at least so well, and its interval of 95 %.

        It is never 0: where it is counted, it is (1 + number) / (1 + n).
        """
        count = len(self.scores)
        start = float(self.scores[-self.fitted - 1])
        if score <= start:
            above = count - int(np.searchsorted(self.scores, np.float32(score), side="left"))
            share, deviation = (1 + above) / (1 + count), (1 + above) ** -0.5
        else:
            beyond = self.rate * (_nearness(score) - _nearness(start))
            share = (1 + self.fitted) / (1 + count) * math.exp(-beyond)
            deviation = ((1 + beyond**2) / self.fitted) ** 0.5
        wide = math.exp(DEVIATIONS * deviation)
        return share, share / wide, min(1.0, share * wide)
