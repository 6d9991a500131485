"""Measure which signals pass the gate, by shape, strength and noise.

    python -m benchmarks.bench_gate [windows per cell]

Prints a table of the share of windows that the gate keeps at 0.1 % false alarms. Columns are ranges of SNR per bin: how
many standard deviations of the noise the signal adds in each of its bins. N is the number of exponential variables
averaged in a bin.
"""

from __future__ import annotations

import sys

import numpy as np

from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import measure
from pipeline.model import WindowGrid
from tests.gate.gate_signals import CHANNELS, FAMILIES, windows_with

SNR_BANDS = ((2.0, 3.0), (3.0, 4.0), (4.0, 6.0), (6.0, 10.0), (10.0, 30.0))
NOISE_SPECTRA = (4.0, 102.0)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    cells = [(n, band) for n in NOISE_SPECTRA for band in SNR_BANDS]
    print("| signal | bins | " + " | ".join(f"N {n:g}: {low:g}–{high:g}" for n, (low, high) in cells) + " |")
    print("|---|---" + "|---" * len(cells) + "|")
    starts = np.arange(count) * CHANNELS
    shares = []
    for name, family in FAMILIES.items():
        bins = np.mean([family(np.random.default_rng(seed)).sum() for seed in range(50)])
        flats = (FlattenedChannel.from_flat(windows_with(family, count, band, n, seed=1), n) for n, band in cells)
        kept = [measure(flat, starts, WindowGrid(), 1e-3).keep.mean() for flat in flats]
        shares.append(kept)
        print(f"| {name} | {bins:.0f} | " + " | ".join(f"{100 * share:.1f} %" for share in kept) + " |", flush=True)
    print("| **all** | | " + " | ".join(f"**{100 * share:.1f} %**" for share in np.mean(shares, axis=0)) + " |")


if __name__ == "__main__":
    main()
