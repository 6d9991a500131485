"""Signals, and how one is added to the power of a filterbank.

Everything here is in units of the noise: a bin of pure noise has mean 1 and the radiometer's spread, and a
signal's strength is counted in sigmas of it. The instrument (:mod:`pipeline.simulate.instrument`) comes on
top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from pipeline.model import Header

EnvelopeKind = Literal["steady", "pulsed", "burst", "ramp"]
Profile = Literal["gaussian", "box"]

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
_REACH_SIGMAS = 3.0
_VISIBLE = 0.1  # share of its brightest bin from which on a signal counts as present, for the truth table


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
    """Brightness against time, between 0 and 1, counted from the signal's own zero of time."""

    kind: EnvelopeKind = "steady"
    period_s: float = math.inf
    """From pulse to pulse; of a ramp, the time from nothing to full brightness."""
    duty: float = 1.0
    """Share of the period in which it is on."""

    @property
    def on_s(self) -> float:
        """Length of one pulse."""
        return self.period_s * self.duty

    def at(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Brightness at ``times_s``. A burst is the first pulse alone, a ramp stays at 1 once it is there."""
        if self.kind == "pulsed":
            return (np.mod(times_s, self.period_s) < self.on_s).astype(np.float64)
        if self.kind == "burst":
            return ((times_s >= 0) & (times_s < self.on_s)).astype(np.float64)
        if self.kind == "ramp":
            return np.clip(times_s / self.period_s, 0, 1)
        return np.ones_like(times_s)


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of signal, wherever it is put: a line, or a comb of them that moves together."""

    name: str
    snr: float = 20.0
    """Excess of its brightest bin, in sigmas of one bin's noise, after drift has smeared it over channels."""
    width_hz: float = 3.0
    """Full width at half maximum (gaussian) or full width (box)."""
    drift_hz_per_s: float = 0.0
    curvature_hz_per_s2: float = 0.0
    """Rate of change of the drift."""
    envelope: Envelope = Envelope()
    profile: Profile = "gaussian"
    spacing_hz: float = 0.0
    """From line to line of a comb."""
    amplitudes: tuple[float, ...] = (1.0,)
    """Relative strength of the lines, from low frequency up; one for a single line."""

    def track_hz(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Frequency of the lowest line at ``times_s``, relative to where it is at time 0."""
        return times_s * (self.drift_hz_per_s + 0.5 * self.curvature_hz_per_s2 * times_s)

    @property
    def reach_hz(self) -> float:
        """How far a line extends to either side of its centre."""
        return self.width_hz * (0.5 if self.profile == "box" else _REACH_SIGMAS / FWHM_PER_SIGMA)

    def extent_hz(self, start_s: float, stop_s: float) -> tuple[float, float]:
        """Lowest and highest frequency it touches between two times, relative to its lowest line at 0."""
        track = self.track_hz(np.linspace(start_s, stop_s, 257))
        comb = self.spacing_hz * (len(self.amplitudes) - 1)
        return float(track.min()) - self.reach_hz, float(track.max()) + self.reach_hz + comb


@dataclass(frozen=True, slots=True)
class Footprint:
    """The bins of an array in which a signal reaches a tenth of its brightest one."""

    spectrum_start: int
    spectrum_stop: int
    channel_start: int
    channel_stop: int

    def __or__(self, other: Footprint) -> Footprint:
        """Smallest footprint that holds both."""
        return Footprint(
            min(self.spectrum_start, other.spectrum_start),
            max(self.spectrum_stop, other.spectrum_stop),
            min(self.channel_start, other.channel_start),
            max(self.channel_stop, other.channel_stop),
        )

    def shifted(self, channels: int) -> Footprint:
        """Footprint as seen from ``channels`` further down."""
        start, stop = self.channel_start + channels, self.channel_stop + channels
        return Footprint(self.spectrum_start, self.spectrum_stop, start, stop)


def add_signal(
    power: NDArray[np.float32],
    signal: Signal,
    *,
    axes: Axes,
    channel: float,
    rng: np.random.Generator,
    t_s: float = 0.0,
) -> Footprint | None:
    """Add a signal in place, touching only the channels it reaches.

    Parameters
    ----------
    power : (spectra, channels) float32
        Noise of mean 1 (see :func:`~pipeline.simulate.noise`), ascending frequency.
    channel : float
        Where the lowest line is at ``t_s``: bin k covers k to k + 1. What falls outside is cut off.
    t_s : float
        The signal's zero of time, in seconds after the array's first spectrum.
    rng : Generator
        A coherent signal beats against the noise: an excess e adds 2e/N to a bin's variance.

    Returns
    -------
    Footprint or None
        What the signal covers of the array; None where it misses it.
    """
    spectra, channels = power.shape
    low_hz, high_hz = signal.extent_hz(-t_s, spectra * axes.tsamp_s - t_s)
    if channel + high_hz / axes.channel_width_hz < 0 or channel + low_hz / axes.channel_width_hz > channels:
        return None
    lines = _lines(signal, axes, spectra, channel, t_s)
    peak = max(float(image.max()) for _, image in lines)
    if peak <= 0:
        return None
    rows, columns = [], []
    for first, image in lines:
        excess = image * (signal.snr * axes.sigma / peak)
        for row in range(spectra):
            _add_row(power[row], excess[row], int(first[row]), axes, rng)
        seen_rows, seen_columns = np.nonzero(image >= _VISIBLE * peak)
        seen_columns = seen_columns + first[seen_rows]
        inside = (seen_columns >= 0) & (seen_columns < channels)
        rows.append(seen_rows[inside])
        columns.append(seen_columns[inside])
    return _footprint(np.concatenate(rows), np.concatenate(columns))


def _lines(
    signal: Signal, axes: Axes, spectra: int, channel: float, t_s: float
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Draw each line by itself: (first channel of each row, brightness (rows, channels from it on))."""
    ends_s = np.array([-t_s, spectra * axes.tsamp_s - t_s])
    slope = np.abs(signal.drift_hz_per_s + signal.curvature_hz_per_s2 * ends_s).max()
    # moments closer than half a channel, lest a fast line fall apart into dots
    moments = max(16, math.ceil(2 * slope * axes.tsamp_s / axes.channel_width_hz))
    times_s = (np.arange(spectra)[:, None] + (np.arange(moments) + 0.5) / moments) * axes.tsamp_s - t_s
    brightness = signal.envelope.at(times_s)[:, :, None]
    track = channel + signal.track_hz(times_s) / axes.channel_width_hz
    reach = signal.reach_hz / axes.channel_width_hz
    lines = []
    for line, amplitude in enumerate(signal.amplitudes):
        centre = track + line * signal.spacing_hz / axes.channel_width_hz
        first = np.floor(centre.min(axis=1) - reach).astype(np.int64)
        width = int((np.ceil(centre.max(axis=1) + reach) - first).max())
        edges = first[:, None, None] + np.arange(width + 1) - centre[:, :, None]
        share = np.diff(_cumulative(signal, edges * axes.channel_width_hz), axis=2)
        lines.append((first, amplitude * (share * brightness).mean(axis=1)))
    return lines


def _cumulative(signal: Signal, offset_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power of a line below ``offset_hz`` from its centre, up to a constant factor."""
    if signal.profile == "box":
        return np.clip(offset_hz, -signal.width_hz / 2, signal.width_hz / 2)
    below: NDArray[np.float64] = erf(offset_hz * (FWHM_PER_SIGMA / (signal.width_hz * math.sqrt(2))))
    return below


def _add_row(
    power: NDArray[np.float32], excess: NDArray[np.float64], first: int, axes: Axes, rng: np.random.Generator
) -> None:
    """Add one row of a line, which begins at channel ``first``, to one row of power."""
    start, stop = max(first, 0), min(first + excess.size, power.size)
    if start >= stop:
        return
    part = excess[start - first : stop - first]
    beat = np.sqrt(2 * part / axes.noise_spectra) * rng.standard_normal(part.size)
    target = power[start:stop]
    target[:] = np.maximum(target + part + beat, 0.01 * target)  # power stays positive


def _footprint(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Footprint | None:
    if rows.size == 0:
        return None
    return Footprint(int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1)
