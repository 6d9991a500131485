"""Random signals for training, and siblings that differ from a signal in a single property.

The ranges of the parameters suit a window of the fine product (715 Hz × 292 s).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.simulate.families import log_uniform
from pipeline.simulate.signals import Envelope, EnvelopeKind, Path, Signal

_WINDOW_HZ, _WINDOW_S = 715.0, 292.0
_ENVELOPE_PROBABILITIES: dict[EnvelopeKind, float] = {
    "steady": 0.40, "pulsed": 0.24, "burst": 0.12, "scintillating": 0.12, "ramp": 0.06, "fade": 0.06,
}
SNR_RANGE = (2.0, 300.0)
"""Range of the SNR per bin, from barely visible to saturated."""


def random_signal(rng: np.random.Generator, name: str = "random") -> Signal:
    """Draw a signal of random motion, envelope, width, number of lines and strength."""
    width_hz = log_uniform(rng, 60, 400) if rng.random() < 0.12 else log_uniform(rng, 2, 60)
    spacing_hz, amplitudes = _random_lines(rng, width_hz)
    signal = Signal(
        name,
        snr=log_uniform(rng, *SNR_RANGE),
        width_hz=width_hz,
        profile="box" if rng.random() < 0.2 else "gaussian",
        spacing_hz=spacing_hz,
        amplitudes=amplitudes,
        envelope=_random_envelope(rng),
    )
    signal = _add_random_motion(rng, signal)
    if len(amplitudes) > 1 and signal.envelope.kind in ("pulsed", "burst") and rng.random() < 0.3:
        whole_s = signal.envelope.period_s if signal.envelope.kind == "pulsed" else _WINDOW_S - signal.envelope.on_s
        return replace(signal, stagger_s=whole_s / len(amplitudes))
    return signal


def sibling(rng: np.random.Generator, signal: Signal) -> Signal:
    """Draw a signal that differs from ``signal`` in one visible property."""
    while True:
        match rng.integers(6):
            case 0 if signal.drift_hz_per_s and rng.random() < 0.3:
                return replace(signal, drift_hz_per_s=-signal.drift_hz_per_s)
            case 0 | 1:
                # variants of a signal differ by a tenth of its drift, so a sibling differs by a quarter at least
                step = max(log_uniform(rng, 0.08, 1.2), 0.25 * abs(signal.drift_hz_per_s))
                return replace(signal, drift_hz_per_s=signal.drift_hz_per_s + step * (1 if rng.random() < 0.5 else -1))
            case 2:
                factor = log_uniform(rng, 1.6, 4)
                wider = signal.width_hz * factor < 300 and (rng.random() < 0.5 or signal.width_hz < 2 * factor)
                return replace(signal, width_hz=signal.width_hz * (factor if wider else 1 / factor))
            case 3:
                envelope = _random_envelope(rng)
                if envelope.kind != signal.envelope.kind or envelope.kind == "pulsed":
                    return replace(signal, envelope=envelope, stagger_s=0.0)
            case 4:
                spacing_hz, amplitudes = _random_lines(rng, signal.width_hz)
                if len(amplitudes) != len(signal.amplitudes):
                    return replace(signal, spacing_hz=spacing_hz, amplitudes=amplitudes, stagger_s=0.0)
            case 5 if len(signal.amplitudes) > 1:
                factor = log_uniform(rng, 1.15, 2)
                total_hz = signal.spacing_hz * (len(signal.amplitudes) - 1)
                factor = factor if factor * total_hz < 600 else 1 / factor
                return replace(signal, spacing_hz=signal.spacing_hz * factor)
            case 5:
                moved = _add_random_motion(rng, replace(signal, path=Path(), curvature_hz_per_s2=0.0))
                if moved.path.kind != signal.path.kind:
                    return replace(moved, drift_hz_per_s=signal.drift_hz_per_s)


def _random_envelope(rng: np.random.Generator) -> Envelope:
    kinds = list(_ENVELOPE_PROBABILITIES)
    kind = kinds[rng.choice(len(kinds), p=list(_ENVELOPE_PROBABILITIES.values()))]
    match kind:
        case "pulsed":
            return Envelope("pulsed", log_uniform(rng, 38, 200), rng.uniform(0.2, 0.7))
        case "burst":
            return Envelope("burst", _WINDOW_S, log_uniform(rng, 0.05, 0.6))
        case "scintillating":
            return Envelope("scintillating", log_uniform(rng, 20, 120))
        case "ramp" | "fade":
            return Envelope(kind, _WINDOW_S * rng.uniform(0.6, 1))
    return Envelope()


def _random_lines(rng: np.random.Generator, width_hz: float) -> tuple[float, tuple[float, ...]]:
    """Draw spacing and amplitudes of one line (in half of the cases), a comb, or a carrier with sidebands."""
    closest_hz = max(2.0 * width_hz, 12.0)
    most = int(min(_WINDOW_HZ * 0.85 / closest_hz, 11)) + 1
    if most < 2 or rng.random() < 0.5:
        return 0.0, (1.0,)
    if most >= 3 and rng.random() < 0.25:
        pairs = int(rng.integers(1, min((most - 1) // 2, 3) + 1))
        ratio = rng.uniform(0.3, 0.9)
        amplitudes = tuple(ratio ** abs(k) for k in range(-pairs, pairs + 1))
    else:
        lines = int(rng.integers(2, most + 1))
        amplitudes = tuple(rng.uniform(0.3, 1.0, lines).tolist()) if rng.random() < 0.5 else (1.0,) * lines
    widest_hz = _WINDOW_HZ * 0.85 / (len(amplitudes) - 1)
    return log_uniform(rng, closest_hz, max(widest_hz, closest_hz * 1.01)), amplitudes


def _add_random_motion(rng: np.random.Generator, signal: Signal) -> Signal:
    """Give a signal a drift, and sometimes a curvature, a sinusoidal path or hops. All fit into a window."""
    room_hz = max(_WINDOW_HZ - signal.spacing_hz * (len(signal.amplitudes) - 1) - signal.width_hz, 80)
    kind = rng.choice(["straight", "curved", "sinusoid", "hops"], p=[0.66, 0.12, 0.12, 0.10])
    drift = _random_drift(rng, room_hz)
    if kind == "curved":
        curvature = log_uniform(rng, 0.002, 0.03) * (1 if rng.random() < 0.5 else -1)
        # in half of the cases, the line turns round within the window
        drift = -curvature * rng.uniform(0, _WINDOW_S) if rng.random() < 0.5 else drift
        return replace(signal, curvature_hz_per_s2=curvature, drift_hz_per_s=drift)
    drift = drift if rng.random() < 0.5 or kind == "straight" else 0.0
    if kind == "sinusoid":
        path = Path("sinusoid", log_uniform(rng, 8, min(room_hz / 2, 160)), log_uniform(rng, 60, _WINDOW_S))
        return replace(signal, path=path, drift_hz_per_s=0.5 * drift)
    if kind == "hops":
        hops = tuple(rng.uniform(-1, 1, int(rng.integers(2, 7))).tolist()) if rng.random() < 0.6 else ()
        path = Path("hops", log_uniform(rng, 25, min(room_hz / 2, 220)), log_uniform(rng, 18, 100), hops=hops)
        return replace(signal, path=path, drift_hz_per_s=0.3 * drift)
    return replace(signal, drift_hz_per_s=drift)


def _random_drift(rng: np.random.Generator, room_hz: float) -> float:
    """Draw a drift: in a quarter of the cases 0, in another quarter up to 0.5 Hz/s, else up to a little more than the
    drift that crosses ``room_hz``."""
    which = rng.random()
    if which < 0.25:
        return 0.0
    steepest = min(1.1 * room_hz / _WINDOW_S, 3.0)
    if which < 0.5:
        return float(rng.uniform(-0.5, 0.5))
    return float(rng.uniform(-steepest, steepest))


def mixed_signal(rng: np.random.Generator, name: str) -> Signal:
    """Draw a signal of one wide line, or of one to five narrow lines. The lines share a path and an envelope."""
    is_wide = rng.random() < 0.35
    lines = 1 if is_wide or rng.random() < 0.4 else int(rng.integers(2, 6))
    signal = Signal(
        name,
        width_hz=rng.uniform(25, 150) if is_wide else rng.uniform(2, 9),
        spacing_hz=rng.uniform(20, 110) if lines > 1 else 0.0,
        amplitudes=tuple(rng.uniform(0.4, 1, lines)),
        envelope=_mixed_envelope(rng),
    )
    sign = 1 if rng.random() < 0.5 else -1
    match rng.choice(["constant", "drifting", "curved", "sinusoidal", "hopping"]):
        case "drifting":
            return replace(signal, drift_hz_per_s=sign * float(np.exp(rng.uniform(np.log(0.1), np.log(1.6)))))
        case "curved":
            curvature = sign * rng.uniform(0.006, 0.02)
            return replace(signal, curvature_hz_per_s2=curvature, drift_hz_per_s=-curvature * rng.uniform(60, 230))
        case "sinusoidal":
            return replace(signal, path=Path("sinusoid", rng.uniform(20, 90), rng.uniform(80, 290)))
        case "hopping":
            return replace(signal, path=Path("hops", rng.uniform(50, 150), rng.uniform(20, 70),
                                             hops=tuple(rng.uniform(-1, 1, 5))))
    return signal


def _mixed_envelope(rng: np.random.Generator) -> Envelope:
    match rng.choice(["steady", "pulsed", "burst", "ramp", "flickering"]):
        case "pulsed":
            return Envelope("pulsed", rng.uniform(45, 140), rng.uniform(0.3, 0.7))
        case "burst":
            return Envelope("burst", 292.0, rng.uniform(0.1, 0.5))
        case "ramp":
            return Envelope("ramp", 292.0)
        case "flickering":
            return Envelope("scintillating", rng.uniform(20, 60))
    return Envelope()
