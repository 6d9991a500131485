"""The archive of the demo: one cadence of scans, in which the same kinds of signals recur."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.simulate.files import COARSE_WIDTH, Truth, fine_header, scatter, simulate_file
from pipeline.simulate.instrument import Instrument

_CADENCE = ("DEMO1", "DEMO1_OFF", "DEMO1", "DEMO2_OFF", "DEMO1", "DEMO3_OFF")  # ABACAD
_SCAN_S = 322  # seconds from the start of one scan to the start of the next
_SIGNALS_PER_COARSE_CHANNEL = 96  # in about 2 % of the windows, as in real data


def demo_corpus(folder: str | Path, seed: int = 0) -> dict[Path, list[Truth]]:
    """Write the six scans of a cadence, with known signals, into ``folder``: 7 coarse channels, about 130 MB.

    Each coarse channel holds every family of :data:`~pipeline.simulate.FAMILIES` eight times, at random frequencies and
    strengths. The second scan has two coarse channels, the others have one. Samples keep 8 bits of mantissa, so that
    the files compress well.

    Parameters
    ----------
    folder : path
        Where to write; created if it does not exist.
    seed : int
        Seed of the noise and of the signals.

    Returns
    -------
    dict
        Path of each file → its signals.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    truth = {}
    for i, name in enumerate(_CADENCE):
        second = 10_000 + i * _SCAN_S
        header = fine_header(coarse_channels=2 if i == 1 else 1, source_name=name, second=second)
        count = _SIGNALS_PER_COARSE_CHANNEL * (header.nchans // COARSE_WIDTH)
        placed = scatter(np.random.default_rng([seed, i]), header, count=count)
        path = folder / f"GBT_59000_{second}_{name}_fine.h5"
        instrument = Instrument(mantissa_bits=8, gain_spread=0.03 if i == 2 else 0.01)
        truth[path] = simulate_file(path, header, placed, instrument=instrument, seed=seed + i)
    return truth
