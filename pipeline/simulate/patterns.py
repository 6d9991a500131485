"""Descriptions of interference that fills a window: many lines, clouds of noise, and steps of the gain.

A :class:`~pipeline.simulate.Signal` is exact: it says where each line is. A pattern is statistical: it says how many
lines there are and how they vary, and each drawing has other lines. :mod:`pipeline.simulate.paint` draws patterns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pipeline.simulate.families import log_uniform
from pipeline.simulate.signals import FINE, Envelope, Path, Profile, Traits

_STRAIGHT, _STEADY = Path(), Envelope()


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines, alone or in groups, that share a motion.

    The groups stand at equal distances or at random, and fill the window or a part of it.
    """

    strength: float = 1.0
    """Brightest bin, relative to the pattern's SNR."""
    spacing_hz: float = 100.0
    """Mean distance between neighbouring groups."""
    groups: int = 0
    """Number of groups, side by side; 0 for as many as the window takes."""
    irregularity: float = 0.0
    """Largest displacement of a group from its place in the comb, in units of the spacing. 0: an exact comb; 1: almost
    random frequencies."""
    missing: float = 0.0
    """Share of the groups that are missing."""
    lines_per_group: int = 1
    line_spacing_hz: float = 0.0
    """Distance between neighbouring lines of a group."""
    line_jitter: float = 0.0
    """Largest displacement of a line within its group, in units of the lines' spacing."""
    shift_hz: float = 0.0
    """Distance from the place of another comb with this spacing in the same pattern."""
    width_hz: float = 3.0
    """Median width of the lines, as :attr:`Signal.width_hz`."""
    width_spread: float = 0.0
    """Standard deviation of the logarithm of the widths."""
    strength_spread: float = 0.0
    """Standard deviation of the logarithm of the strengths of the groups."""
    line_strength_spread: float = 0.0
    """The same for the lines of a group. All groups have the same relative strengths."""
    profile: Profile = "gaussian"
    drift_hz_per_s: float = 0.0
    drift_spread: float = 0.0
    """Relative standard deviation of the drifts of the groups."""
    curvature_hz_per_s2: float = 0.0
    path: Path = _STRAIGHT
    envelope: Envelope = _STEADY
    one_by_one: bool = False
    """True: each line has an envelope of its own. False: all lines brighten and fade together."""
    grain: float = 0.0
    """Standard deviation of the logarithm of the brightness from bin to bin, as if the lines were keyed faster than a
    bin lasts."""
    is_noise: bool = False
    """True: the lines are noise, and fluctuate like it. False: they are coherent, and only beat against the noise of
    the sky."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """Noise whose strength changes smoothly over frequency, over time, or both: bands, bursts, patches."""

    strength: float = 1.0
    """Brightest bin, relative to the pattern's SNR."""
    scale_hz: float = 100.0
    """Distance in frequency over which the strength changes."""
    scale_s: float = math.inf
    """Time in which the structure in frequency changes. Infinite: all spectra have the same."""
    contrast: float = 0.0
    """Standard deviation of the logarithm of the strength; 0 for the same strength everywhere."""
    band_hz: float = math.inf
    """Width of the part of the band that is covered. Its position is random."""
    edge_hz: float = 0.0
    """Width over which the cloud fades at its ends."""
    drift_hz_per_s: float = 0.0
    grain: float = 0.0
    """Standard deviation of the logarithm of the brightness from bin to bin."""
    envelope: Envelope = _STEADY


@dataclass(frozen=True, slots=True)
class Gains:
    """Steps of the receiver's gain: all channels of a row change together, signals included."""

    spread: float = 0.05
    """Standard deviation of the logarithm of the gain."""
    hold_s: float = 18.0
    """Mean time between two steps."""


Part = Lines | Cloud | Gains


@dataclass(frozen=True, slots=True)
class Pattern:
    """Interference that fills a window, composed of parts. Gains apply to all other parts and to the noise."""

    kind: str
    """Name of the kind, such as those in :data:`~pipeline.simulate.KINDS`."""
    parts: tuple[Part, ...]
    """The first part gives the pattern its kind."""
    snr: float = 20.0
    """Excess of the brightest bin of a part of strength 1, in sigmas of one bin's noise."""
    name: str = ""
    """Name of the family; patterns of the same parameters have the same."""
    band_hz: float = 256 * FINE.channel_width_hz
    """Width of the part of a file that the pattern covers."""
    duration_s: float = 16 * FINE.tsamp_s
    """Length of that part."""

    def traits(self) -> Traits:
        """Return the main properties as numbers."""
        first = self.parts[0]
        if isinstance(first, Gains):
            return Traits(self.kind, self.snr, is_noise=True)
        on_share = first.envelope.mean(self.duration_s)
        if isinstance(first, Cloud):
            return Traits(self.kind, self.snr, first.drift_hz_per_s, width_hz=first.scale_hz,
                          envelope=first.envelope.kind, on_share=on_share, is_noise=True)
        spacing_hz = 0.0 if first.groups == 1 else first.spacing_hz
        density = 1e3 * first.lines_per_group * (1 - first.missing) / spacing_hz if spacing_hz else 0.0
        return Traits(self.kind, self.snr, first.drift_hz_per_s, spacing_hz, density, first.width_hz,
                      first.envelope.kind, on_share, first.one_by_one, first.is_noise)


