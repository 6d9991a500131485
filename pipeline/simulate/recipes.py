"""Recipes: ranges from which the parameters of patterns are drawn, and parts that several kinds share.

Ranges suit windows of the fine product (715 Hz × 292 s). They were measured on windows of Green Bank's L and S bands:
distances by autocorrelation, drifts by the best shear, strengths by the brightest bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline.simulate.families import log_uniform
from pipeline.simulate.patterns import Cloud, Gains, Lines
from pipeline.simulate.signals import Envelope, Path


@dataclass(frozen=True, slots=True)
class Uniform:
    """A number between two others."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Log:
    """A number between two positive others, whose logarithm is uniformly distributed."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number; both ends are included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several choices, each as likely as the others."""

    choices: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SameAsFirst:
    """The value that the first part of the pattern has."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A class and the ranges of its fields."""

    makes: type
    fields: Mapping[str, Any]
    chance: float = 1.0
    """Share of the patterns that have this part."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of interference: the recipes of its parts, and the usual range of its SNR."""

    name: str
    parts: tuple[Recipe, ...]
    snr: tuple[float, float]
    label: str = ""
    """Name of the kind in folders of labelled windows, if it is not ``name`` because a family has that name."""
    fills_rows: bool = False
    """True if the kind fills whole rows, so that dividing rows by their gains removes a part of it."""


def some(makes: type, chance: float = 1.0, **fields: Any) -> Recipe:
    """Make a recipe. ``chance`` is the share of patterns that have the part."""
    return Recipe(makes, MappingProxyType(fields), chance)


def draw_value(rng: np.random.Generator, value: Any, first: Any = None) -> Any:
    """Draw a value from its range; anything that is not a range is the value itself."""
    match value:
        case Uniform(low, high):
            return float(rng.uniform(low, high))
        case Log(low, high):
            return log_uniform(rng, low, high)
        case Whole(low, high):
            return int(rng.integers(low, high + 1))
        case OneOf(choices):
            return draw_value(rng, choices[rng.integers(len(choices))], first)
        case Recipe(makes, fields):
            return makes(**{key: getattr(first, key) if isinstance(one, SameAsFirst) else draw_value(rng, one, first)
                            for key, one in fields.items()})
    return value


STEADY = Envelope()
BURST = some(Envelope, kind="burst", period_s=292.0, duty=Uniform(0.3, 0.8))
UNSTEADY = some(Envelope, kind="scintillating", period_s=Log(15, 50), floor=Uniform(0.4, 0.8))
FEW_ROWS = some(Envelope, kind="burst", period_s=18.25, duty=Uniform(0.8, 3.0))
ONE_ROW = some(Envelope, kind="burst", period_s=18.25, duty=Uniform(0.25, 1.1))
COMES = some(Envelope, kind="ramp", period_s=Uniform(150, 290), floor=Uniform(0, 0.2))
GOES = some(Envelope, kind="fade", period_s=Uniform(150, 290), floor=Uniform(0, 0.2))
FLICKER = some(Envelope, kind="scintillating", period_s=Log(40, 150), floor=Uniform(0.2, 0.5))
ROWS = some(Envelope, kind="random", period_s=18.25, duty=Uniform(0.3, 0.7), floor=Uniform(0.3, 0.7))
BLOCKS = some(Envelope, kind="random", period_s=Uniform(40, 90), duty=Uniform(0.4, 0.7))
SHORT_BLOCKS = some(Envelope, kind="random", period_s=Uniform(18.3, 50), duty=Uniform(0.2, 0.5), floor=Uniform(0, 0.08))
PULSES = some(Envelope, kind="pulsed", period_s=Uniform(45, 70), duty=Uniform(0.25, 0.4), floor=Uniform(0, 0.15))
TWO_BURSTS = some(Envelope, kind="dashes", period_s=18.25,
                   dashes=OneOf(((1,) + (0,) * 3 + (1,) + (0,) * 11, (1, 1) + (0,) * 5 + (1,) + (0,) * 8)))
OFTEN_STEADY = OneOf((STEADY, UNSTEADY, BURST, COMES, GOES, FLICKER))
COMB_TIMES = OneOf((UNSTEADY, BURST, COMES, GOES, FLICKER, FLICKER))

WANDER = some(Path, kind="bends", reach_hz=Log(1.5, 7), period_s=Uniform(30, 110))
SMALL_GAINS = some(Gains, spread=Log(0.008, 0.05), hold_s=Log(10, 45))
UNEVEN_BAND = some(Cloud, 0.3, strength=Uniform(0.03, 0.12), scale_hz=3.0, contrast=0.5)
LARGE_GAINS = some(Gains, spread=Log(0.1, 0.35), hold_s=Log(12, 40))
SAME = SameAsFirst()
FINE_COMB_HZ = Uniform(99.5, 101.5)  # 36 channels

CARRIER = some(Lines, groups=1, width_hz=Log(0.3, 3), drift_hz_per_s=Uniform(-0.003, 0.003), grain=0.1,
               envelope=OneOf((STEADY, STEADY, UNSTEADY, FLICKER)))
DRIFTING_COMB: dict[str, Any] = {
    "spacing_hz": FINE_COMB_HZ, "width_hz": Log(3, 9), "strength_spread": 0.1,
    "curvature_hz_per_s2": Uniform(-5e-4, 5e-4), "envelope": OneOf((STEADY, UNSTEADY, BURST, COMES, FLICKER)),
    "grain": Uniform(0.15, 0.45),
}
WEAK_COMB = some(Lines, 0.5, strength=Uniform(0.2, 0.5), spacing_hz=SAME, shift_hz=Uniform(10, 90), width_hz=Log(3, 8),
                 drift_hz_per_s=OneOf((Uniform(0.1, 0.4), Uniform(-0.15, 0.05))), envelope=OneOf((BURST, BLOCKS)),
                 grain=0.4)
STRIPE_DRIFT = Uniform(-0.37, -0.22)
FOREST: dict[str, Any] = {
    "spacing_hz": Log(12, 50), "irregularity": 1.0, "width_hz": Log(0.6, 1.8), "width_spread": 0.35,
    "strength_spread": Uniform(0.8, 1.2), "lines_per_group": Whole(1, 2), "line_spacing_hz": Uniform(6, 20),
    "line_jitter": 0.3, "line_strength_spread": 0.5, "grain": 0.12,
}
