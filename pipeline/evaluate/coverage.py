"""How often the intervals of occurrence cover the truth, in simulated archives of known rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluate.sets import HELD_OUT
from pipeline.occurrence import rate_interval, share_interval

MEANS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Expected numbers of emitters in an archive."""
SCANS, SPREAD_OF_EXPOSURES = 30, 1.0
"""Scans of an archive, and the standard deviation of the logarithm of their exposures."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of simulated archives whose interval of 95 % covers the truth, for one expected number of emitters."""

    mean: float
    """Expected number of emitters."""
    rate: float
    """For the rate of emitters."""
    share: float
    """For the share of scans that hold any."""


def measure_coverage(archives: int = 2000, *, seed: int = 0) -> list[Coverage]:
    """Simulate archives whose scans have unequal exposures, and compare intervals with the truth.

    Parameters
    ----------
    archives : int
        Archives for each of :data:`MEANS`.
    seed : int
        Seed of the exposures and emitters.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 7])
    return [_coverage(rng, mean, archives) for mean in MEANS]


def _coverage(rng: np.random.Generator, mean: float, archives: int) -> Coverage:
    exposure = rng.lognormal(0.0, SPREAD_OF_EXPOSURES, (archives, SCANS))
    whole = exposure.sum(axis=1)
    rates = mean / whole
    emitters = rng.poisson(rates[:, None] * exposure)
    counts = emitters.sum(axis=1)
    intervals = {int(count): rate_interval(int(count), 1.0) for count in np.unique(counts)}
    rate = [intervals[int(count)][0] / size <= true <= intervals[int(count)][1] / size
            for count, size, true in zip(counts, whole, rates, strict=True)]
    held = (emitters > 0).sum(axis=1)
    of_share = {int(count): share_interval(int(count), SCANS) for count in np.unique(held)}
    true_shares: Sequence[float] = (-np.expm1(-rates[:, None] * exposure)).mean(axis=1).tolist()
    share = [of_share[int(count)][0] <= true <= of_share[int(count)][1]
             for count, true in zip(held, true_shares, strict=True)]
    return Coverage(mean, float(np.mean(rate)), float(np.mean(share)))
