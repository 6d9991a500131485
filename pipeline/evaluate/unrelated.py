"""Make the vectors of unrelated signals that the significance of hits is measured by.

``python -m pipeline.evaluate.unrelated`` writes the file of the default encoder into the package. Run it after a change
of the weights or of the simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pipeline.significance
from pipeline.encoders import load_encoder
from pipeline.evaluate.sets import mixed_signal
from pipeline.grid.cutouts import quantise
from pipeline.significance import write_unrelated
from pipeline.simulate import (
    FINE,
    Pattern,
    Signal,
    random_pattern,
    random_signal,
    simulate_power,
    vary,
    vary_pattern,
)

SEED = 4177
"""First number of the seed. No other set begins with it."""
SNR = (4.0, 100.0)
"""Range of the SNR per bin."""
POPULATIONS: tuple[Callable[[np.random.Generator], Signal | Pattern], ...] = (
    random_signal, lambda rng: random_pattern(rng, is_varied=True), lambda rng: mixed_signal(rng, "mixed"))
"""What signals are drawn from, in equal numbers."""
BATCHES, BATCH = 20, 100
"""Number of batches of each population, and of signals in a batch. All signals are stored in less than a megabyte."""


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


def main() -> None:
    """Write the file of the default encoder."""
    encoder = load_encoder("spectral")
    folder = Path(pipeline.significance.__file__).parent / "vectors"
    write_unrelated(folder / f"{encoder.spec.key}.npy", np.concatenate([
        encoder.encode(cutouts_of_unrelated(population)) for population in range(len(POPULATIONS))]))


if __name__ == "__main__":
    main()
