"""The operating curve of the gate: the share of windows that it keeps. It is measured on signals and on noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.sets import HELD_OUT
from pipeline.flatten.flattened import FlattenedChannel
from pipeline.gate import measure
from pipeline.simulate import FAMILIES, FINE, FINE_GRID, UNSEEN, noise, simulate_power, vary

SNRS = (1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 30.0)
"""Strengths of the signals, as SNR per bin."""
FALSE_ALARMS = (1e-4, 1e-3, 1e-2)
"""Settings of the gate: nominal share of windows of pure noise that it keeps."""

_NOISE_BATCH_WINDOWS = 4096


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Result for one setting of the gate."""

    false_alarm: float
    """Nominal false-alarm rate."""
    false_alarm_measured: float
    """Share of windows of noise that the gate kept."""
    overall: tuple[float, ...]
    """Share of windows kept at each of :data:`SNRS`, averaged over all families."""
    by_family: Mapping[str, tuple[float, ...]]
    """Family → share of its windows kept at each of :data:`SNRS`."""


@dataclass(frozen=True, slots=True)
class OperatingCurve:
    """Results for several settings of the gate."""

    snrs: tuple[float, ...]
    per_cell: int
    """Windows per family and strength."""
    noise_windows: int
    points: tuple[OperatingPoint, ...]


def measure_operating_curve(per_cell: int = 100, noise_windows: int = 65_536, *, seed: int = 0) -> OperatingCurve:
    """Measure the gate on all named families (:mod:`pipeline.simulate.families`), and on noise.

    Parameters
    ----------
    per_cell : int
        Windows per family and strength.
    noise_windows : int
        Windows of noise.
    seed : int
        Seed of the windows.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 4])
    families = {**FAMILIES, **UNSEEN}
    kept = np.empty((len(SNRS), len(FALSE_ALARMS), len(families)))
    for k, snr in enumerate(SNRS):
        power = simulate_power(rng, [vary(rng, one, (snr, snr)) for one in families.values() for _ in range(per_cell)])
        passed = _apply_gate(power.transpose(1, 0, 2).reshape(FINE_GRID.integrations, -1))
        kept[k] = passed.reshape(len(FALSE_ALARMS), len(families), per_cell).mean(axis=2)
    alarms = _false_alarms(rng, noise_windows)
    points = [
        OperatingPoint(asked, float(alarms[i]), tuple(kept[:, i].mean(axis=1).tolist()),
                       {name: tuple(kept[:, i, j].tolist()) for j, name in enumerate(families)})
        for i, asked in enumerate(FALSE_ALARMS)
    ]
    return OperatingCurve(SNRS, per_cell, noise_windows, tuple(points))


def _false_alarms(rng: np.random.Generator, windows: int) -> NDArray[np.float64]:
    """Return the share of ``windows`` windows of noise that the gate keeps, for each of :data:`FALSE_ALARMS`."""
    passed = np.zeros(len(FALSE_ALARMS))
    for start in range(0, windows, _NOISE_BATCH_WINDOWS):
        count = min(_NOISE_BATCH_WINDOWS, windows - start)
        passed += _apply_gate(noise(rng, (FINE_GRID.integrations, count * FINE_GRID.channels), FINE)).sum(axis=1)
    return np.asarray(passed / windows)


def _apply_gate(band: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Apply the gate to the windows of a flattened band (16, n × 256); return which it keeps, (settings, n)."""
    starts = np.arange(0, band.shape[1], FINE_GRID.channels, dtype=np.int64)
    flat = FlattenedChannel.from_flat(band, FINE.noise_spectra)
    return np.array([measure(flat, starts, FINE_GRID, alarm).keep for alarm in FALSE_ALARMS])
