"""A small archive to try everything on: one cadence of scans, in which the same kinds of signals recur."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.simulate.files import COARSE_WIDTH, Truth, fine_header, scatter, simulate_file
from pipeline.simulate.instrument import Instrument

_CADENCE = ("DEMO1", "DEMO1_OFF", "DEMO1", "DEMO2_OFF", "DEMO1", "DEMO3_OFF")  # ABACAD
_SCAN_S = 322  # from the start of one scan to the next
_SIGNALS = 96  # a coarse channel: about 2 % of its windows, as in real data


def demo_corpus(folder: str | Path, seed: int = 0) -> dict[Path, list[Truth]]:
    """Write six scans of a cadence with known signals into ``folder``: 7 coarse channels, about 130 MB.

    Every file holds each family of :data:`~pipeline.simulate.FAMILIES` eight times a coarse channel, at
    frequencies and strengths of its own. The second scan has two coarse channels, the others one. Samples
    keep 8 bits of mantissa, so that they compress.

    Returns
    -------
    dict
        Path of each file → what is in it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for i, name in enumerate(_CADENCE):
        second = 10_000 + i * _SCAN_S
        header = fine_header(coarse_channels=2 if i == 1 else 1, source_name=name, second=second)
        count = _SIGNALS * (header.nchans // COARSE_WIDTH)
        placed = scatter(np.random.default_rng([seed, i]), header, count=count)
        path = folder / f"GBT_59000_{second}_{name}_fine.h5"
        instrument = Instrument(mantissa_bits=8, gain_spread=0.03 if i == 2 else 0.01)
        truth[path] = simulate_file(path, header, placed, instrument=instrument, seed=seed + i)
    return truth
