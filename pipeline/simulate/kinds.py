"""Kinds of real interference, as tables of the ranges of their parameters.

The ranges were measured on windows of Green Bank's L and S bands: distances by autocorrelation, drifts by the best
shear, strengths by the brightest bin. They suit windows of the fine product (715 Hz × 292 s).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.simulate.families import log_uniform
from pipeline.simulate.patterns import Cloud, Gains, Lines, Pattern
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
    snr: tuple[float, float] = field(default=(6.0, 60.0))
    fills_rows: bool = False
    """True if the kind fills whole rows, so that dividing rows by their gains removes a part of it."""


def some(makes: type, chance: float = 1.0, **fields: Any) -> Recipe:
    """Make a recipe. ``chance`` is the share of patterns that have the part."""
    return Recipe(makes, MappingProxyType(fields), chance)


def random_pattern(rng: np.random.Generator, kind: str | None = None, name: str = "") -> Pattern:
    """Draw a pattern of a kind of real interference: its parameters, and an SNR in the usual range.

    Parameters
    ----------
    rng : Generator
    kind : str, optional
        Name in :data:`KINDS`. Default: a random one.
    name : str
        Name of the family. Default: the name of the kind.

    Raises
    ------
    ConfigError
        There is no kind of that name.
    """
    if kind is None:
        kind = str(rng.choice(list(KINDS)))
    if kind not in KINDS:
        raise ConfigError(f"no kind of interference {kind!r}; there are {', '.join(KINDS)}")
    chosen = KINDS[kind]
    parts: list[Any] = []
    for recipe in chosen.parts:
        if recipe.chance >= 1 or rng.random() < recipe.chance:
            parts.append(_draw(rng, recipe, parts[0] if parts else None))
    return Pattern(kind, tuple(parts), log_uniform(rng, *chosen.snr), name or kind)


def _draw(rng: np.random.Generator, value: Any, first: Any = None) -> Any:
    """Draw a value from its range; anything that is not a range is the value itself."""
    match value:
        case Uniform(low, high):
            return float(rng.uniform(low, high))
        case Log(low, high):
            return log_uniform(rng, low, high)
        case Whole(low, high):
            return int(rng.integers(low, high + 1))
        case OneOf(choices):
            return _draw(rng, choices[rng.integers(len(choices))], first)
        case Recipe(makes, fields):
            return makes(**{key: getattr(first, key) if isinstance(one, SameAsFirst) else _draw(rng, one, first)
                            for key, one in fields.items()})
    return value


_STEADY = Envelope()
_BURST = some(Envelope, kind="burst", period_s=292.0, duty=Uniform(0.3, 0.8))
_UNSTEADY = some(Envelope, kind="scintillating", period_s=Log(15, 50), floor=Uniform(0.4, 0.8))
_FEW_ROWS = some(Envelope, kind="burst", period_s=18.25, duty=Uniform(0.8, 3.0))
_ONE_ROW = some(Envelope, kind="burst", period_s=18.25, duty=Uniform(0.25, 1.1))
_COMES = some(Envelope, kind="ramp", period_s=Uniform(150, 290), floor=Uniform(0, 0.2))
_GOES = some(Envelope, kind="fade", period_s=Uniform(150, 290), floor=Uniform(0, 0.2))
_FLICKER = some(Envelope, kind="scintillating", period_s=Log(40, 150), floor=Uniform(0.2, 0.5))
_ROWS = some(Envelope, kind="random", period_s=18.25, duty=Uniform(0.3, 0.7), floor=Uniform(0.3, 0.7))
_BLOCKS = some(Envelope, kind="random", period_s=Uniform(40, 90), duty=Uniform(0.4, 0.7))
_SHORT_BLOCKS = some(Envelope, kind="random", period_s=Uniform(18.3, 50), duty=Uniform(0.2, 0.5), floor=Uniform(0, 0.08))
_PULSES = some(Envelope, kind="pulsed", period_s=Uniform(45, 70), duty=Uniform(0.25, 0.4), floor=Uniform(0, 0.15))
_TWO_BURSTS = some(Envelope, kind="dashes", period_s=18.25,
                   dashes=OneOf(((1,) + (0,) * 3 + (1,) + (0,) * 11, (1, 1) + (0,) * 5 + (1,) + (0,) * 8)))
_OFTEN_STEADY = OneOf((_STEADY, _UNSTEADY, _BURST, _COMES, _GOES, _FLICKER))
_COMB_TIMES = OneOf((_UNSTEADY, _BURST, _COMES, _GOES, _FLICKER, _FLICKER))

_WANDER = some(Path, kind="bends", reach_hz=Log(1.5, 7), period_s=Uniform(30, 110))
_SMALL_GAINS = some(Gains, spread=Log(0.008, 0.05), hold_s=Log(18, 80))
_UNEVEN_BAND = some(Cloud, 0.3, strength=Uniform(0.03, 0.12), scale_hz=3.0, contrast=0.5)
_LARGE_GAINS = some(Gains, spread=Log(0.1, 0.35), hold_s=Log(12, 40))
_SAME = SameAsFirst()
_FINE_COMB_HZ = Uniform(99.5, 101.5)  # 36 channels

_CARRIER = some(Lines, groups=1, width_hz=Log(0.8, 3.5), drift_hz_per_s=Uniform(-0.004, 0.004),
                envelope=OneOf((_STEADY, _STEADY, _UNSTEADY, _FLICKER)))
_DRIFTING_COMB = {
    "spacing_hz": _FINE_COMB_HZ, "width_hz": Log(3, 9), "strength_spread": 0.1,
    "curvature_hz_per_s2": Uniform(-5e-4, 5e-4), "envelope": OneOf((_STEADY, _UNSTEADY, _BURST, _COMES, _FLICKER)), "grain": Uniform(0.15, 0.45),
}
_WEAK_COMB = some(Lines, 0.6, strength=Uniform(0.2, 0.6), spacing_hz=_SAME, shift_hz=Uniform(10, 90), width_hz=Log(3, 8),
                  drift_hz_per_s=OneOf((Uniform(0.1, 0.5), Uniform(-0.3, 0.02))), envelope=OneOf((_BURST, _BLOCKS)), grain=0.4)
_STRIPE_DRIFT = Uniform(-0.37, -0.22)
_FOREST = {
    "spacing_hz": Log(12, 50), "irregularity": 1.0, "width_hz": Log(0.6, 1.8), "width_spread": 0.35,
    "strength_spread": Uniform(0.8, 1.2), "lines_per_group": Whole(1, 2), "line_spacing_hz": Uniform(6, 20),
    "line_jitter": 0.3, "line_strength_spread": 0.5, "grain": 0.2,
}

_KINDS = (
    Kind("carrier", (
        _CARRIER,
        some(Lines, 0.5, groups=1, strength=Log(0.03, 0.3), width_hz=Log(1, 5), drift_hz_per_s=Uniform(-0.1, 0.1),
             envelope=_OFTEN_STEADY),
        some(Gains, spread=Log(0.008, 0.1), hold_s=Log(15, 60)),
    ), (16, 600)),
    Kind("carrier+gain-steps", (
        some(Lines, groups=1, width_hz=Log(1, 3), envelope=OneOf((_STEADY, _STEADY, _BURST))),
        some(Lines, 0.4, strength=Log(0.03, 0.15), envelope=_BLOCKS, **_FOREST),
        some(Gains, spread=Log(0.12, 0.35), hold_s=Log(18, 50)),
    ), (45, 300)),
    Kind("comb36", (
        some(Lines, spacing_hz=_FINE_COMB_HZ, width_hz=Log(4, 16), path=_WANDER, drift_hz_per_s=Uniform(-0.03, 0.06),
             strength_spread=0.12, envelope=_COMB_TIMES, grain=Uniform(0.2, 0.5), is_noise=OneOf((True, False))),
        _WEAK_COMB,
        some(Cloud, 0.3, strength=Uniform(0.05, 0.12), envelope=_FEW_ROWS),
        some(Gains, spread=Log(0.015, 0.06), hold_s=Log(18, 60)),
    ), (14, 40)),
    Kind("comb36-drift-up", (
        some(Lines, drift_hz_per_s=Uniform(0.06, 0.34), **_DRIFTING_COMB),
        some(Lines, 0.4, strength=Uniform(0.2, 0.6), spacing_hz=_SAME, shift_hz=Uniform(10, 90), width_hz=Log(3, 8),
             drift_hz_per_s=Uniform(0.0, 0.3), envelope=_BURST),
        some(Cloud, 0.25, strength=Uniform(0.08, 0.2), scale_hz=60.0, scale_s=60.0, contrast=0.5, envelope=_BURST),
        _SMALL_GAINS,
    ), (16, 56)),
    Kind("comb36-drift-down", (
        some(Lines, drift_hz_per_s=Uniform(-0.38, -0.17), **_DRIFTING_COMB),
        some(Lines, 0.7, strength=Uniform(0.3, 0.9), spacing_hz=_SAME, shift_hz=Uniform(10, 90), width_hz=Log(4, 10),
             drift_hz_per_s=OneOf((Uniform(-0.03, 0.03), Uniform(0.1, 0.2))), envelope=OneOf((_STEADY, _BURST))),
        _SMALL_GAINS,
    ), (30, 144)),
    Kind("hooked-comb", (
        some(Lines, spacing_hz=Uniform(97.5, 100.5), width_hz=Log(6, 12), strength_spread=0.1,
             drift_hz_per_s=Uniform(-0.04, 0.1), path=some(Path, kind="bends", reach_hz=Log(4, 14), period_s=75.0),
             envelope=OneOf((_STEADY, _FLICKER, _BURST)), grain=Uniform(0.2, 0.4)),
        some(Lines, spacing_hz=_SAME, strength=Uniform(0.6, 1), width_hz=Log(6, 14), strength_spread=0.1,
             path=some(Path, kind="bends", reach_hz=OneOf((Uniform(30, 90), Uniform(-60, -30))), period_s=Uniform(40, 75),
                       hops=OneOf(((0, 0, 1, 2), (0, 0.1, 0.3, 1, 1.8), (0, 0, 0.6, 0.7, 1.4)))),
             drift_hz_per_s=Uniform(-0.05, 0.05), envelope=OneOf((_STEADY, _BURST)), grain=Uniform(0.2, 0.4)),
        some(Lines, 0.5, spacing_hz=_SAME, strength=Uniform(0.4, 0.8), shift_hz=Uniform(20, 50), width_hz=Log(6, 10),
             drift_hz_per_s=OneOf((Uniform(0.25, 0.8), Uniform(-0.2, -0.1))), envelope=_BURST, grain=0.35),
        some(Gains, spread=Log(0.03, 0.1), hold_s=Log(18, 60)),
    ), (26, 46)),
    Kind("woven-comb", (
        some(Lines, spacing_hz=_FINE_COMB_HZ, lines_per_group=Whole(2, 3), line_spacing_hz=Uniform(14, 36), width_hz=Log(5, 13),
             line_strength_spread=0.5, path=_WANDER, envelope=_BLOCKS, grain=0.55, is_noise=True),
        some(Lines, spacing_hz=_SAME, shift_hz=Uniform(20, 80), strength=Uniform(0.5, 1), width_hz=Log(5, 14), path=_WANDER,
             envelope=OneOf((_BLOCKS, _PULSES)), grain=0.55, is_noise=True),
        some(Lines, spacing_hz=_SAME, shift_hz=Uniform(20, 80), strength=Uniform(0.5, 1), lines_per_group=2, width_hz=Log(3, 8),
             line_spacing_hz=Uniform(14, 40), drift_hz_per_s=Uniform(-0.2, 0.2), envelope=_BLOCKS, grain=0.5),
        some(Gains, spread=Log(0.05, 0.12), hold_s=Log(15, 40)),
    ), (22, 34)),
    Kind("dashed-drift-comb", (
        some(Lines, spacing_hz=Uniform(70, 152), width_hz=Log(12, 36), drift_hz_per_s=Uniform(-0.3, -0.2),
             strength=Uniform(0.3, 0.6), strength_spread=0.3, irregularity=0.08, envelope=_ROWS, grain=0.4, is_noise=True),
        some(Lines, spacing_hz=Uniform(70, 78), width_hz=Log(5, 10), drift_hz_per_s=Uniform(-0.3, -0.2),
             strength_spread=0.3, envelope=_PULSES, grain=0.4),
        some(Cloud, strength=Uniform(0.1, 0.25), scale_hz=Uniform(60, 120), contrast=1.5, grain=0.3, drift_hz_per_s=-0.25,
             envelope=_ROWS),
        some(Cloud, 0.5, strength=Uniform(0.3, 0.7), scale_hz=Uniform(15, 60), contrast=0.4, envelope=_ONE_ROW),
        some(Lines, 0.2, groups=1, strength=Uniform(0.4, 1.2), width_hz=4.0, path=_WANDER, envelope=_OFTEN_STEADY),
        some(Gains, spread=Log(0.02, 0.08), hold_s=18.0),
    ), (18, 35)),
    Kind("drift-stripes", (
        some(Lines, spacing_hz=Log(110, 330), irregularity=Uniform(0.1, 0.9), drift_hz_per_s=_STRIPE_DRIFT,
             width_hz=Log(7, 45), width_spread=0.5, strength_spread=Uniform(0.5, 1.3), drift_spread=0.05,
             envelope=OneOf((_STEADY, _UNSTEADY, _FLICKER)), one_by_one=True, grain=Log(0.05, 0.3)),
        some(Lines, 0.6, spacing_hz=Log(60, 200), irregularity=0.9, strength=Log(0.06, 0.4), drift_hz_per_s=_SAME,
             width_hz=Log(6, 70), width_spread=0.4, strength_spread=0.6, envelope=_FLICKER, one_by_one=True),
        some(Cloud, 0.5, strength=Log(0.05, 0.3), scale_hz=Uniform(60, 200), contrast=0.8, drift_hz_per_s=_SAME,
             band_hz=Uniform(100, 500), edge_hz=60.0, envelope=OneOf((_ROWS, _STEADY))),
        some(Lines, 0.2, groups=Whole(1, 3), spacing_hz=Log(20, 150), irregularity=0.8, strength=Log(0.05, 0.3), width_hz=2.0),
        _SMALL_GAINS,
    ), (14, 130)),
    Kind("chirp-bundle", (
        some(Lines, groups=Whole(2, 3), spacing_hz=Uniform(70, 92), irregularity=0.07, width_hz=Log(22, 42),
             drift_hz_per_s=OneOf((Uniform(-0.86, -0.68), Uniform(-0.86, -0.68), Uniform(-0.45, -0.3))), width_spread=0.25,
             strength_spread=Uniform(0.15, 0.6), grain=Log(0.05, 0.2)),
        some(Lines, 0.75, spacing_hz=_SAME, irregularity=0.15, drift_hz_per_s=_SAME, width_hz=Log(14, 40), width_spread=0.3,
             strength=Log(0.04, 0.3), strength_spread=0.6, envelope=OneOf((_FLICKER, _STEADY)), grain=0.15),
        some(Cloud, 0.3, strength=Uniform(0.03, 0.1), envelope=_ONE_ROW),
        _SMALL_GAINS,
    ), (18, 205)),
    Kind("narrow-drift", (
        some(Lines, groups=1, drift_hz_per_s=OneOf((Uniform(-0.5, -0.15), Uniform(0.15, 0.5))), width_hz=Log(2, 8),
             envelope=OneOf((_STEADY, _COMES, _GOES))),
        some(Gains, spread=Log(0.006, 0.03), hold_s=Log(18, 80)),
    ), (20, 320)),
    Kind("hatching", (
        some(Lines, spacing_hz=Uniform(38, 50), irregularity=0.25, lines_per_group=Whole(2, 4), line_spacing_hz=Uniform(9, 15),
             line_jitter=0.4, width_hz=Log(1.5, 5), drift_hz_per_s=Uniform(-0.31, -0.26), strength_spread=0.3,
             envelope=some(Envelope, kind="random", period_s=18.25, duty=Uniform(0.3, 0.6), floor=Uniform(0.3, 0.6)),
             one_by_one=True, grain=0.3, line_strength_spread=0.4),
        some(Cloud, 0.8, strength=Uniform(0.1, 0.4), scale_hz=Uniform(150, 400), contrast=0.7, drift_hz_per_s=_SAME,
             envelope=OneOf((_ROWS, _COMES, _GOES))),
        some(Cloud, 0.5, strength=Uniform(0.3, 0.8), scale_hz=Uniform(5, 14), contrast=0.7, envelope=_ONE_ROW),
        _SMALL_GAINS,
    ), (6, 14)),
    Kind("banded", (
        some(Lines, spacing_hz=Log(130, 290), irregularity=0.35, lines_per_group=Whole(3, 5), line_spacing_hz=Uniform(16, 23),
             line_jitter=0.15, width_hz=Log(7, 14), width_spread=0.2, strength_spread=0.7, line_strength_spread=0.35,
             envelope=_ROWS, grain=0.35, is_noise=True),
        some(Cloud, strength=Uniform(0.1, 0.3), scale_hz=Uniform(50, 110), contrast=Uniform(1.5, 2.5), envelope=_ROWS, grain=0.2),
        some(Cloud, 0.3, strength=Uniform(0.1, 0.25), envelope=_FEW_ROWS),
        some(Gains, spread=Log(0.01, 0.04), hold_s=18.0),
    ), (22, 80)),
    Kind("dense-lines", (
        some(Lines, envelope=OneOf((_STEADY, _UNSTEADY, _UNSTEADY, _ROWS)),
             drift_hz_per_s=OneOf((Uniform(-0.003, 0.003),) * 7 + (Uniform(-0.1, -0.04),)), **_FOREST),
        some(Cloud, 0.35, strength=Uniform(0.05, 0.15), scale_hz=Uniform(15, 60), contrast=1.2, envelope=_ROWS, grain=0.3),
        some(Gains, spread=Log(0.04, 0.18), hold_s=Log(15, 45)),
    ), (20, 110)),
    Kind("fine-comb", (
        some(Lines, spacing_hz=_FINE_COMB_HZ, lines_per_group=5, line_spacing_hz=Uniform(19.6, 20.4), width_hz=Log(1.5, 4),
             line_strength_spread=0.6, strength_spread=0.3, envelope=OneOf((_ROWS, _BLOCKS)), grain=0.3),
        some(Lines, spacing_hz=_SAME, shift_hz=Uniform(3, 20), strength=Uniform(0.1, 0.4), lines_per_group=3,
             line_spacing_hz=20.0, width_hz=2.5, line_strength_spread=0.5),
        some(Gains, spread=Log(0.08, 0.14), hold_s=Log(18, 50)),
    ), (36, 90)),
    Kind("comb53", (
        some(Lines, spacing_hz=Uniform(148, 152), width_hz=Log(1, 5), strength_spread=Uniform(0.3, 1.2), missing=Uniform(0, 0.2),
             grain=0.15, envelope=OneOf((_STEADY, _UNSTEADY, _FLICKER, _BURST)), one_by_one=OneOf((True, False))),
        some(Lines, 0.4, strength=Log(0.05, 0.3), spacing_hz=_SAME, shift_hz=75.0, width_hz=Log(2, 6), missing=0.4,
             envelope=_BLOCKS, one_by_one=True),
        some(Gains, spread=Log(0.008, 0.04), hold_s=Log(18, 80)),
    ), (25, 145)),
    Kind("line-triplets", (
        some(Lines, spacing_hz=Uniform(296, 306), lines_per_group=Whole(2, 3), line_spacing_hz=Uniform(10, 18), line_jitter=0.15,
             grain=0.2, width_hz=Log(1, 4), strength_spread=0.4, line_strength_spread=0.5, drift_hz_per_s=Uniform(-0.02, 0.005),
             envelope=OneOf((_UNSTEADY, _BURST, _FLICKER, _BLOCKS)), one_by_one=OneOf((True, False))),
        some(Gains, spread=Log(0.006, 0.025), hold_s=Log(18, 80)),
    ), (24, 120)),
    Kind("drift-line-groups", (
        some(Lines, spacing_hz=Log(250, 500), irregularity=0.3, lines_per_group=Whole(3, 6), line_spacing_hz=Uniform(25, 31),
             line_jitter=0.12, width_hz=Log(2, 5), strength_spread=0.4, line_strength_spread=0.4,
             drift_hz_per_s=OneOf((Uniform(-0.11, -0.04), Uniform(0.02, 0.07))), envelope=OneOf((_STEADY, _BLOCKS))),
        some(Gains, 0.75, spread=Log(0.2, 0.6), hold_s=Log(25, 60)),
    ), (100, 600)),
    Kind("pulsed-comb", (
        some(Lines, spacing_hz=OneOf((Uniform(59, 63), Uniform(73, 77))), width_hz=Log(2, 5), width_spread=0.3,
             strength_spread=0.7, drift_hz_per_s=Uniform(-0.01, 0.015), one_by_one=True,
             grain=0.25, envelope=OneOf((some(Envelope, kind="burst", period_s=292.0, duty=Uniform(0.4, 1)), _FLICKER))),
        some(Lines, 0.5, spacing_hz=_SAME, shift_hz=Uniform(-20, 20), strength=Log(0.02, 0.1), width_hz=3.0, one_by_one=True,
             strength_spread=0.5, envelope=_BLOCKS),
        some(Cloud, 0.4, strength=Uniform(0.003, 0.012), scale_hz=200.0, contrast=0.4, envelope=_BURST),
        some(Gains, spread=Log(0.008, 0.04), hold_s=Log(18, 80)),
    ), (150, 610)),
    Kind("burst-flat", (
        some(Cloud, scale_hz=Log(20, 400), contrast=Log(0.03, 0.16), grain=Log(0.02, 0.15),
             envelope=OneOf((_FEW_ROWS, _ONE_ROW, _ONE_ROW, some(Envelope, kind="decay", period_s=Log(6, 40))))),
        some(Cloud, 0.5, strength=Uniform(0.05, 0.4), envelope=OneOf((_FEW_ROWS, _BURST))),
        _UNEVEN_BAND,
        some(Gains, spread=Log(0.005, 0.06), hold_s=Log(18, 60)),
    ), (12, 110), fills_rows=True),
    Kind("burst-modulated", (
        some(Cloud, scale_hz=Log(70, 330), scale_s=Log(12, 45), contrast=Uniform(0.5, 1.1),
             envelope=OneOf((_FEW_ROWS, _FEW_ROWS, _TWO_BURSTS))),
        some(Cloud, 0.3, strength=Uniform(0.08, 0.3), scale_hz=Log(100, 300), scale_s=20.0, contrast=0.6, envelope=_FEW_ROWS),
        some(Gains, spread=Log(0.005, 0.03), hold_s=Log(18, 60)),
    ), (18, 85), fills_rows=True),
    Kind("burst-fine-lines", (
        some(Cloud, scale_hz=Log(6, 35), contrast=Uniform(0.45, 0.9),
             envelope=some(Envelope, kind="burst", period_s=18.25, duty=Uniform(0.1, 0.5))),
        _UNEVEN_BAND,
        some(Cloud, 0.3, strength=Uniform(0.05, 0.15), envelope=_BURST),
        some(Gains, spread=Log(0.005, 0.03), hold_s=Log(18, 60)),
    ), (16, 28), fills_rows=True),
    Kind("burst-hooks", (
        some(Lines, spacing_hz=Uniform(97, 100.5), width_hz=Log(9, 15), drift_hz_per_s=Uniform(-1.3, -0.7),
             strength_spread=0.12, envelope=some(Envelope, kind="burst", period_s=18.25, duty=Uniform(1.6, 2.6))),
        some(Cloud, 0.6, strength=Uniform(0.08, 0.2), scale_hz=60.0, contrast=0.4, envelope=_FEW_ROWS),
        some(Lines, 0.4, spacing_hz=_SAME, shift_hz=Uniform(-30, 30), strength=Uniform(0.3, 0.8), width_hz=Log(3, 7), envelope=_BURST),
        some(Gains, spread=Log(0.01, 0.04), hold_s=Log(18, 60)),
    ), (16, 25), fills_rows=True),
    Kind("gain-steps", (
        some(Lines, envelope=_SHORT_BLOCKS, **_FOREST),
        some(Lines, 0.3, strength=Uniform(0.2, 0.8), envelope=_STEADY, **_FOREST),
        some(Cloud, 0.6, strength=Uniform(0.05, 0.2), scale_hz=Log(6, 120), contrast=Uniform(0.1, 0.5), envelope=_SHORT_BLOCKS),
        _LARGE_GAINS,
    ), (30, 150), fills_rows=True),
    Kind("fuzzy-patch", (
        some(Cloud, scale_hz=Log(14, 160), contrast=Uniform(0.3, 0.9), band_hz=Uniform(300, 700), edge_hz=Uniform(30, 130),
             drift_hz_per_s=OneOf((0.0, Uniform(-0.2, -0.1))), grain=0.4,
             envelope=some(Envelope, kind="scintillating", period_s=Uniform(15, 30), floor=0.1)),
        some(Cloud, 0.6, strength=Uniform(0.05, 0.15), scale_hz=Uniform(20, 150), contrast=0.6, envelope=_ROWS),
        some(Gains, spread=Log(0.01, 0.05), hold_s=Log(18, 40)),
    ), (16, 30)),
)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""Name → kind of real interference. :func:`random_pattern` draws one."""
