"""Named kinds of signals, like those in real data, and random variants of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from pipeline.errors import ConfigError
from pipeline.simulate.signals import Envelope, Path, Signal

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
"""Name → signal: clearly different kinds. Each is small enough to fit into a window of the fine product."""


UNSEEN: Mapping[str, Signal] = MappingProxyType({signal.name: signal for signal in (
    Signal("zigzag", width_hz=4, path=Path("zigzag", 70, 146)),
    Signal("sawtooth", width_hz=4, path=Path("sawtooth", 160, 97)),
    Signal("stairs", width_hz=4, path=Path("stairs", 60, 73)),
    Signal("kink", width_hz=4, drift_hz_per_s=2.0, path=Path("kink", period_s=150)),
    Signal("cross", width_hz=4, spacing_hz=240, amplitudes=(1, 1), fan_hz_per_s=-1.6, drift_hz_per_s=0.8),
    Signal("fan", width_hz=3, spacing_hz=20, amplitudes=(1, 1, 1, 1), fan_hz_per_s=0.45, drift_hz_per_s=-0.7),
    Signal("flare", width_hz=6, broadening_hz_per_s=0.8),
    Signal("dashes", width_hz=4, envelope=Envelope("dashes", 18.3, dashes=(1, 0, 1, 1, 1, 0, 0))),
    Signal("decay", width_hz=60, envelope=Envelope("decay", 60)),
    Signal("bell", width_hz=60, profile="lorentzian"),
    Signal("overtones", width_hz=3, spacing_hz=18, stretch=0.6, amplitudes=(1, 0.9, 0.8, 0.7, 0.6)),
    Signal("two-bursts", width_hz=40, envelope=Envelope("dashes", 36.6, dashes=(1, 0, 0, 0, 1, 1, 0, 0))),
)})
"""Name → signal: kinds that :func:`~pipeline.simulate.random_signal` does not draw, so training never sees them."""


def family(name: str, also: Sequence[str] = ()) -> Signal:
    """Look up a family in :data:`FAMILIES` and :data:`UNSEEN`.

    Parameters
    ----------
    name : str
        Name of the family.
    also : sequence of str
        Further names that the caller accepts, for the error message.

    Raises
    ------
    ConfigError
        There is no family of that name; the message lists the valid names.
    """
    for known in (FAMILIES, UNSEEN):
        if name in known:
            return known[name]
    raise ConfigError(f"no signal family {name!r}; there are {', '.join([*FAMILIES, *UNSEEN, *also])}")


def vary(rng: np.random.Generator, signal: Signal, snr: tuple[float, float] = (6.0, 60.0), by: float = 0.1) -> Signal:
    """Draw a random variant of a signal: a member of the same family.

    Parameters
    ----------
    rng : Generator
    signal : Signal
        The signal to vary.
    snr : (float, float)
        Range of the SNR per bin; its logarithm is drawn uniformly.
    by : float
        Drift, curvature and width are multiplied by factors from 1 − ``by`` to 1 + ``by``. The phases are random.
    """
    drift, curvature, width = rng.uniform(1 - by, 1 + by, 3)
    return replace(
        any_phase(rng, signal),
        snr=log_uniform(rng, *snr),
        width_hz=signal.width_hz * width,
        drift_hz_per_s=signal.drift_hz_per_s * drift,
        curvature_hz_per_s2=signal.curvature_hz_per_s2 * curvature,
    )


def any_phase(rng: np.random.Generator, signal: Signal) -> Signal:
    """Draw random phases of the envelope and of the path, as far as they are periodic."""
    envelope, path = signal.envelope, signal.path
    if envelope.is_periodic:
        whole_s = envelope.period_s * max(len(envelope.dashes), 1)
        envelope = replace(envelope, phase_s=rng.uniform(0, whole_s))
    if path.is_periodic:
        path = replace(path, phase_s=rng.uniform(0, path.period_s * max(len(path.hops), 1)))
    return replace(signal, envelope=envelope, path=path)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number between ``low`` and ``high`` whose logarithm is uniformly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
