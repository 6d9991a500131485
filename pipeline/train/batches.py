"""The windows that training sees: drawn from a seed, never twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate import SKY, random_signal, sibling, simulate_cutouts, vary
from pipeline.simulate.population import SNR

PAIRS = 256
"""Signals a step. Half of them are siblings of the other half, so that fine differences count."""
NOISE_WINDOWS = 96
"""Windows of noise among them: they repel every signal."""
BATCH = 64
"""Windows a step of those that need no pairs, an eighth of them noise."""
BATCHES_AHEAD = 2
"""Batches that are drawn while one is learned from."""
WEAK, WEAK_SNR = 0.4, (2.0, 8.0)
"""Share of pairs in which both views are weak, and how weak."""

_TRAINING = 0  # first word of every seed: nobody else begins so
_JITTER = 0.1  # how much drift, curvature and width of half of the pairs differ


def views(seed: int, step: int, pairs: int = PAIRS, noise_windows: int = NOISE_WINDOWS) -> NDArray[np.uint8]:
    """Simulate one step's windows: first views, second views in the same order, then noise.

    Two views share their signal and nothing else: strength, place, phase, noise, gains, slope, what else is in the
    window and what its edge cuts off are drawn for each.

    Returns
    -------
    (2 × pairs + noise_windows, 16, 256) uint8
        Cutouts.
    """
    rng = np.random.default_rng([_TRAINING, seed, step])
    originals = [random_signal(rng) for _ in range((pairs + 1) // 2)]
    signals = [*originals, *(sibling(rng, one) for one in originals)][:pairs]
    jitter = [_JITTER * (rng.random() < 0.5) for _ in signals]
    snr = [WEAK_SNR if rng.random() < WEAK else SNR for _ in signals]
    both = [vary(rng, *one) for _ in range(2) for one in zip(signals, snr, jitter, strict=True)]
    return simulate_cutouts(rng, both + [None] * noise_windows, scene=SKY)


def singles(seed: int, step: int, batch: int = BATCH) -> NDArray[np.uint8]:
    """Simulate one step's windows (batch, 16, 256) where no pairs are needed: signals, then an eighth of noise."""
    rng = np.random.default_rng([_TRAINING, seed, step])
    signals = [vary(rng, random_signal(rng), SNR) for _ in range(batch - batch // 8)]
    return simulate_cutouts(rng, signals + [None] * (batch // 8), scene=SKY)
