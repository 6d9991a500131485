"""Real signals among simulated windows: does Voyager 1 find itself, and the comb of the L band its neighbours?

The small files are not part of this project (``--real DIR`` names the folder that holds them). Cut-outs are pasted into
simulated noise: level and spread matched, edges tapered, at a random offset, so that only the signal can match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.retrieval import Encode
from pipeline.evaluate.sets import HELD_OUT
from pipeline.filterbank import open_filterbank
from pipeline.grid.cutouts import quantise
from pipeline.scan import cut_windows, tiling_of
from pipeline.simulate import noise, random_signal, vary
from pipeline.simulate.signals import FINE
from pipeline.simulate.windows import FINE_GRID, simulate_power

VOYAGER_2016, VOYAGER_2020 = "voyager1_hits_seticore.npz", "voyager1_2020_crop.h5"
COMB = "hip77257_lband_recovered.npy"
CARRIER, SIDEBANDS = "hit2", ("hit0", "hit1", "hit3", "hit4")
CARRIERS_2020 = ("2020 at 0", "2020 at 128", "2020 at 256")
"""The carrier of 2020 drifts over channel 256: it is whole only in the window that begins at 128."""
COMB_TARGET, COMB_NEIGHBOURS, COMB_FAR = "comb 1", ("comb 2", "comb 3", "comb 4"), "comb 5"
NOISE_WINDOWS, UNRELATED_WINDOWS = 2000, 500
TAPER = 8
"""Channels over which a pasted cut-out fades into noise."""


@dataclass(frozen=True, slots=True)
class RealSet:
    """Windows of real signals by name, and simulated ones."""

    names: tuple[str, ...]
    cutouts: NDArray[np.uint8]
    """Of the real signals, in that order."""
    noise: NDArray[np.uint8]
    unrelated: NDArray[np.uint8]
    """Random signals."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question, and how one encoder answers it."""

    question: str
    passed: bool
    first: tuple[str, ...]
    """Names of the first answers."""
    ranks: dict[str, int]
    """Place of each window that should be found among all others but its peers, 1 = first."""


def real_set(folder: Path, *, seed: int = 0) -> RealSet:
    """Read the real signals, paste them into noise, and simulate the others.

    Raises
    ------
    ConfigError
        Where ``folder`` lacks a file.
    """
    for name in (VOYAGER_2016, VOYAGER_2020, COMB):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder}: holds no {name}; --real names the folder of the small pieces of real data")
    rng = np.random.default_rng([HELD_OUT, seed, 7])
    with np.load(folder / VOYAGER_2016, allow_pickle=False) as hits:
        pieces = {name: hits[name][:, ::-1] for name in (CARRIER, *SIDEBANDS)}  # descending, as in their file
    comb = np.load(folder / COMB, allow_pickle=False)
    pieces |= {f"comb {i + 1}": window for i, window in enumerate(comb)}
    pasted = np.array([paste(rng, piece) for piece in pieces.values()])
    cutouts = np.concatenate([quantise(pasted, FINE.sigma), _windows_of_2020(folder / VOYAGER_2020)])
    signals = [vary(rng, random_signal(rng)) for _ in range(UNRELATED_WINDOWS)]
    return RealSet(
        (*pieces, *CARRIERS_2020),
        cutouts,
        quantise(simulate_power(rng, [None] * NOISE_WINDOWS), FINE.sigma),
        quantise(simulate_power(rng, signals), FINE.sigma),
    )


def paste(rng: np.random.Generator, piece: NDArray[np.floating]) -> NDArray[np.float32]:
    """Paste linear power (16, up to 256) at a random offset into a window of noise of mean 1."""
    window = noise(rng, (FINE_GRID.integrations, FINE_GRID.channels), FINE)
    width = piece.shape[1]
    relative = piece / np.median(piece, axis=1, keepdims=True) - 1
    spread = np.sqrt(np.mean(relative[relative < 0] ** 2))  # signals only add
    to_end = np.minimum(np.arange(1, width + 1), np.arange(width, 0, -1))
    weight = np.minimum(1, to_end / TAPER)
    channel = int(rng.integers(0, FINE_GRID.channels - width + 1))
    place = window[:, channel : channel + width]
    place[:] = np.maximum(1 + relative * (FINE.sigma / spread) * weight + (place - 1) * (1 - weight), 1e-3)
    return window


def evaluate_real(encode: Encode, one: RealSet) -> list[Check]:
    """Ask an encoder every question."""
    vectors = dict(zip(one.names, encode(one.cutouts), strict=True))
    distractors = (encode(one.noise), encode(one.unrelated))
    voyager = (CARRIER, *SIDEBANDS, *CARRIERS_2020)
    checks = [_first_three(vectors, name, [n for n in voyager if n != name], distractors) for name in SIDEBANDS]
    checks.append(_before_others(vectors, CARRIER, CARRIERS_2020, distractors, any_of=True))
    checks.append(_before_others(vectors, COMB_TARGET, COMB_NEIGHBOURS, distractors))
    return checks


Vectors = dict[str, NDArray[np.float32]]
Distractors = tuple[NDArray[np.float32], NDArray[np.float32]]


def _first_three(vectors: Vectors, query: str, kin: Sequence[str], distractors: Distractors) -> Check:
    """Ask whether the first three answers are kin, before any noise."""
    scores = {name: float(vectors[query] @ vectors[name]) for name in kin}
    others = {"noise": float((distractors[0] @ vectors[query]).max()),
              "unrelated": float((distractors[1] @ vectors[query]).max())}
    first = sorted(scores, key=lambda name: -scores[name])[:3]
    passed = all(scores[name] > others["noise"] for name in first)
    return Check(f"{query} (sideband, 2016): its first three are of Voyager 1, before noise", passed,
                 _first(scores | others), _ranks(vectors[query], scores, distractors))


def _before_others(
    vectors: Vectors, query: str, kin: Sequence[str], distractors: Distractors, *, any_of: bool = False
) -> Check:
    """Ask whether all kin, or any, come before all noise and unrelated windows."""
    scores = {name: float(vectors[query] @ vectors[name]) for name in kin}
    others = {"noise": float((distractors[0] @ vectors[query]).max()),
              "unrelated": float((distractors[1] @ vectors[query]).max())}
    before = [score > max(others.values()) for score in scores.values()]
    words = "one of" if any_of else "each of"
    return Check(f"{query} finds {words} {', '.join(kin)} before noise and unrelated signals",
                 any(before) if any_of else all(before), _first(scores | others),
                 _ranks(vectors[query], scores, distractors))


def _first(scores: dict[str, float]) -> tuple[str, ...]:
    """Name the best five, the best noise and the best unrelated window being one each."""
    return tuple(sorted(scores, key=lambda name: -scores[name])[:5])


def _ranks(query: NDArray[np.float32], scores: dict[str, float], distractors: Distractors) -> dict[str, int]:
    others = np.concatenate(distractors) @ query
    return {name: 1 + int((others >= score).sum()) for name, score in scores.items()}


def _windows_of_2020(path: Path) -> NDArray[np.uint8]:
    """Cut the windows named :data:`CARRIERS_2020` from the file as the scan would."""
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, ScanConfig())
        return cut_windows(filterbank, tiling, [(0, 0), (0, 128), (0, 256)])
