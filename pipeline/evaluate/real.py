"""Searches with real signals among simulated windows.

Signals of Voyager 1 should find other signals of Voyager 1. A comb in the L band should find the windows beside it,
which hold the same comb.

The files of real data are small and not part of this project; ``--real DIR`` names their folder. Each piece of data is
pasted into simulated noise at a random offset. Its level and spread are matched to the noise, and its edges are
tapered, so that windows can resemble each other by their signals only.
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
from pipeline.simulate import FINE, FINE_GRID, noise, random_signal, simulate_power, vary

VOYAGER_2016, VOYAGER_2020 = "voyager1_hits_seticore.npz", "voyager1_2020_crop.h5"
COMB = "hip77257_lband_recovered.npy"
CARRIER, SIDEBANDS = "hit2", ("hit0", "hit1", "hit3", "hit4")
CARRIERS_2020 = ("2020 at 0", "2020 at 128", "2020 at 256")
"""Windows of the carrier of 2020, named by their first channel. The carrier drifts across channel 256, so only the
window that begins at 128 holds it whole."""
COMB_TARGET, COMB_NEIGHBOURS = "comb 1", ("comb 2", "comb 3", "comb 4")
NOISE_WINDOWS, UNRELATED_WINDOWS = 2000, 500
"""Number of simulated windows of noise, and of random signals."""
TAPER_CHANNELS = 8
"""Number of channels over which the edge of a pasted piece fades into noise."""


@dataclass(frozen=True, slots=True)
class RealSet:
    """Windows of real signals, and simulated windows as distractors. All cutouts have shape (n, 16, 256)."""

    names: tuple[str, ...]
    """Names of the real signals."""
    cutouts: NDArray[np.uint8]
    """Cutouts of the real signals, in the order of ``names``."""
    noise: NDArray[np.uint8]
    """Simulated noise."""
    unrelated: NDArray[np.uint8]
    """Simulated random signals."""


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one search by one encoder, and whether it is as expected."""

    question: str
    """The expected result, in words."""
    passed: bool
    first: tuple[str, ...]
    """Names of the first five results; noise and unrelated signals count once each."""
    ranks: dict[str, int]
    """Expected window → its rank among all distractors, 1 = first."""


def read_real_set(folder: Path, *, seed: int = 0) -> RealSet:
    """Read the real signals, paste them into noise, and simulate the distractors.

    Parameters
    ----------
    folder : Path
        Folder that holds the three files of real data.
    seed : int
        Seed of noise, offsets and random signals.

    Raises
    ------
    ConfigError
        A file is missing in ``folder``.
    """
    for name in (VOYAGER_2016, VOYAGER_2020, COMB):
        if not (folder / name).is_file():
            raise ConfigError(f"{folder}: holds no {name}; --real names a folder with the three files of real "
                              "signals, or one of labelled windows")
    rng = np.random.default_rng([HELD_OUT, seed, 7])
    with np.load(folder / VOYAGER_2016, allow_pickle=False) as hits:
        pieces = {name: hits[name][:, ::-1] for name in (CARRIER, *SIDEBANDS)}  # the file has descending frequency
    comb = np.load(folder / COMB, allow_pickle=False)
    pieces |= {f"comb {i + 1}": window for i, window in enumerate(comb)}
    pasted = np.array([paste(rng, piece) for piece in pieces.values()])
    cutouts = np.concatenate([quantise(pasted, FINE.sigma), _cut_windows_of_2020(folder / VOYAGER_2020)])
    signals = [vary(rng, random_signal(rng)) for _ in range(UNRELATED_WINDOWS)]
    return RealSet(
        (*pieces, *CARRIERS_2020),
        cutouts,
        quantise(simulate_power(rng, [None] * NOISE_WINDOWS), FINE.sigma),
        quantise(simulate_power(rng, signals), FINE.sigma),
    )


