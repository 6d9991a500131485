"""Simulation of windows that hold a signal, or noise only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.cutouts import quantise
from pipeline.model import WindowGrid
from pipeline.simulate.draw import add_signal
from pipeline.simulate.families import FAMILIES, family, vary
from pipeline.simulate.instrument import noise
from pipeline.simulate.kinds import KINDS, random_pattern
from pipeline.simulate.paint import add_pattern
from pipeline.simulate.patterns import Pattern, vary_pattern
from pipeline.simulate.population import random_signal
from pipeline.simulate.signals import FINE, Axes, Signal

FINE_GRID = WindowGrid()
NOISE = "noise"
"""Label of a window without a signal."""

_NOISE_BATCH_WINDOWS = 512  # windows of noise drawn together; bounds memory


@dataclass(frozen=True, slots=True)
class Scene:
    """Disturbances of simulated windows. Similarity should not depend on them. The default is none."""

    cut: float = 0.0
    """Share of signals that an edge of the window cuts; up to half of their extent lies outside."""
    circular: float = 0.0
    """Share of signals at any position; parts beyond one end of the window are added at the other end."""
    distractors: float = 0.0
    """Share of windows with a second, unrelated signal that is at most as strong."""
    gained: float = 0.0
    """Share of windows in which the gain changes from row to row."""
    gain_spread: float = 0.08
    """Relative spread of the gain in those windows."""
    sloped: float = 0.0
    """Share of windows in which the band has a slope."""
    slope: float = 0.1
    """Largest relative change of the band from the middle of such a window to its end."""
    regained: float = 0.0
    """Share of windows whose rows are divided by their medians, which takes most of a burst away."""


CLEAN = Scene()
"""Windows without disturbances."""
SKY = Scene(cut=0.12, circular=0.15, distractors=0.15, gained=0.4, sloped=0.33)
"""Disturbances as in windows of real files; used in training."""


def place_in_window(
    rng: np.random.Generator, signal: Signal, axes: Axes, grid: WindowGrid = FINE_GRID, *, cut: bool = False
) -> tuple[float, float]:
    """Draw the position of a signal in a window.

    The whole signal lies inside. A signal larger than the window is centred.

    Parameters
    ----------
    rng : Generator
    signal : Signal
        The signal to place.
    axes : Axes
        Resolution of the window.
    grid : WindowGrid
        Shape of the window.
    cut : bool
        True: an edge of the window cuts the signal, and at most half of its extent lies outside.

    Returns
    -------
    channel, t_s : float
        Position relative to the window, as :func:`add_signal` takes it.
    """
    duration_s = grid.integrations * axes.tsamp_s
    t_s = 0.0
    if signal.envelope.kind in ("burst", "decay"):
        on_s = signal.envelope.on_s
        t_s = rng.uniform(0, max(duration_s - on_s, 0))
    low_hz, high_hz = signal.extent_hz(-t_s, duration_s - t_s)
    spare_hz = grid.channels * axes.channel_width_hz - (high_hz - low_hz)
    if cut:
        outside = rng.uniform(0, 0.5) * (high_hz - low_hz)
        offset_hz = -outside if rng.random() < 0.5 else spare_hz + outside
    else:
        offset_hz = rng.uniform(0, spare_hz) if spare_hz > 0 else spare_hz / 2
    return (offset_hz - low_hz) / axes.channel_width_hz, float(t_s)


def simulate_power(
    rng: np.random.Generator,
    signals: Sequence[Signal | Pattern | None],
    *,
    axes: Axes = FINE,
    grid: WindowGrid = FINE_GRID,
    scene: Scene = CLEAN,
) -> NDArray[np.float32]:
    """Simulate windows, each with one signal at a random position, or one pattern that fills it.

    Parameters
    ----------
    rng : Generator
    signals : sequence of Signal, Pattern or None
        Signal or pattern of each window; None for noise only.
    axes : Axes
        Resolution of the windows.
    grid : WindowGrid
        Shape of the windows.
    scene : Scene
        Disturbances. Patterns fill their window, so only gains, slopes and divided rows apply to them.

    Returns
    -------
    (n, integrations, channels) float32
        Power relative to the baseline, ascending frequency.
    """
    power = np.empty((len(signals), grid.integrations, grid.channels), np.float32)
    for start in range(0, len(signals), _NOISE_BATCH_WINDOWS):
        part = power[start : start + _NOISE_BATCH_WINDOWS]
        part[:] = noise(rng, part.shape, axes)
    for window, signal in zip(power, signals, strict=True):
        if signal is None:
            continue
        if isinstance(signal, Pattern):
            add_pattern(window, signal, axes=axes, rng=rng)
            continue
        cut, circular, second = rng.random(3) < (scene.cut, scene.circular, scene.distractors)
        channel, t_s = place_in_window(rng, signal, axes, grid, cut=bool(cut and not circular))
        if circular:
            channel += rng.uniform(0, grid.channels)
        add_signal(window, signal, axes=axes, channel=channel, t_s=t_s, rng=rng, circular=bool(circular))
        if second:
            other = vary(rng, random_signal(rng), (0.2 * signal.snr, signal.snr))
            channel, t_s = place_in_window(rng, other, axes, grid)
            add_signal(window, other, axes=axes, channel=channel, t_s=t_s, rng=rng)
    _add_instrument_residuals(rng, power, scene)
    return power


def _add_instrument_residuals(rng: np.random.Generator, power: NDArray[np.float32], scene: Scene) -> None:
    """Apply the effects of the instrument that flattening does not remove, in place.

    These are gains of rows and a slope of the band. In some windows, rows are then divided by their medians.
    """
    n, rows, channels = power.shape
    gained, sloped, regained = (rng.random((3, n)) < [[scene.gained], [scene.sloped], [scene.regained]])
    if gained.any():
        gains = 1 + scene.gain_spread * rng.standard_normal((int(gained.sum()), rows))
        power[gained] *= np.maximum(gains, 0.2)[:, :, None].astype(np.float32)
    if sloped.any():
        slopes = rng.uniform(-scene.slope, scene.slope, (int(sloped.sum()), 1))
        power[sloped] *= (1 + slopes * np.linspace(-1, 1, channels))[:, None].astype(np.float32)
    if regained.any():
        power[regained] /= np.median(power[regained], axis=2, keepdims=True)


def simulate_windows(
    rng: np.random.Generator,
    signals: Sequence[Signal | Pattern | None],
    *,
    axes: Axes = FINE,
    grid: WindowGrid = FINE_GRID,
    level: float = 1e9,
    gain_spread: float = 0.0,
    scene: Scene = CLEAN,
) -> NDArray[np.float32]:
    """Simulate windows in the units of a file, each with one signal at a random position.

    Parameters
    ----------
    rng, signals, axes, grid, scene
        As for :func:`simulate_power`.
    level : float
        Mean of the noise in counts.
    gain_spread : float
        Relative spread of the gain from row to row, in every window.

    Returns
    -------
    (n, integrations, channels) float32
        Power in counts, ascending frequency.
    """
    power = simulate_power(rng, signals, axes=axes, grid=grid, scene=scene)
    gains = level * np.maximum(1 + gain_spread * rng.standard_normal(power.shape[:2]), 0.2)
    power *= gains[:, :, None].astype(np.float32)
    return power


def simulate_cutouts(
    rng: np.random.Generator,
    signals: Sequence[Signal | Pattern | None],
    *,
    axes: Axes = FINE,
    grid: WindowGrid = FINE_GRID,
    scene: Scene = CLEAN,
) -> NDArray[np.uint8]:
    """Simulate cutouts as a scan would make them if it knew the baseline and the spread of the noise exactly.

    Parameters
    ----------
    rng, signals, axes, grid, scene
        As for :func:`simulate_power`.

    Returns
    -------
    (n, integrations, channels) uint8
    """
    return quantise(simulate_power(rng, signals, axes=axes, grid=grid, scene=scene), axes.sigma)


def simulate_families(
    rng: np.random.Generator,
    per_family: int,
    *,
    noise_windows: int = 0,
    families: Sequence[str] = tuple(FAMILIES),
    snr: tuple[float, float] = (6.0, 60.0),
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Simulate a labelled set: ``per_family`` variants of each family, then windows of noise.

    Parameters
    ----------
    rng : Generator
    per_family : int
        Windows per family.
    noise_windows : int
        Windows of noise.
    families : sequence of str
        Names of the families.
    snr : (float, float)
        Range of the SNR per bin.

    Returns
    -------
    power : (n, 16, 256) float32
        Power in counts.
    labels : (n,) str
        Family of each window; :data:`NOISE` for noise.
    """
    names = [name for name in families for _ in range(per_family)]
    signals: list[Signal | None] = [vary(rng, family(name), snr) for name in names]
    power = simulate_windows(rng, signals + [None] * noise_windows)
    return power, np.array(names + [NOISE] * noise_windows)


def simulate_kinds(
    rng: np.random.Generator,
    per_kind: int,
    *,
    kinds: Sequence[str] = tuple(KINDS),
    snr: tuple[float, float] | None = None,
    axes: Axes = FINE,
) -> tuple[NDArray[np.float32], list[Pattern]]:
    """Simulate ``per_kind`` windows of each kind of real interference.

    Parameters
    ----------
    rng : Generator
    per_kind : int
        Windows per kind. Each has parameters of its own.
    kinds : sequence of str
        Names in :data:`KINDS`.
    snr : (float, float), optional
        Range of the SNR per bin. Default: the usual range of each kind.
    axes : Axes
        Resolution of the windows.

    Returns
    -------
    power : (n, 16, 256) float32
        Power relative to the baseline, ascending frequency.
    patterns : list of Pattern
        Pattern of each window; :meth:`Pattern.traits` has its main parameters as numbers.
    """
    patterns = [random_pattern(rng, kind) for kind in kinds for _ in range(per_kind)]
    if snr is not None:
        patterns = [vary_pattern(rng, pattern, snr, by=0.0) for pattern in patterns]
    return simulate_power(rng, patterns, axes=axes), patterns
