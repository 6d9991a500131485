"""Signals that have nothing to do with those of an archive: the hits of a search are compared with them.

They are always the same: the vectors of one encoder come with the package (:mod:`pipeline.significance.unrelated`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.cutouts import quantise
from pipeline.simulate.families import vary
from pipeline.simulate.kinds import random_pattern
from pipeline.simulate.patterns import Pattern, vary_pattern
from pipeline.simulate.population import mixed_signal, random_signal
from pipeline.simulate.signals import FINE, Signal
from pipeline.simulate.windows import simulate_power

SEED = 4177
"""First number of the seed. No other set begins with it."""
SNR = (4.0, 100.0)
"""Range of the SNR per bin."""
POPULATIONS: tuple[Callable[[np.random.Generator], Signal | Pattern], ...] = (
    random_signal, lambda rng: random_pattern(rng, is_varied=True), lambda rng: mixed_signal(rng, "mixed"))
"""What signals are drawn from, in equal numbers."""
BATCHES, BATCH = 20, 100
"""Number of batches of each population, and of signals in a batch."""


def member(
    rng: np.random.Generator, emitter: Signal | Pattern, snr: tuple[float, float]
) -> Signal | Pattern:
    """Draw what one emitter shows in one window."""
    return vary_pattern(rng, emitter, snr) if isinstance(emitter, Pattern) else vary(rng, emitter, snr)


def cutouts_of_unrelated(population: int, batches: int = BATCHES) -> NDArray[np.uint8]:
    """Simulate windows (n, 16, 256), each of another emitter. Each batch has random numbers of its own."""
    made = []
    for batch in range(batches):
        rng = np.random.default_rng([SEED, population, batch])
        signals = [member(rng, POPULATIONS[population](rng), SNR) for _ in range(BATCH)]
        made.append(quantise(simulate_power(rng, signals), FINE.sigma))
    return np.concatenate(made)


def every_unrelated_cutout() -> NDArray[np.uint8]:
    """Simulate all of them (6000, 16, 256), in the order of the vectors in the package. That takes about 5 s."""
    return np.concatenate([cutouts_of_unrelated(population) for population in range(len(POPULATIONS))])
