"""The scores that a query has with unrelated signals, from simulated signals and from the bulk of the corpus.

The corpus alone cannot tell kin from unrelated signals: a corpus may hold no kin, or be full of them. So the tail is
that of simulated signals of many kinds, which are unrelated by construction. The corpus says how near its own bulk is.
Its bulk is what scores less than nearly all simulated signals do, where kin are rare. If the bulk is denser there than
that of the simulation, the tail is raised by that factor. It is never lowered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.significance.tail import Tail, nearness

CENSORED_SHARE = 0.05
"""Scores of the corpus that only this share of the simulated signals exceeds are not used: they may be those of kin."""
FITTED_SHARE = 0.3
"""Share of the other scores, the best ones, by which corpus and simulation are compared."""
MIN_BULK = 200
"""Minimum number of scores of the corpus below those that are not used."""
_MIN_RATE, _MAX_RATE = 1e-2, 1e2


@dataclass(frozen=True, slots=True)
class Null:
    """Scores of one query with unrelated signals."""

    tail: Tail
    """Scores with simulated signals."""
    excess: float = 1.0
    """How many times as many windows of the corpus are near; at least 1."""

    def share(self, score: float) -> tuple[float, float, float]:
        """Return the share of unrelated windows that score at least so well, and its interval of 95 %."""
        share, low, high = (min(1.0, self.excess * one) for one in self.tail.share(score))
        return share, low, high


def null_of(unrelated: NDArray[np.float32], corpus: NDArray[np.float32]) -> Null:
    """Return the null of a query.

    Parameters
    ----------
    unrelated : (n,) float32
        Scores of the query with simulated signals.
    corpus : (m,) float32
        Scores with windows of the corpus, kin among them. With few of them, the simulated signals count alone.
    """
    tail = Tail.of(unrelated)
    return Null(tail, excess_of(tail, corpus))


def excess_of(tail: Tail, corpus: NDArray[np.float32]) -> float:
    """Return how many times as many windows of the corpus (m,) are near as simulated signals; at least 1.

    An exponential is fitted to the best scores below the censored ones, given that they are below. It says what share
    of the bulk would be above.
    """
    limit = tail.quantile(CENSORED_SHARE)
    bulk = corpus[corpus < limit]
    if len(bulk) < MIN_BULK:
        return 1.0
    fitted = int(FITTED_SHARE * len(bulk))
    best = np.partition(bulk, len(bulk) - fitted - 1)[-fitted - 1 :]
    near = nearness(best)
    room = float(nearness(limit) - near[0])
    rate = truncated_rate(float((near[1:] - near[0]).mean()), room)
    return max(1.0, FITTED_SHARE * math.exp(-rate * room) / CENSORED_SHARE)


def truncated_rate(mean: float, room: float) -> float:
    """Return the rate of an exponential whose values, given that they are below ``room``, have this mean."""
    low, high = _MIN_RATE, _MAX_RATE
    for _ in range(40):
        rate = math.sqrt(low * high)
        beyond = room / math.expm1(rate * room) if rate * room < 500 else 0.0
        low, high = (rate, high) if 1 / rate - beyond > mean else (low, rate)
    return math.sqrt(low * high)
