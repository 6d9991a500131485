"""How close windows must lie, so that a signal which the grid cuts is found nevertheless.

Signals are put anywhere in a band that is cut into windows at several steps; of the windows that overlap a signal,
those count that the gate keeps. A signal is *found* if one of them has a signal of its family among its first five
look-alikes in a library of whole signals and noise. It is *recalled* if one of them is among the first 2R answers when
a whole signal of its family looks for it among all cut signals and noise, R being how many of its family there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ScanConfig
from pipeline.evaluate.metrics import TOP
from pipeline.evaluate.retrieval import Encode
from pipeline.evaluate.sets import HELD_OUT, SetSpec, families_of, labelled_set
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import measure
from pipeline.grid.cutouts import quantise
from pipeline.simulate import NOISE, Footprint, Signal, add_signal, noise, vary
from pipeline.simulate.signals import FINE
from pipeline.simulate.windows import FINE_GRID

STEPS = (64, 128, 192, 256)
ENOUGH = 0.95
"""Share of the signals on a boundary that must be found."""

_UNIT = 64  # every step is a multiple of it
_PERIOD = 768  # of all grids together
_BAND = _PERIOD + 2 * FINE_GRID.channels


@dataclass(frozen=True, slots=True)
class Found:
    """What is found at one step."""

    step: int
    found: float
    found_on_boundary: float
    """Of the signals that no window of the 256-channel grid holds whole: the same ones at every step."""
    recalled: float
    recalled_on_boundary: float
    cost: float
    """Windows, relative to a step of a whole window."""


@dataclass(frozen=True, slots=True)
class StepCurve:
    """What is found at each step."""

    signals: int
    on_boundary: int
    steps: tuple[Found, ...]
    recommended: int | None
    """The cheapest step at which :data:`ENOUGH` of the signals on a boundary are found; None where none does."""


@dataclass(frozen=True, slots=True)
class CutSignals:
    """Signals in bands, and the windows that overlap them at the finest step."""

    cutouts: NDArray[np.uint8]
    """(n, 16, 256), kept by the gate."""
    owner: NDArray[np.int64]
    """(n,) which signal a window overlaps."""
    start: NDArray[np.int64]
    """(n,) first channel of the window in its band."""
    families: NDArray[np.str_]
    """(signals,)."""
    on_boundary: NDArray[np.bool_]
    """(signals,)."""


def cut_signals(families: Sequence[Signal], count: int, *, seed: int = 0) -> CutSignals:
    """Put ``count`` signals, the families in turn, anywhere in a band each, and cut the windows that overlap them."""
    rng = np.random.default_rng([HELD_OUT, seed, 5])
    chosen = [families[i % len(families)] for i in range(count)]
    cutouts, owners, starts, boundary = [], [], [], []
    for i, kind in enumerate(chosen):
        band = noise(rng, (FINE_GRID.integrations, _BAND), FINE)
        seen = _add_anywhere(rng, band, vary(rng, kind))
        at = _overlapping(seen)
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
    """Measure what is found at each of :data:`STEPS`.

    Parameters
    ----------
    library : (n, 16, 256) uint8, (n,) str
        Cutouts of whole signals and noise, and their families.
    """
    vectors, labels = encode(library[0]), library[1]
    similarity = vectors @ encode(cut.cutouts).T
    best = np.argpartition(-similarity, TOP, axis=0)[:TOP]
    hits = (labels[best] == cut.families[cut.owner]).any(axis=0)
    asks = labels != NOISE
    to_noise = vectors[asks] @ vectors[~asks].T
    results = []
    for step in STEPS:
        cuts = cut.start % step == 0
        found = np.zeros(len(cut.families), bool)
        found[cut.owner[hits & cuts]] = True
        recall = _recall(similarity[asks][:, cuts], cut.owner[cuts], to_noise, labels[asks], cut.families)
        results.append(Found(step, float(found.mean()), float(found[cut.on_boundary].mean()), float(recall.mean()),
                             float(recall[cut.on_boundary].mean()), FINE_GRID.channels / step))
    enough = [one.step for one in results if one.found_on_boundary >= ENOUGH]
    return StepCurve(len(cut.families), int(cut.on_boundary.sum()), tuple(results), max(enough, default=None))


def _recall(
    similarity: NDArray[np.float32], owner: NDArray[np.int64], to_noise: NDArray[np.float32],
    asked: NDArray[np.str_], families: NDArray[np.str_],
) -> NDArray[np.float64]:
    """Return, for each cut signal, the share of whole signals of its family that have it among their first 2R answers.

    Parameters
    ----------
    similarity, to_noise : (queries, windows), (queries, noise windows)
    owner : (windows,)
        Which cut signal a window overlaps, ascending.
    asked, families : (queries,), (signals,) str
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
    """Simulate what :func:`evaluate_steps` takes: signals that fit a window, and a library of the same families."""
    families = _fitting(np.random.default_rng([HELD_OUT, seed, 0]))
    library = labelled_set(SetSpec("library"), seed)
    return cut_signals(families, count, seed=seed), (library.cutouts, library.labels)


def _fitting(rng: np.random.Generator) -> list[Signal]:
    """Return those of the mixed families that lie whole in a window whatever their brothers' drift."""
    room_hz = FINE_GRID.channels * FINE.channel_width_hz
    return [one for one in families_of("mixed", rng).values() if 1.1 * _width_hz(one) <= room_hz]


def _width_hz(signal: Signal) -> float:
    low, high = signal.extent_hz(0, FINE_GRID.integrations * FINE.tsamp_s)
    return high - low


def _add_anywhere(rng: np.random.Generator, band: NDArray[np.float32], signal: Signal) -> Footprint:
    """Add a signal whose low end lies anywhere within one period of the grids; return what it covers."""
    duration_s = FINE_GRID.integrations * FINE.tsamp_s
    while True:
        t_s = rng.uniform(0, duration_s - signal.envelope.on_s) if signal.envelope.kind == "burst" else 0.0
        low_hz, _ = signal.extent_hz(-t_s, duration_s - t_s)
        channel = FINE_GRID.channels + rng.uniform(0, _PERIOD) - low_hz / FINE.channel_width_hz
        seen = add_signal(band, signal, axes=FINE, channel=channel, t_s=t_s, rng=rng)
        if seen is not None:
            return seen


def _overlapping(seen: Footprint) -> NDArray[np.int64]:
    """Return the first channels of all windows, at the finest step, that touch a footprint."""
    starts = np.arange(0, _BAND - FINE_GRID.channels + 1, _UNIT, dtype=np.int64)
    return starts[(starts + FINE_GRID.channels > seen.channel_start) & (starts < seen.channel_stop)]
