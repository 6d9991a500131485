"""Retrieval of signals that the grid cuts, by the step between windows.

Signals are put at random positions into a band, and the band is cut into windows at several steps. Only windows that
overlap a signal and that the gate keeps are counted. There are two measures. Both use a library of whole signals and
noise:

- A signal is *found* if one of its windows has a signal of its family among its five nearest windows in the library.
- A signal is *recalled* by a whole signal of its family if one of its windows is among the first 2R results of a search
  through all cut signals and noise. R is the number of cut signals of the family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.evaluate.metrics import TOP_COUNT
from pipeline.evaluate.retrieval import Encode
from pipeline.evaluate.sets import HELD_OUT, SetSpec, draw_families, labelled_set
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import measure
from pipeline.grid.cutouts import quantise
from pipeline.simulate import FINE, FINE_GRID, NOISE, Footprint, Signal, add_signal, noise, vary

STEPS = (64, 128, 192, 256)
"""Steps in channels that are measured."""
MIN_FOUND_SHARE = 0.95
"""Minimum share of the signals on a boundary that a recommended step finds."""

_UNIT = 64  # channels; every step is a multiple of it
_PERIOD = 768  # channels; a multiple of every step, so all grids repeat after it
_BAND = _PERIOD + 2 * FINE_GRID.channels


@dataclass(frozen=True, slots=True)
class StepScores:
    """Scores at one step."""

    step: int
    """Step in channels."""
    found: float
    """Share of all signals that are found."""
    found_on_boundary: float
    """Share of the signals on a boundary that are found. These are the signals that no window of the grid of step 256
    holds whole; they are the same signals at every step."""
    recalled: float
    """Mean over all signals of the share of searches that recall the signal."""
    recalled_on_boundary: float
    """The same mean over the signals on a boundary."""
    cost: float
    """Number of windows relative to step 256."""


@dataclass(frozen=True, slots=True)
class StepCurve:
    """Scores at each step."""

    signals: int
    """Number of signals."""
    on_boundary: int
    """Number of signals on a boundary of the grid of step 256."""
    steps: tuple[StepScores, ...]
    recommended: int | None
    """Largest step that finds :data:`MIN_FOUND_SHARE` of the signals on a boundary; None if no step does."""


@dataclass(frozen=True, slots=True)
class CutSignals:
    """Signals in bands, and the windows of the finest step that overlap them."""

    cutouts: NDArray[np.uint8]
    """(n, 16, 256) Cutouts of the windows that the gate keeps."""
    owner: NDArray[np.int64]
    """(n,) Index of the signal that each window overlaps, ascending."""
    start: NDArray[np.int64]
    """(n,) First channel of each window in its band."""
    families: NDArray[np.str_]
    """(signals,) Family of each signal."""
    on_boundary: NDArray[np.bool_]
    """(signals,) True for signals on a boundary of the grid of step 256."""


def cut_signals(families: Sequence[Signal], count: int, *, seed: int = 0) -> CutSignals:
    """Simulate bands with one signal each, and cut the windows that overlap the signal.

    Parameters
    ----------
    families : sequence of Signal
        Families to take in turn.
    count : int
        Number of signals.
    seed : int
        Seed of signals, positions and noise.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 5])
    chosen = [families[i % len(families)] for i in range(count)]
    cutouts, owners, starts, boundary = [], [], [], []
    for i, kind in enumerate(chosen):
        band = noise(rng, (FINE_GRID.integrations, _BAND), FINE)
        seen = _add_anywhere(rng, band, vary(rng, kind))
        at = _list_overlapping_windows(seen)
        flat = FlattenedChannel.from_flat(band, FINE.noise_spectra)
        at = at[measure(flat, at, FINE_GRID, ScanConfig().false_alarm).keep]
        windows = band[:, at[:, None] + np.arange(FINE_GRID.channels)]
        cutouts.append(quantise(np.moveaxis(windows, 1, 0), FINE.sigma))
        owners.append(np.full(len(at), i))
        starts.append(at)
        boundary.append(seen.channel_start // FINE_GRID.channels != (seen.channel_stop - 1) // FINE_GRID.channels)
    return CutSignals(np.concatenate(cutouts), np.concatenate(owners), np.concatenate(starts),
                      np.array([kind.name for kind in chosen]), np.array(boundary))


def evaluate_steps(encode: Encode, cut: CutSignals, library: tuple[NDArray[np.uint8], NDArray[np.str_]]) -> StepCurve:
    """Measure how many signals are found and recalled at each of :data:`STEPS`.

    Parameters
    ----------
    encode : callable
        Encoder to measure.
    cut : CutSignals
        Windows of cut signals.
    library : (n, 16, 256) uint8, (n,) str
        Cutouts of whole signals and noise, and the family of each.
    """
    vectors, labels = encode(library[0]), library[1]
    similarity = vectors @ encode(cut.cutouts).T
    best = np.argpartition(-similarity, TOP_COUNT, axis=0)[:TOP_COUNT]
    hits = (labels[best] == cut.families[cut.owner]).any(axis=0)
    asks = labels != NOISE
    to_noise = vectors[asks] @ vectors[~asks].T
    results = []
    for step in STEPS:
        cuts = cut.start % step == 0
        found = np.zeros(len(cut.families), bool)
        found[cut.owner[hits & cuts]] = True
        recall = _recall(similarity[asks][:, cuts], cut.owner[cuts], to_noise, labels[asks], cut.families)
        results.append(StepScores(step, float(found.mean()), float(found[cut.on_boundary].mean()), float(recall.mean()),
                             float(recall[cut.on_boundary].mean()), FINE_GRID.channels / step))
    enough = [one.step for one in results if one.found_on_boundary >= MIN_FOUND_SHARE]
    return StepCurve(len(cut.families), int(cut.on_boundary.sum()), tuple(results), max(enough, default=None))


def _recall(
    similarity: NDArray[np.float32], owner: NDArray[np.int64], to_noise: NDArray[np.float32],
    asked: NDArray[np.str_], families: NDArray[np.str_],
) -> NDArray[np.float64]:
    """Return, for each cut signal, the share of whole signals of its family that recall it (see the module).

    Parameters
    ----------
    similarity : (queries, windows) float32
        Cosines between whole signals and windows of cut signals.
    owner : (windows,) int64
        Index of the cut signal that each window overlaps, ascending.
    to_noise : (queries, noise windows) float32
        Cosines between whole signals and windows of noise.
    asked : (queries,) str
        Family of each whole signal.
    families : (signals,) str
        Family of each cut signal.

    Returns
    -------
    (signals,) float64
    """
    score = np.full((len(asked), len(families)), -np.inf, np.float32)
    present, first = np.unique(owner, return_index=True)
    score[:, present] = np.maximum.reduceat(similarity, first, axis=1)
    everything = np.concatenate([score, to_noise], axis=1)
    place = np.argsort(np.argsort(-everything, axis=1), axis=1)[:, : len(families)]
    relevant = asked[:, None] == families
    recalled = relevant & (place < 2 * relevant.sum(axis=1, keepdims=True)) & np.isfinite(score)
    return np.asarray(recalled.sum(axis=0) / np.maximum(relevant.sum(axis=0), 1))


def step_sets(count: int = 512, *, seed: int = 0) -> tuple[CutSignals, tuple[NDArray[np.uint8], NDArray[np.str_]]]:
    """Simulate ``count`` cut signals that fit into a window, and a library of the same families."""
    families = _list_fitting_families(np.random.default_rng([HELD_OUT, seed, 0]))
    library = labelled_set(SetSpec("library"), seed)
    return cut_signals(families, count, seed=seed), (library.cutouts, library.labels)


def _list_fitting_families(rng: np.random.Generator) -> list[Signal]:
    """Return the mixed families whose variants all fit into a window, even with a tenth more drift."""
    room_hz = FINE_GRID.channels * FINE.channel_width_hz
    return [one for one in draw_families("mixed", rng).values() if 1.1 * _width_hz(one) <= room_hz]


def _width_hz(signal: Signal) -> float:
    low, high = signal.extent_hz(0, FINE_GRID.integrations * FINE.tsamp_s)
    return high - low


def _add_anywhere(rng: np.random.Generator, band: NDArray[np.float32], signal: Signal) -> Footprint:
    """Add a signal whose lower end is at a random position within one period of the grids; return its footprint."""
    duration_s = FINE_GRID.integrations * FINE.tsamp_s
    while True:
        t_s = rng.uniform(0, duration_s - signal.envelope.on_s) if signal.envelope.kind == "burst" else 0.0
        low_hz, _ = signal.extent_hz(-t_s, duration_s - t_s)
        channel = FINE_GRID.channels + rng.uniform(0, _PERIOD) - low_hz / FINE.channel_width_hz
        seen = add_signal(band, signal, axes=FINE, channel=channel, t_s=t_s, rng=rng)
        if seen is not None:
            return seen


def _list_overlapping_windows(seen: Footprint) -> NDArray[np.int64]:
    """Return the first channels of all windows of the finest step that overlap a footprint."""
    starts = np.arange(0, _BAND - FINE_GRID.channels + 1, _UNIT, dtype=np.int64)
    return starts[(starts + FINE_GRID.channels > seen.channel_start) & (starts < seen.channel_stop)]
