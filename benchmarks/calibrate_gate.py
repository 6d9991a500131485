"""Count the independent trials in each family of boxes of the gate, and measure their joint false-alarm rate.

    python -m benchmarks.calibrate_gate [windows]

Prints the numbers that the gate holds as ``INDEPENDENT`` and ``JOINT``.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.special import gammaincc

from pipeline import gate
from pipeline.boxes import measure_windows
from pipeline.flat import Flat
from pipeline.model import WindowGrid

SPECTRA_AVERAGED = (4.0, 102.0, 255.0)
FAMILY_RATE = 2e-3
BATCH = 8192


def noise_statistics(noise_spectra: float, windows: int, grid: WindowGrid, rng: np.random.Generator):
    """Yield (box sums (n, widths, levels) in sigmas, excess (n,)) of pure noise."""
    limits = gate.thresholds(noise_spectra, grid.channels, grid.integrations, 1e-3)
    starts = np.arange(BATCH) * grid.channels
    for _ in range(windows // BATCH):
        shape = (grid.integrations, BATCH * grid.channels)
        power = rng.standard_gamma(noise_spectra, shape, dtype=np.float32) / np.float32(noise_spectra)
        best = np.zeros((BATCH, *limits.sigmas.shape), np.float32)
        excess, masked = np.zeros(BATCH, np.float32), np.zeros(BATCH, np.uint32)
        flat = Flat.of_level(power, noise_spectra)
        measure_windows(flat.stored, flat.row_scale, flat.channel_scale, starts, grid.channels,
                        np.float32(noise_spectra**0.5), np.float32(limits.pixel), limits.table_power,
                        limits.table_excess, best, excess, masked)
        yield best, excess


def main() -> None:
    windows = int(sys.argv[1]) if len(sys.argv) > 1 else 32 * BATCH
    grid = WindowGrid()
    rng = np.random.default_rng(20)
    for n in SPECTRA_AVERAGED:
        batches = list(noise_statistics(n, windows, grid, rng))
        best = np.concatenate([b for b, _ in batches])
        excess = np.concatenate([e for _, e in batches])
        shares = np.zeros(best.shape[1:])
        for i, width in enumerate(gate.WIDTHS):
            for level in range(best.shape[2]):
                shape = width * 2**level * n
                p = gammaincc(shape, shape + best[:, i, level].astype(float) * shape**0.5)
                boxes = gate.trials(width, level, grid.channels, grid.integrations)
                shares[i, level] = np.mean(p <= FAMILY_RATE / boxes) / FAMILY_RATE
        limits = gate.thresholds(n, grid.channels, grid.integrations, 1e-3)
        joint = np.mean((best >= limits.sigmas).any(axis=(1, 2)) | (excess >= limits.excess))
        print(f"N = {n:g}: joint false alarms {joint:.3e} ± {np.sqrt(joint / len(best)):.1e} for 1e-3; "
              f"excess alone {np.mean(excess >= limits.excess):.2e}; independent share:")
        print(np.array2string(shares, precision=2, separator=", "), flush=True)


if __name__ == "__main__":
    main()
