"""Kinds of signals as they occur in the field, and windows that hold one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.model import WindowGrid
from pipeline.simulate.instrument import noise
from pipeline.simulate.signals import FINE, Axes, Envelope, Signal, add_signal

FINE_GRID = WindowGrid()
NOISE = "noise"
"""Label of a window without a signal."""

_KINDS = (
    Signal("steady", width_hz=3),
    Signal("rising", width_hz=4, drift_hz_per_s=0.4),
    Signal("falling", width_hz=4, drift_hz_per_s=-0.4),
    Signal("sweep", width_hz=6, drift_hz_per_s=-1.6),
    Signal("curved", width_hz=4, drift_hz_per_s=-2.9, curvature_hz_per_s2=0.02),
    Signal("pulsed", width_hz=4, drift_hz_per_s=0.1, envelope=Envelope("pulsed", 73.0, 0.5)),
    Signal("burst", width_hz=30, envelope=Envelope("burst", 292.0, 0.2)),
    Signal("ramp", width_hz=12, envelope=Envelope("ramp", 292.0)),
    Signal("comb", width_hz=3, spacing_hz=85, amplitudes=(0.6, 1.0, 0.8, 0.5, 0.9)),
    Signal(
        "pulsed-comb",
        width_hz=3,
        spacing_hz=55,
        amplitudes=(0.8, 1.0, 0.6, 0.9),
        envelope=Envelope("pulsed", 110.0, 0.4),
    ),
    Signal("hump", width_hz=180),
    Signal("impulse", width_hz=300, profile="box", envelope=Envelope("burst", 292.0, 0.08)),
)

FAMILIES: Mapping[str, Signal] = MappingProxyType({signal.name: signal for signal in _KINDS})
"""Clearly different kinds, each small enough to lie whole in a window of the fine product."""


def family(name: str) -> Signal:
    """Look up a family; :class:`ConfigError` lists the names where there is none of that name."""
    try:
        return FAMILIES[name]
    except KeyError:
        raise ConfigError(f"no signal family {name!r}; there are {', '.join(FAMILIES)}") from None


def vary(rng: np.random.Generator, signal: Signal, snr: tuple[float, float] = (6.0, 60.0)) -> Signal:
    """Draw a brother: strength log-uniform within ``snr``; drift, curvature and width within 10 %."""
    low, high = np.log(snr)
    drift, curvature, width = rng.uniform(0.9, 1.1, 3)
    return replace(
        signal,
        snr=float(np.exp(rng.uniform(low, high))),
        width_hz=signal.width_hz * width,
        drift_hz_per_s=signal.drift_hz_per_s * drift,
        curvature_hz_per_s2=signal.curvature_hz_per_s2 * curvature,
    )


def place_in_window(
    rng: np.random.Generator, signal: Signal, axes: Axes, grid: WindowGrid = FINE_GRID
) -> tuple[float, float]:
    """Draw where in a window a signal lies: anywhere that keeps it whole, or centred where it is larger.

    Returns
    -------
    channel, t_s : float
        As :func:`add_signal` takes them, relative to the window.
    """
    duration_s = grid.integrations * axes.tsamp_s
    t_s = 0.0
    if signal.envelope.kind == "burst":
        t_s = rng.uniform(0, max(duration_s - signal.envelope.on_s, 0))
    elif signal.envelope.kind == "pulsed":
        t_s = rng.uniform(-signal.envelope.period_s, 0)
    low_hz, high_hz = signal.extent_hz(-t_s, duration_s - t_s)
    spare_hz = grid.channels * axes.channel_width_hz - (high_hz - low_hz)
    offset_hz = rng.uniform(0, spare_hz) if spare_hz > 0 else spare_hz / 2
    return (offset_hz - low_hz) / axes.channel_width_hz, float(t_s)


def simulate_windows(
    rng: np.random.Generator,
    signals: Sequence[Signal | None],
    *,
    axes: Axes = FINE,
    grid: WindowGrid = FINE_GRID,
    level: float = 1e9,
    gain_spread: float = 0.0,
) -> NDArray[np.float32]:
    """Simulate one window for each signal, at a random place in it; None gives noise alone.

    Parameters
    ----------
    level : float
        Counts of the noise.
    gain_spread : float
        Relative spread of whole-row gain changes.

    Returns
    -------
    (n, integrations, channels) float32
        Linear power, ascending frequency.
    """
    power = noise(rng, (len(signals), grid.integrations, grid.channels), axes)
    for window, signal in zip(power, signals, strict=True):
        if signal is not None:
            channel, t_s = place_in_window(rng, signal, axes, grid)
            add_signal(window, signal, axes=axes, channel=channel, t_s=t_s, rng=rng)
    gains = level * np.maximum(1 + gain_spread * rng.standard_normal(power.shape[:2]), 0.2)
    power *= gains[:, :, None].astype(np.float32)
    return power


def simulate_families(
    rng: np.random.Generator,
    per_family: int,
    *,
    noise_windows: int = 0,
    families: Sequence[str] = tuple(FAMILIES),
    snr: tuple[float, float] = (6.0, 60.0),
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Simulate a labelled set: ``per_family`` brothers of each family, then windows of noise.

    Returns
    -------
    power : (n, 16, 256) float32
    labels : (n,) str
        Family names; :data:`NOISE` for noise.
    """
    names = [name for name in families for _ in range(per_family)]
    signals: list[Signal | None] = [vary(rng, family(name), snr) for name in names]
    power = simulate_windows(rng, signals + [None] * noise_windows)
    return power, np.array(names + [NOISE] * noise_windows)