def vary_pattern(
    rng: np.random.Generator, pattern: Pattern, snr: tuple[float, float] = (6.0, 60.0), by: float = 0.1
) -> Pattern:
    """Draw a random variant of a pattern: a member of the same family.

    Lines, clouds, gains and phases are drawn when the pattern is added to a window, so they differ in any case.

    Parameters
    ----------
    rng : Generator
    pattern : Pattern
        The pattern to vary.
    snr : (float, float)
        Range of the SNR per bin; its logarithm is drawn uniformly.
    by : float
        Drifts, curvatures and widths are multiplied by factors from 1 − ``by`` to 1 + ``by``, the same for all parts.
    """
    drift, curvature, width = rng.uniform(1 - by, 1 + by, 3)

    def varied(part: Part) -> Part:
        match part:
            case Lines():
                return replace(part, width_hz=part.width_hz * width, drift_hz_per_s=part.drift_hz_per_s * drift,
                               curvature_hz_per_s2=part.curvature_hz_per_s2 * curvature)
            case Cloud():
                return replace(part, scale_hz=part.scale_hz * width, drift_hz_per_s=part.drift_hz_per_s * drift)
        return part

    return replace(pattern, parts=tuple(map(varied, pattern.parts)), snr=log_uniform(rng, *snr))


def stretched(pattern: Pattern, frequency: float = 1.0, time: float = 1.0) -> Pattern:
    """Stretch a pattern in frequency and time, for another resolution or for more variety.

    Parameters
    ----------
    pattern : Pattern
        The pattern to stretch.
    frequency : float
        Factor of all widths and distances in Hz. A negative one also mirrors the pattern in frequency.
    time : float
        Factor of all times, above 0. Drifts change by ``frequency`` / ``time``.
    """
    wider = abs(frequency)

    def in_time(envelope: Envelope) -> Envelope:
        return replace(envelope, period_s=envelope.period_s * time, phase_s=envelope.phase_s * time)

    def changed(part: Part) -> Part:
        if isinstance(part, Gains):
            return replace(part, hold_s=part.hold_s * time)
        drift, envelope = part.drift_hz_per_s * frequency / time, in_time(part.envelope)
        if isinstance(part, Cloud):
            return replace(part, scale_hz=part.scale_hz * wider, scale_s=part.scale_s * time,
                           band_hz=part.band_hz * wider, edge_hz=part.edge_hz * wider, drift_hz_per_s=drift,
                           envelope=envelope)
        path = replace(part.path, reach_hz=part.path.reach_hz * frequency, period_s=part.path.period_s * time,
                       phase_s=part.path.phase_s * time)
        return replace(part, spacing_hz=part.spacing_hz * wider, line_spacing_hz=part.line_spacing_hz * wider,
                       shift_hz=part.shift_hz * frequency, width_hz=part.width_hz * wider, drift_hz_per_s=drift,
                       curvature_hz_per_s2=part.curvature_hz_per_s2 * frequency / time**2, path=path,
                       envelope=envelope)

    return replace(pattern, parts=tuple(map(changed, pattern.parts)), band_hz=pattern.band_hz * wider,
                   duration_s=pattern.duration_s * time)


def together(first: Pattern, second: Pattern, *, strength: float = 1.0) -> Pattern:
    """Put two patterns into one window.

    Parameters
    ----------
    first : Pattern
        Gives SNR and traits.
    second : Pattern
        The pattern to add. Its gains are left out if ``first`` has gains.
    strength : float
        Strength of ``second`` relative to ``first``.
    """
    has_gains = any(isinstance(part, Gains) for part in first.parts)
    added = tuple(part if isinstance(part, Gains) else replace(part, strength=part.strength * strength)
                  for part in second.parts if not (has_gains and isinstance(part, Gains)))
    return replace(first, kind=f"{first.kind}+{second.kind}", parts=first.parts + added,
                   name=f"{first.name}+{second.name}")
