"""A small folder of labelled windows, simulated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.simulate import simulate_kinds, simulate_power

KINDS = ("carrier", "comb53", "burst-flat", "hatching")
PER_KIND = 4
NOISE_WINDOWS = 3
UNLABELLED = 2


def make_folder(folder: Path, seed: int = 0) -> Path:
    """Write four windows of each of four kinds, three windows of noise, and two windows without a label."""
    rng = np.random.default_rng(seed)
    power, _ = simulate_kinds(rng, PER_KIND, kinds=KINDS)
    others = simulate_power(rng, [None] * (NOISE_WINDOWS + UNLABELLED))
    folder.mkdir(exist_ok=True)
    np.save(folder / "power_ascending.npy", np.concatenate([power, others]).astype(np.float16))
    kinds = {kind: list(range(i * PER_KIND, (i + 1) * PER_KIND)) for i, kind in enumerate(KINDS)}
    first = len(power)
    (folder / "labels.json").write_text(json.dumps({"kinds": kinds, "noise": [first, first + 1, first + 2]}))
    return folder
