"""Simulated windows for training. Each step draws new windows from the seed and the number of the step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate import SKY, SNR_RANGE, random_signal, sibling, simulate_cutouts, vary

PAIRS_PER_STEP = 256
"""Signals per step. Half of them are siblings of the other half, so that the encoder learns small differences."""
NOISE_WINDOWS_PER_STEP = 96
"""Windows of noise per step, in addition to the pairs. Training pushes their vectors away from those of all signals."""
WINDOWS_PER_STEP = 64
"""Windows per step for an encoder that is trained without pairs; an eighth of them hold noise only."""
BATCHES_AHEAD = 2
"""Batches that are drawn in advance, while the network learns from the current one."""
WEAK_SHARE, WEAK_SNR = 0.4, (2.0, 8.0)
"""Share of pairs in which both views are weak, and the range of their SNR."""

_TRAINING = 0  # first number of every training seed; other parts of the program start their seeds with other numbers
_JITTER = 0.1  # relative difference of drift, curvature and width between the views of half of the pairs


def simulate_pairs(
    seed: int, step: int, pairs: int = PAIRS_PER_STEP, noise_windows: int = NOISE_WINDOWS_PER_STEP
) -> NDArray[np.uint8]:
    """Simulate the windows of one step: all first views, all second views in the same order, then noise.

    The two views of a pair share only their signal. Strength, position, phase, noise, gains, slope, second signals and
    cuts by the window's edge are drawn for each view.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    step : int
        Number of the step.
    pairs : int
        Number of pairs.
    noise_windows : int
        Number of windows of noise.

    Returns
    -------
    (2 × pairs + noise_windows, 16, 256) uint8
        Cutouts.
    """
    rng = np.random.default_rng([_TRAINING, seed, step])
    originals = [random_signal(rng) for _ in range((pairs + 1) // 2)]
    signals = [*originals, *(sibling(rng, one) for one in originals)][:pairs]
    jitter = [_JITTER * (rng.random() < 0.5) for _ in signals]
    snr = [WEAK_SNR if rng.random() < WEAK_SHARE else SNR_RANGE for _ in signals]
    both = [vary(rng, *one) for _ in range(2) for one in zip(signals, snr, jitter, strict=True)]
    return simulate_cutouts(rng, both + [None] * noise_windows, scene=SKY)


def simulate_singles(seed: int, step: int, batch: int = WINDOWS_PER_STEP) -> NDArray[np.uint8]:
    """Simulate the windows of one step of a training without pairs: signals, then an eighth of noise.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    step : int
        Number of the step.
    batch : int
        Number of windows.

    Returns
    -------
    (batch, 16, 256) uint8
        Cutouts.
    """
    rng = np.random.default_rng([_TRAINING, seed, step])
    signals = [vary(rng, random_signal(rng), SNR_RANGE) for _ in range(batch - batch // 8)]
    return simulate_cutouts(rng, signals + [None] * (batch // 8), scene=SKY)
