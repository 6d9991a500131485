"""Descriptions of signals in Hz and seconds, independent of their position in a file.

The strength of a signal is in sigmas of the noise of one bin. :mod:`pipeline.simulate.draw` adds signals to the power
of a filterbank, and :mod:`pipeline.simulate.instrument` then applies the receiver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Header

EnvelopeKind = Literal["steady", "pulsed", "burst", "ramp", "fade", "scintillating", "decay", "dashes", "random"]
PathKind = Literal["straight", "sinusoid", "hops", "zigzag", "sawtooth", "stairs", "kink", "bends"]
Profile = Literal["gaussian", "box", "lorentzian"]

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
_GAUSSIAN_REACH = 3.0 / FWHM_PER_SIGMA
_LORENTZIAN_REACH = 4.0  # 8 % of the power lies beyond it


@dataclass(frozen=True, slots=True)
class Axes:
    """Resolution of a product in Hz and seconds. The default is the fine product of Breakthrough Listen."""

    channel_width_hz: float = 187.5e6 / 2**26
    tsamp_s: float = 18.253611008
    averaged: float | None = None
    """Number of exponential variables averaged in one bin. None: as many as total power has at this resolution."""

    @classmethod
    def of(cls, header: Header) -> Axes:
        """Return the resolution of a file."""
        return cls(header.channel_width_mhz * 1e6, header.tsamp_s)

    @property
    def noise_spectra(self) -> float:
        """Number of exponential variables averaged in one bin. For total power: spectra × two polarisations."""
        return self.averaged if self.averaged is not None else 2 * self.tsamp_s * self.channel_width_hz

    @property
    def sigma(self) -> float:
        """Standard deviation of a bin of noise, in units of its mean."""
        return 1 / math.sqrt(self.noise_spectra)


FINE = Axes()
"""The fine product."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Brightness as a function of time. Time is relative to the signal's time 0; brightness is not negative."""

    kind: EnvelopeKind = "steady"
    period_s: float = math.inf
    """Time scale in seconds. Pulsed: time from pulse to pulse. Ramp or fade: time between zero and full brightness.
    Scintillating: time in which the brightness changes. Decay: time in which it falls to 1/e. Dashes: length of one
    dash. Random: shortest time on or off."""
    duty: float = 1.0
    """Share of the period in which the signal is on. Random: probability to be on."""
    phase_s: float = 0.0
    """Position within the period at time 0, in seconds."""
    dashes: tuple[int, ...] = ()
    """Sequence of dashes, each on (1) or off (0). It repeats."""
    floor: float = 0.0
    """Brightness while the signal is off; 0 to 1."""

    @property
    def on_s(self) -> float:
        """Length of one pulse."""
        return self.period_s * self.duty

    @property
    def is_periodic(self) -> bool:
        """True if the envelope repeats, so that any phase gives the same kind of signal."""
        return self.kind in ("pulsed", "dashes")

    def at(self, times_s: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Return the brightness at ``times_s``, of the same shape.

        A burst is a single pulse from time 0. A ramp stays at 1 after it has reached 1, and a fade at 0. Scintillation
        is strong: the brightness is exponentially distributed. Each call draws scintillating and random envelopes
        again from ``rng``.

        Raises
        ------
        ValueError
            The envelope is scintillating or random, and ``rng`` is None.
        """
        shape = self._shape(times_s, rng)
        return self.floor + (1 - self.floor) * shape if self.floor else shape

    def mean(self, duration_s: float) -> float:
        """Return the mean brightness over ``duration_s`` from time 0. Where chance decides, it is the expected mean."""
        match self.kind:
            case "scintillating":
                mean = 1.0
            case "random" | "pulsed":
                mean = self.duty
            case "dashes":
                mean = sum(self.dashes) / len(self.dashes)
            case _:
                mean = float(self._shape(np.linspace(0, duration_s, 512, endpoint=False), None).mean())
        return self.floor + (1 - self.floor) * mean

    def _shape(self, times_s: NDArray[np.float64], rng: np.random.Generator | None) -> NDArray[np.float64]:
        """Return the brightness without the floor."""
        if rng is None and self.kind in ("scintillating", "random"):
            raise ValueError(f"a {self.kind} envelope is drawn from a generator")
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
            case "random" if rng is not None:
                which = np.floor((times_s + self.phase_s) / self.period_s).astype(np.int64)
                which -= which.min()
                return np.asarray(rng.random(which.max() + 1) < self.duty, np.float64)[which]
            case "scintillating" if rng is not None:
                knots = np.arange(times_s.min(), times_s.max() + 2 * self.period_s, self.period_s)
                return np.interp(times_s, knots, rng.standard_exponential(len(knots)))
        return np.ones_like(times_s)


@dataclass(frozen=True, slots=True)
class Path:
    """Motion of a line in frequency in addition to its drift. Time is relative to the signal's time 0."""

    kind: PathKind = "straight"
    reach_hz: float = 0.0
    """Size of the motion in Hz. Sinusoid or zigzag: amplitude. Sawtooth: height. Stairs: height of one stair. Hops
    or bends: largest distance from the drifting line."""
    period_s: float = math.inf
    """Time scale in seconds. Sinusoid, zigzag or sawtooth: period. Hops or stairs: time at one frequency. Bends: time
    from bend to bend. Kink: time at which the line stops drifting."""
    phase_s: float = 0.0
    """Position within the period at time 0, in seconds."""
    hops: tuple[float, ...] = ()
    """Frequencies of the hops, or at the bends, in units of ``reach_hz``. Empty: random. Hops repeat. The first bend is
    at time 0; before the first bend and after the last, the line only drifts."""

    @property
    def is_periodic(self) -> bool:
        """True if the path repeats, so that any phase gives the same kind of signal."""
        return self.kind in ("sinusoid", "hops", "zigzag", "sawtooth")

    @property
    def fastest_hz_per_s(self) -> float:
        """Largest slope of the path between jumps."""
        if self.kind == "bends" and self.hops:
            return float(np.abs(np.diff(self.hops)).max(initial=0)) * abs(self.reach_hz) / self.period_s
        per_period = {"sinusoid": 2 * math.pi, "zigzag": 4.0, "sawtooth": 1.0, "bends": 2.0}.get(self.kind, 0.0)
        return per_period * abs(self.reach_hz) / self.period_s

    def at(self, times_s: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Return the frequency relative to the drifting line at ``times_s``, in Hz, of the same shape.

        Each call draws random hops and bends again from ``rng``.

        Raises
        ------
        ValueError
            The hops or bends are random, and ``rng`` is None.
        """
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
                    hops = self._random_places(rng, int(which.max() - which.min()) + 1)
                return self.reach_hz * hops[(which - which.min() if not self.hops else which) % len(hops)]
            case "bends" if self.hops:
                return self.reach_hz * np.interp(turns, np.arange(len(self.hops)), self.hops)
            case "bends":
                first, last = math.floor(turns.min()), math.ceil(turns.max())
                places = self._random_places(rng, last - first + 1)
                return self.reach_hz * np.interp(turns, np.arange(first, last + 1), places)
        return np.zeros_like(times_s)

    def _random_places(self, rng: np.random.Generator | None, count: int) -> NDArray[np.float64]:
        if rng is None:
            raise ValueError(f"random {self.kind} are drawn from a generator")
        return rng.uniform(-1, 1, count)


@dataclass(frozen=True, slots=True)
class Traits:
    """The main properties of a signal or pattern as numbers, so that similarity can be graded.

    Those of a pattern are the properties of its first part.
    """

    kind: str
    snr: float
    drift_hz_per_s: float = 0.0
    spacing_hz: float = 0.0
    """Mean distance between neighbouring lines or groups; 0 for a single line or a cloud."""
    lines_per_khz: float = 0.0
    """Density of lines; 0 for a single line or a cloud."""
    width_hz: float = 0.0
    """Median width of a line, or scale of a cloud in frequency; 0 for steps of the gain."""
    envelope: EnvelopeKind = "steady"
    on_share: float = 1.0
    """Mean brightness over time, relative to a steady signal."""
    one_by_one: bool = False
    is_noise: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of signal: a line, or a comb of lines that move together."""

    name: str
    snr: float = 20.0
    """Excess of the brightest bin in sigmas of one bin's noise, measured after the drift smears it over channels."""
    width_hz: float = 3.0
    """Full width at half maximum (gaussian, lorentzian) or full width (box), at time 0."""
    drift_hz_per_s: float = 0.0
    curvature_hz_per_s2: float = 0.0
    """Rate of change of the drift."""
    path: Path = Path()
    envelope: Envelope = Envelope()
    profile: Profile = "gaussian"
    broadening_hz_per_s: float = 0.0
    """Growth of the width. The width is at least a tenth of its value at time 0."""
    spacing_hz: float = 0.0
    """Distance between neighbouring lines of a comb, or between carrier and sideband."""
    amplitudes: tuple[float, ...] = (1.0,)
    """Relative strength of each line, in ascending frequency; one number for a single line."""
    stretch: float = 0.0
    """Line k of a comb lies at spacing × (k + stretch × k²)."""
    fan_hz_per_s: float = 0.0
    """Difference in drift between neighbouring lines: line k drifts by k times this faster than line 0."""
    stagger_s: float = 0.0
    """Delay of the envelope between neighbouring lines: line k is k times this later than line 0."""

    def traits(self, duration_s: float = 16 * FINE.tsamp_s) -> Traits:
        """Return the main properties as numbers. ``duration_s`` is the time over which the envelope is averaged."""
        spacing_hz = self.spacing_hz if len(self.amplitudes) > 1 else 0.0
        return Traits(self.name, self.snr, self.drift_hz_per_s, spacing_hz, 1e3 / spacing_hz if spacing_hz else 0.0,
                      self.width_hz, self.envelope.kind, self.envelope.mean(duration_s), one_by_one=self.stagger_s != 0)

    def track_hz(self, times_s: NDArray[np.float64], rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Return the frequency of line 0 at ``times_s`` in Hz, of the same shape.

        It is relative to the frequency at time 0 without the path. Each call draws random hops again from ``rng``.
        """
        drifting_s = np.minimum(times_s, self.path.period_s) if self.path.kind == "kink" else times_s
        track: NDArray[np.float64] = drifting_s * (self.drift_hz_per_s + 0.5 * self.curvature_hz_per_s2 * drifting_s)
        return track if self.path.kind in ("straight", "kink") else track + self.path.at(times_s, rng)

    def offsets_hz(self) -> NDArray[np.float64]:
        """Return the frequency of each line at time 0 in Hz, relative to line 0."""
        line = np.arange(len(self.amplitudes))
        return self.spacing_hz * (line + self.stretch * line**2)

    def widths_hz(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the width of the lines at ``times_s`` in Hz, of the same shape."""
        return np.maximum(self.width_hz + self.broadening_hz_per_s * times_s, 0.1 * self.width_hz)

    @property
    def reach_per_width(self) -> float:
        """Extent of a line on each side of its centre, in units of its width."""
        return {"box": 0.5, "gaussian": _GAUSSIAN_REACH, "lorentzian": _LORENTZIAN_REACH}[self.profile]

    def extent_hz(self, start_s: float, stop_s: float) -> tuple[float, float]:
        """Return the lowest and highest frequency that the signal can reach between two times.

        Both are in Hz, relative to line 0 at time 0. Random hops and bends count with their largest distance.
        """
        times_s = np.linspace(start_s, stop_s, 129)
        if self.path.kind == "hops" or (self.path.kind == "bends" and not self.path.hops):
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
