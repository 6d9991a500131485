"""Signals: what one is, in Hz and seconds, wherever it is put.

A signal's strength is counted in sigmas of the noise of one bin. How it is added to the power of a filterbank is
:mod:`pipeline.simulate.draw`'s; the instrument (:mod:`pipeline.simulate.instrument`) comes on top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Header

EnvelopeKind = Literal["steady", "pulsed", "burst", "ramp", "fade", "scintillating", "decay", "dashes"]
PathKind = Literal["straight", "sinusoid", "hops", "zigzag", "sawtooth", "stairs", "kink"]
Profile = Literal["gaussian", "box", "lorentzian"]

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
_GAUSSIAN_REACH = 3.0 / FWHM_PER_SIGMA
_LORENTZIAN_REACH = 4.0  # 8 % of its power lies further out


@dataclass(frozen=True, slots=True)
class Axes:
    """Resolution of a product, in Hz and seconds; the default is the fine product of Breakthrough Listen."""

    channel_width_hz: float = 187.5e6 / 2**26
    tsamp_s: float = 18.253611008

    @classmethod
    def of(cls, header: Header) -> Axes:
        """Resolution of a file."""
        return cls(header.channel_width_mhz * 1e6, header.tsamp_s)

    @property
    def noise_spectra(self) -> float:
        """Exponentials averaged in one bin of total power: spectra × two polarisations."""
        return 2 * self.tsamp_s * self.channel_width_hz

    @property
    def sigma(self) -> float:
        """Spread of a bin of noise, in units of its mean."""
        return 1 / math.sqrt(self.noise_spectra)


FINE = Axes()
"""The fine product."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Brightness against time, at least 0, counted from the signal's own zero of time."""

    kind: EnvelopeKind = "steady"
    period_s: float = math.inf
    """From pulse to pulse; of a ramp or fade, the time between nothing and full brightness; the time in which a
    scintillating signal changes, or a decaying one falls to 1/e; the length of one dash."""
    duty: float = 1.0
    """Share of the period in which it is on."""
    phase_s: float = 0.0
    """How far into its period a pulsed signal is at time 0."""
    dashes: tuple[int, ...] = ()
    """On (1) or off (0), dash after dash, from the beginning again after the last."""

    @property
    def on_s(self) -> float:
        """Length of one pulse."""
        return self.period_s * self.duty

    @property
    def is_periodic(self) -> bool:
        """True where a shift by less than the period gives the same kind of signal."""
        return self.kind in ("pulsed", "dashes")

    def at(self, times_s: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Brightness at ``times_s``.

        A burst is the first pulse alone, a ramp stays at 1 once it is there, a fade at 0. Scintillation is strong: its
        brightness is exponentially distributed, drawn anew with each call from ``rng``.
        """
        match self.kind:
            case "pulsed":
                return (np.mod(times_s + self.phase_s, self.period_s) < self.on_s).astype(np.float64)
            case "burst":
                return ((times_s >= 0) & (times_s < self.on_s)).astype(np.float64)
            case "ramp":
                return np.clip(times_s / self.period_s, 0, 1)
            case "fade":
                return np.clip(1 - times_s / self.period_s, 0, 1)
            case "decay":
                return np.where(times_s >= 0, np.exp(-np.maximum(times_s, 0) / self.period_s), 0)
            case "dashes":
                which = np.floor((times_s + self.phase_s) / self.period_s).astype(np.int64)
                return np.array(self.dashes, np.float64)[which % len(self.dashes)]
            case "scintillating":
                if rng is None:
                    raise ValueError("a scintillating envelope is drawn from a generator")
                knots = np.arange(times_s.min(), times_s.max() + 2 * self.period_s, self.period_s)
                return np.interp(times_s, knots, rng.standard_exponential(len(knots)))
        return np.ones_like(times_s)


@dataclass(frozen=True, slots=True)
class Path:
    """What a line does in frequency besides drifting, counted from the signal's own zero of time."""

    kind: PathKind = "straight"
    reach_hz: float = 0.0
    """Furthest from the drifting line: amplitude of a sinusoid or zigzag, height of a sawtooth, of one stair, of the
    furthest hop."""
    period_s: float = math.inf
    """Of a sinusoid, zigzag or sawtooth; the time spent at one hop or stair; when a kinked line stops drifting."""
    phase_s: float = 0.0
    """How far into its period a periodic path is at time 0."""
    hops: tuple[float, ...] = ()
    """Where it hops to, in units of ``reach_hz``, from the beginning again after the last; empty for random hops."""

    @property
    def is_periodic(self) -> bool:
        """True where a shift by less than the period gives the same kind of signal."""
        return self.kind in ("sinusoid", "hops", "zigzag", "sawtooth")

    @property
    def fastest_hz_per_s(self) -> float:
        """Steepest slope between its jumps."""
        per_period = {"sinusoid": 2 * math.pi, "zigzag": 4.0, "sawtooth": 1.0}.get(self.kind, 0.0)
        return per_period * abs(self.reach_hz) / self.period_s

    def at(self, times_s: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Frequency besides the drift at ``times_s``; random hops are drawn anew with each call from ``rng``."""
        turns = (times_s + self.phase_s) / self.period_s
        match self.kind:
            case "sinusoid":
                return self.reach_hz * np.sin(2 * math.pi * turns)
            case "zigzag":
                return self.reach_hz * (4 * np.abs(np.mod(turns, 1) - 0.5) - 1)
            case "sawtooth":
                return self.reach_hz * np.mod(turns, 1)
            case "stairs":
                return self.reach_hz * np.floor(turns)
            case "hops":
                which = np.floor(turns).astype(np.int64)
                hops = np.array(self.hops)
                if not self.hops:
                    if rng is None:
                        raise ValueError("random hops are drawn from a generator")
                    hops = rng.uniform(-1, 1, which.max() - which.min() + 1)
                return self.reach_hz * hops[(which - which.min() if not self.hops else which) % len(hops)]
        return np.zeros_like(times_s)


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of signal, wherever it is put: a line, or a comb of them that moves together."""

    name: str
    snr: float = 20.0
    """Excess of its brightest bin, in sigmas of one bin's noise, after drift has smeared it over channels."""
    width_hz: float = 3.0
    """Full width at half maximum (gaussian, lorentzian) or full width (box), at time 0."""
    drift_hz_per_s: float = 0.0
    curvature_hz_per_s2: float = 0.0
    """Rate of change of the drift."""
    path: Path = Path()
    envelope: Envelope = Envelope()
    profile: Profile = "gaussian"
    broadening_hz_per_s: float = 0.0
    """Growth of the width; it never falls below a tenth of what it is at time 0."""
    spacing_hz: float = 0.0
    """From line to line of a comb, or from carrier to sideband."""
    amplitudes: tuple[float, ...] = (1.0,)
    """Relative strength of the lines, from low frequency up; one for a single line."""
    stretch: float = 0.0
    """Line k of a comb lies at spacing × (k + stretch × k²)."""
    fan_hz_per_s: float = 0.0
    """Line k drifts k times this faster than line 0."""
    stagger_s: float = 0.0
    """Line k comes and goes k times this later than line 0: 0 for all together."""

    def track_hz(self, times_s: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Frequency of the lowest line at ``times_s``, relative to where it is at time 0 but for its path."""
        drifting_s = np.minimum(times_s, self.path.period_s) if self.path.kind == "kink" else times_s
        track: NDArray[np.float64] = drifting_s * (self.drift_hz_per_s + 0.5 * self.curvature_hz_per_s2 * drifting_s)
        return track if self.path.kind in ("straight", "kink") else track + self.path.at(times_s, rng)

    def offsets_hz(self) -> NDArray[np.float64]:
        """Frequency of each line at time 0, relative to line 0."""
        line = np.arange(len(self.amplitudes))
        return self.spacing_hz * (line + self.stretch * line**2)

    def widths_hz(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Width of its lines at ``times_s``."""
        return np.maximum(self.width_hz + self.broadening_hz_per_s * times_s, 0.1 * self.width_hz)

    @property
    def reach_per_width(self) -> float:
        """How far a line extends to either side of its centre, in widths."""
        return {"box": 0.5, "gaussian": _GAUSSIAN_REACH, "lorentzian": _LORENTZIAN_REACH}[self.profile]

    def extent_hz(self, start_s: float, stop_s: float) -> tuple[float, float]:
        """Lowest and highest frequency it can touch between two times, relative to its lowest line at 0."""
        times_s = np.linspace(start_s, stop_s, 129)
        if self.path.kind == "hops":
            track = times_s * (self.drift_hz_per_s + 0.5 * self.curvature_hz_per_s2 * times_s)
            low, high = track.min() - abs(self.path.reach_hz), track.max() + abs(self.path.reach_hz)
        else:
            track = self.track_hz(times_s)
            low, high = track.min(), track.max()
        if len(self.amplitudes) > 1:
            lines = self.offsets_hz()[:, None] + self.fan_hz_per_s * np.outer(
                np.arange(len(self.amplitudes)), (start_s, stop_s))
            low, high = low + min(lines.min(), 0), high + max(lines.max(), 0)
        reach = self.reach_per_width * float(self.widths_hz(times_s).max())
        return float(low) - reach, float(high) + reach