def paste(rng: np.random.Generator, piece: NDArray[np.floating]) -> NDArray[np.float32]:
    """Paste a piece into a window of noise of mean 1, at a random offset.

    Parameters
    ----------
    rng : Generator
    piece : (16, w) array
        Linear power, w ≤ 256.

    Returns
    -------
    (16, 256) float32
        Power relative to the baseline.
    """
    window = noise(rng, (FINE_GRID.integrations, FINE_GRID.channels), FINE)
    width = piece.shape[1]
    relative = piece / np.median(piece, axis=1, keepdims=True) - 1
    spread = np.sqrt(np.mean(relative[relative < 0] ** 2))  # signals only add power, so these values are noise
    to_end = np.minimum(np.arange(1, width + 1), np.arange(width, 0, -1))
    weight = np.minimum(1, to_end / TAPER_CHANNELS)
    channel = int(rng.integers(0, FINE_GRID.channels - width + 1))
    place = window[:, channel : channel + width]
    place[:] = np.maximum(1 + relative * (FINE.sigma / spread) * weight + (place - 1) * (1 - weight), 1e-3)
    return window


def evaluate_real(encode: Encode, one: RealSet) -> list[Check]:
    """Make all searches with an encoder.

    Parameters
    ----------
    encode : callable
        Encoder to measure.
    one : RealSet
        Windows to search.
    """
    vectors = dict(zip(one.names, encode(one.cutouts), strict=True))
    distractors = (encode(one.noise), encode(one.unrelated))
    voyager = (CARRIER, *SIDEBANDS, *CARRIERS_2020)
    checks = [_check_first_three(vectors, name, [n for n in voyager if n != name], distractors) for name in SIDEBANDS]
    checks.append(_check_before_others(vectors, CARRIER, CARRIERS_2020, distractors, any_of=True))
    checks.append(_check_before_others(vectors, COMB_TARGET, COMB_NEIGHBOURS, distractors))
    return checks


Vectors = dict[str, NDArray[np.float32]]
Distractors = tuple[NDArray[np.float32], NDArray[np.float32]]


def _check_first_three(vectors: Vectors, query: str, kin: Sequence[str], distractors: Distractors) -> Check:
    """Check that the query's three best windows among ``kin`` score higher than all noise."""
    scores = {name: float(vectors[query] @ vectors[name]) for name in kin}
    others = {"noise": float((distractors[0] @ vectors[query]).max()),
              "unrelated": float((distractors[1] @ vectors[query]).max())}
    first = sorted(scores, key=lambda name: -scores[name])[:3]
    passed = all(scores[name] > others["noise"] for name in first)
    return Check(f"{query} (sideband, 2016) finds three other windows of Voyager 1 before noise", passed,
                 _first(scores | others), _ranks(vectors[query], scores, distractors))


def _check_before_others(
    vectors: Vectors, query: str, kin: Sequence[str], distractors: Distractors, *, any_of: bool = False
) -> Check:
    """Check that all windows of ``kin``, or any of them, score higher than all noise and all unrelated windows."""
    scores = {name: float(vectors[query] @ vectors[name]) for name in kin}
    others = {"noise": float((distractors[0] @ vectors[query]).max()),
              "unrelated": float((distractors[1] @ vectors[query]).max())}
    before = [score > max(others.values()) for score in scores.values()]
    words = "one of" if any_of else "each of"
    return Check(f"{query} finds {words} {', '.join(kin)} before noise and unrelated signals",
                 any(before) if any_of else all(before), _first(scores | others),
                 _ranks(vectors[query], scores, distractors))


def _first(scores: dict[str, float]) -> tuple[str, ...]:
    """Return the names of the five best scores."""
    return tuple(sorted(scores, key=lambda name: -scores[name])[:5])


def _ranks(query: NDArray[np.float32], scores: dict[str, float], distractors: Distractors) -> dict[str, int]:
    others = np.concatenate(distractors) @ query
    return {name: 1 + int((others >= score).sum()) for name, score in scores.items()}


def _cut_windows_of_2020(path: Path) -> NDArray[np.uint8]:
    """Cut the windows :data:`CARRIERS_2020` from the file, as a scan does."""
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, ScanConfig())
        return cut_windows(filterbank, tiling, [(0, 0), (0, 128), (0, 256)])[0]
