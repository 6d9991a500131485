"""Kinds of real interference that are wide: stripes, chirps, bands, bursts, and steps of the gain.

The ranges were measured on windows of Green Bank's L and S bands: distances by autocorrelation, drifts by the best
shear, strengths by the brightest bin.
"""

from __future__ import annotations

from pipeline.simulate.patterns import Cloud, Gains, Lines
from pipeline.simulate.recipes import (
    BURST,
    COMES,
    FEW_ROWS,
    FLICKER,
    FOREST,
    GOES,
    LARGE_GAINS,
    ONE_ROW,
    ROWS,
    SAME,
    SHORT_BLOCKS,
    SMALL_GAINS,
    STEADY,
    STRIPE_DRIFT,
    TWO_BURSTS,
    UNEVEN_BAND,
    UNSTEADY,
    Kind,
    Log,
    OneOf,
    Uniform,
    Whole,
    some,
)
from pipeline.simulate.signals import Envelope

WIDE_KINDS = (
    Kind("drift-stripes", (
        some(Lines, spacing_hz=Log(110, 330), irregularity=Uniform(0.1, 0.9), drift_hz_per_s=STRIPE_DRIFT,
             width_hz=Log(7, 45), width_spread=0.5, strength_spread=Uniform(0.5, 1.3), drift_spread=0.05,
             envelope=OneOf((STEADY, UNSTEADY, FLICKER)), one_by_one=True, grain=Log(0.05, 0.3)),
        some(Lines, 0.6, spacing_hz=Log(60, 200), irregularity=0.9, strength=Log(0.06, 0.4), drift_hz_per_s=SAME,
             width_hz=Log(6, 70), width_spread=0.4, strength_spread=0.6, envelope=FLICKER, one_by_one=True),
        some(Cloud, 0.5, strength=Log(0.05, 0.3), scale_hz=Uniform(60, 200), contrast=0.8, drift_hz_per_s=SAME,
             band_hz=Uniform(100, 500), edge_hz=60.0, envelope=OneOf((ROWS, STEADY))),
        some(Lines, 0.2, groups=Whole(1, 3), spacing_hz=Log(20, 150), irregularity=0.8, strength=Log(0.05, 0.3),
             width_hz=2.0),
        SMALL_GAINS,
    ), (14, 130)),
    Kind("chirp-bundle", (
        some(Lines, groups=Whole(2, 3), spacing_hz=Uniform(70, 92), irregularity=0.07, width_hz=Log(22, 55),
             drift_hz_per_s=OneOf((Uniform(-0.86, -0.68), Uniform(-0.86, -0.68), Uniform(-0.45, -0.3))),
             width_spread=0.25,
             strength_spread=Uniform(0.15, 0.6), grain=Log(0.05, 0.2)),
        some(Lines, 0.75, spacing_hz=SAME, irregularity=0.15, drift_hz_per_s=SAME, width_hz=Log(14, 40),
             width_spread=0.3,
             strength=Log(0.04, 0.3), strength_spread=0.6, envelope=OneOf((FLICKER, STEADY)), grain=0.15),
        some(Cloud, 0.3, strength=Uniform(0.03, 0.1), envelope=ONE_ROW),
        SMALL_GAINS,
    ), (18, 205)),
    Kind("hatching", (
        some(Lines, spacing_hz=Uniform(38, 50), irregularity=0.25, lines_per_group=Whole(2, 4),
             line_spacing_hz=Uniform(9, 15),
             line_jitter=0.4, width_hz=Log(1.5, 5), drift_hz_per_s=Uniform(-0.31, -0.26), strength_spread=0.3,
             envelope=some(Envelope, kind="random", period_s=18.25, duty=Uniform(0.3, 0.6), floor=Uniform(0.3, 0.6)),
             one_by_one=True, grain=0.3, line_strength_spread=0.4),
        some(Cloud, 0.8, strength=Uniform(0.1, 0.4), scale_hz=Uniform(150, 400), contrast=0.7, drift_hz_per_s=SAME,
             envelope=OneOf((ROWS, COMES, GOES))),
        some(Cloud, 0.5, strength=Uniform(0.3, 0.8), scale_hz=Uniform(5, 14), contrast=0.7, envelope=ONE_ROW),
        SMALL_GAINS,
    ), (6, 14)),
    Kind("banded", (
        some(Lines, spacing_hz=Log(130, 290), irregularity=0.35, lines_per_group=Whole(3, 5),
             line_spacing_hz=Uniform(16, 23),
             line_jitter=0.15, width_hz=Log(7, 14), width_spread=0.2, strength_spread=0.7, line_strength_spread=0.35,
             envelope=ROWS, grain=0.35, is_noise=True),
        some(Cloud, strength=Uniform(0.1, 0.3), scale_hz=Uniform(50, 110), contrast=Uniform(1.5, 2.5), envelope=ROWS,
             grain=0.2),
        some(Cloud, 0.3, strength=Uniform(0.1, 0.25), envelope=FEW_ROWS),
        some(Gains, spread=Log(0.01, 0.04), hold_s=18.0),
    ), (22, 80)),
    Kind("burst-flat", (
        some(Cloud, scale_hz=Log(20, 400), contrast=Log(0.03, 0.16), grain=Log(0.02, 0.15),
             envelope=OneOf((FEW_ROWS, ONE_ROW, ONE_ROW, some(Envelope, kind="decay", period_s=Log(6, 40))))),
        some(Cloud, 0.5, strength=Log(0.02, 0.25), envelope=FEW_ROWS),
        some(Cloud, 0.2, strength=Log(0.01, 0.06), envelope=BURST),
        UNEVEN_BAND,
        some(Gains, spread=Log(0.005, 0.06), hold_s=Log(10, 40)),
    ), (12, 110), fills_rows=True),
    Kind("burst-modulated", (
        some(Cloud, scale_hz=Log(70, 330), scale_s=Log(12, 45), contrast=Uniform(0.5, 1.1),
             envelope=OneOf((FEW_ROWS, FEW_ROWS, TWO_BURSTS))),
        some(Cloud, 0.3, strength=Uniform(0.08, 0.3), scale_hz=Log(100, 300), scale_s=20.0, contrast=0.6,
             envelope=FEW_ROWS),
        some(Gains, spread=Log(0.005, 0.03), hold_s=Log(10, 40)),
    ), (18, 85), fills_rows=True),
    Kind("burst-fine-lines", (
        some(Cloud, scale_hz=Log(6, 35), contrast=Uniform(0.45, 0.9),
             envelope=some(Envelope, kind="burst", period_s=18.25, duty=Uniform(0.1, 0.5))),
        UNEVEN_BAND,
        some(Cloud, 0.3, strength=Uniform(0.02, 0.06), envelope=BURST),
        some(Gains, spread=Log(0.005, 0.03), hold_s=Log(10, 40)),
    ), (16, 28), fills_rows=True),
    Kind("burst-hooks", (
        some(Lines, spacing_hz=Uniform(97, 100.5), width_hz=Log(9, 15), drift_hz_per_s=Uniform(-1.3, -0.7),
             strength_spread=0.12, envelope=some(Envelope, kind="burst", period_s=18.25, duty=Uniform(1.6, 2.6))),
        some(Cloud, 0.6, strength=Uniform(0.08, 0.2), scale_hz=60.0, contrast=0.4, envelope=FEW_ROWS),
        some(Lines, 0.4, spacing_hz=SAME, shift_hz=Uniform(-30, 30), strength=Uniform(0.3, 0.8), width_hz=Log(3, 7),
             envelope=BURST),
        some(Gains, spread=Log(0.01, 0.04), hold_s=Log(10, 40)),
    ), (16, 25), fills_rows=True),
    Kind("gain-steps", (
        some(Lines, envelope=SHORT_BLOCKS, **FOREST),
        some(Lines, 0.3, strength=Uniform(0.2, 0.8), envelope=STEADY, **FOREST),
        some(Cloud, 0.6, strength=Uniform(0.05, 0.2), scale_hz=Log(6, 120), contrast=Uniform(0.1, 0.5),
             envelope=SHORT_BLOCKS),
        LARGE_GAINS,
    ), (30, 150), fills_rows=True),
    Kind("fuzzy-patch", (
        some(Cloud, scale_hz=Log(14, 160), contrast=Uniform(0.3, 0.9), band_hz=Uniform(300, 700),
             edge_hz=Uniform(30, 130),
             drift_hz_per_s=OneOf((0.0, Uniform(-0.2, -0.1))), grain=0.08,
             envelope=OneOf((some(Envelope, kind="scintillating", period_s=Uniform(12, 22), floor=0.05),
                             some(Envelope, kind="random", period_s=18.25, duty=0.6, floor=Uniform(0.05, 0.3))))),
        some(Cloud, 0.6, strength=Uniform(0.05, 0.15), scale_hz=Uniform(20, 150), contrast=0.6, envelope=ROWS),
        some(Gains, spread=Log(0.01, 0.05), hold_s=Log(18, 40)),
    ), (18, 36)),
)
