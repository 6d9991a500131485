"""Patterns: what is drawn has the drift, spacing, strength and timing that were asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.simulate import (
    FINE,
    Axes,
    Cloud,
    Envelope,
    Gains,
    Lines,
    Path,
    Pattern,
    Signal,
    add_pattern,
    noise,
    simulate_power,
    stretched,
    together,
    vary_pattern,
)

QUIET = Axes(averaged=1e9)
"""So many averages that noise is negligible."""


def draw(*parts: Lines | Cloud | Gains, seed: int = 0, axes: Axes = QUIET, snr: float = 30.0) -> NDArray[np.float64]:
    """Draw a pattern alone, in sigmas."""
    power = np.ones((16, 256), np.float32)
    add_pattern(power, Pattern("test", parts, snr), axes=axes, rng=np.random.default_rng(seed))
    return (power.astype(np.float64) - 1) / axes.sigma


def best_drift(excess: NDArray[np.float64]) -> float:
    """Estimate a drift by the shear that makes the sum over time sharpest, in Hz/s."""
    drifts = np.linspace(-1, 1, 401)
    rows = (np.arange(16) - 7.5) * FINE.tsamp_s / FINE.channel_width_hz
    frequency = np.fft.rfftfreq(256)
    spectra = np.fft.rfft(excess, axis=1)
    sheared = [spectra * np.exp(2j * np.pi * np.outer(drift * rows, frequency)) for drift in drifts]
    return float(drifts[np.argmax([(np.abs(one.sum(axis=0)[1:]) ** 2).sum() for one in sheared])])


def best_spacing(excess: NDArray[np.float64], low: int = 8) -> float:
    """Estimate the distance of the lines by the autocorrelation along frequency, in Hz."""
    centred = excess - excess.mean(axis=1, keepdims=True)
    correlation = np.fft.irfft((np.abs(np.fft.rfft(centred, 512, axis=1)) ** 2).sum(axis=0))[:128]
    return (low + int(np.argmax(correlation[low:]))) * FINE.channel_width_hz


@pytest.mark.parametrize("drift", [-0.8, -0.3, 0.0, 0.15, 0.6])
def test_lines_drift_as_asked(drift: float) -> None:
    lines = Lines(spacing_hz=150, irregularity=0.8, width_hz=8, drift_hz_per_s=drift, strength_spread=0.3)
    excess = draw(lines, seed=3)
    assert best_drift(excess) == pytest.approx(drift, abs=0.03)


@pytest.mark.parametrize("drift", [-0.4, 0.25])
def test_clouds_drift_as_asked(drift: float) -> None:
    excess = draw(Cloud(scale_hz=12, contrast=1.0, drift_hz_per_s=drift), seed=4)
    assert best_drift(excess) == pytest.approx(drift, abs=0.03)


@pytest.mark.parametrize("spacing", [55.0, 100.6, 150.0])
def test_combs_have_the_spacing_asked_for(spacing: float) -> None:
    excess = draw(Lines(spacing_hz=spacing, width_hz=6), seed=5)
    assert best_spacing(excess) == pytest.approx(spacing, abs=FINE.channel_width_hz)


def test_groups_have_two_spacings() -> None:
    excess = draw(Lines(spacing_hz=300, lines_per_group=3, line_spacing_hz=28, width_hz=4), seed=6)
    assert best_spacing(excess, low=5) == pytest.approx(28, abs=FINE.channel_width_hz)
    assert best_spacing(excess, low=60) == pytest.approx(300, abs=FINE.channel_width_hz)


def test_combs_of_one_spacing_stand_at_the_place_that_the_shift_says() -> None:
    both = draw(Lines(spacing_hz=200, width_hz=4), Lines(spacing_hz=200, width_hz=4, shift_hz=70), seed=7)
    profile = both.sum(axis=0)
    lines = np.flatnonzero((profile > 0.6 * profile.max()) & (profile >= np.roll(profile, 1)) & (
        profile > np.roll(profile, -1)))
    steps = set(np.round(np.diff(lines) * FINE.channel_width_hz / 10).astype(int))
    assert steps == {7, 13}


def test_the_density_of_a_forest_is_the_one_asked_for() -> None:
    counts = []
    for seed in range(60):
        profile = draw(Lines(spacing_hz=60, irregularity=1.0, width_hz=0.5, profile="box"), seed=seed)[0]
        counts.append(profile.sum() / 30)  # each line has the power of its brightest bin, or a part of it in two bins
    assert np.mean(counts) == pytest.approx(256 * FINE.channel_width_hz / 60, rel=0.12)


def test_each_part_has_its_share_of_the_snr() -> None:
    for seed in range(5):
        assert draw(Lines(width_hz=5, drift_hz_per_s=0.2), seed=seed).max() == pytest.approx(30, rel=0.01)
        faint = draw(Cloud(strength=0.25, scale_hz=50, contrast=0.7, grain=0.3), seed=seed)
        assert faint.max() == pytest.approx(7.5, rel=0.02)


def test_lines_together_share_their_times_and_one_by_one_they_do_not() -> None:
    gates = Envelope("random", 40.0, 0.5)

    def agreement(*, one_by_one: bool) -> float:
        excess = draw(Lines(spacing_hz=100, width_hz=1, profile="box", envelope=gates, one_by_one=one_by_one), seed=8)
        lit = excess[:, excess.max(axis=0) > 3]
        return float(np.mean(np.corrcoef(lit.T)))

    assert agreement(one_by_one=False) == pytest.approx(1, abs=1e-3)
    assert agreement(one_by_one=True) < 0.6


def test_a_hook_is_still_and_then_moves() -> None:
    hook = Path("bends", 60.0, 73.0, hops=(0, 0, 1, 2, 3))
    tracks = []
    for seed in range(30):
        excess = draw(Lines(groups=1, width_hz=6, path=hook), seed=seed)
        if excess[:, 3:-3].max(axis=1).min() > 8:  # the line stays in the window
            tracks.append((excess * np.arange(256)).sum(axis=1) / excess.sum(axis=1) * FINE.channel_width_hz)
    assert len(tracks) > 5
    for track in tracks:
        speed = np.diff(track) / FINE.tsamp_s
        assert np.abs(speed[:3]).max() < 0.02
        assert speed[5:14] == pytest.approx(60 / 73, abs=0.05)


def test_noise_fluctuates_more_than_a_coherent_line() -> None:
    axes = Axes(averaged=100.0)
    spread = {}
    for is_noise in (False, True):
        lines = Lines(groups=1, width_hz=2000, profile="box", is_noise=is_noise)
        power = np.stack([noise(np.random.default_rng([s, 1]), (16, 256), axes) for s in range(8)])
        for k, window in enumerate(power):
            add_pattern(window, Pattern("test", (lines,), 20.0), axes=axes, rng=np.random.default_rng(k))
        spread[is_noise] = power[:, :, 100:150].var()
    e, n = 20 * axes.sigma, 100.0
    # the variance of coherent power is (1 + 2e)/N, and that of noise (1 + e)²/N
    assert spread[False] == pytest.approx((1 + 2 * e) / n, rel=0.1)
    assert spread[True] == pytest.approx((1 + e) ** 2 / n, rel=0.1)


def test_gains_step_and_multiply_the_noise() -> None:
    held, steps = [], []
    for seed in range(40):
        power = np.ones((16, 256), np.float32)
        add_pattern(power, Pattern("test", (Gains(0.3, hold_s=55.0),)), axes=FINE, rng=np.random.default_rng(seed))
        assert np.ptp(power, axis=1).max() == 0
        held.append(np.diff(power[:, 0]) == 0)
        steps.append(np.log(power[0, 0]))
    assert 1 - np.mean(held) == pytest.approx(1 - np.exp(-FINE.tsamp_s / 55.0), abs=0.06)
    assert np.std(steps) == pytest.approx(0.3, rel=0.3)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    pattern = Pattern("test", (Lines(irregularity=1.0, strength_spread=0.5), Cloud(contrast=1.0), Gains()))
    first, again, other = (simulate_power(np.random.default_rng(seed), [pattern]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("averaged", [4, 102, 25_000])
def test_noise_of_any_number_of_averages_is_drawn(averaged: float) -> None:
    axes = Axes(averaged=averaged)
    comb = Pattern("test", (Lines(width_hz=1.0),), snr=12.0)
    power = simulate_power(np.random.default_rng(0), [None, comb], axes=axes)
    assert power[0].std() == pytest.approx(averaged**-0.5, rel=0.05)
    assert power.min() > 0
    assert (power[1].max() - 1) / axes.sigma > 9


def test_traits_say_what_was_asked_for() -> None:
    lines = Lines(spacing_hz=200, lines_per_group=3, missing=0.5, width_hz=7, drift_hz_per_s=-0.3,
                  envelope=Envelope("pulsed", 60.0, 0.25, floor=0.2), one_by_one=True)
    traits = Pattern("groups", (lines, Gains()), 12.0).traits()
    assert (traits.kind, traits.snr, traits.drift_hz_per_s, traits.spacing_hz) == ("groups", 12.0, -0.3, 200)
    assert (traits.width_hz, traits.envelope, traits.one_by_one, traits.is_noise) == (7, "pulsed", True, False)
    assert traits.lines_per_khz == pytest.approx(7.5)
    assert traits.on_share == pytest.approx(0.4)
    assert Pattern("one", (replace(lines, groups=1),)).traits().lines_per_khz == 0
    single = Signal("comb", spacing_hz=50, amplitudes=(1, 1)).traits()
    assert (single.spacing_hz, single.lines_per_khz, single.on_share) == (50, 20, 1)


def test_a_member_has_drifts_near_those_of_its_family() -> None:
    pattern = Pattern("test", (Lines(drift_hz_per_s=-0.5, width_hz=10), Lines(drift_hz_per_s=1.0)), name="family")
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = (part for part in vary_pattern(rng, pattern, (8, 9)).parts if isinstance(part, Lines))
        assert -0.55 <= first.drift_hz_per_s <= -0.45
        assert second.drift_hz_per_s == pytest.approx(-2 * first.drift_hz_per_s)
        assert 9 <= first.width_hz <= 11
    member = vary_pattern(rng, pattern, (8, 9))
    assert 8 <= member.snr <= 9
    assert member.name == "family"


def test_a_stretched_pattern_looks_the_same_in_bins_of_another_size() -> None:
    lines = Lines(spacing_hz=150, irregularity=0.5, lines_per_group=2, line_spacing_hz=20, shift_hz=10, width_hz=8,
                  drift_hz_per_s=-0.4, curvature_hz_per_s2=5e-4, path=Path("bends", 20, 60),
                  envelope=Envelope("pulsed", 70, 0.5))
    cloud = Cloud(strength=0.5, scale_hz=50, scale_s=60, contrast=0.5, band_hz=300, edge_hz=40, drift_hz_per_s=0.3)
    pattern = Pattern("test", (lines, cloud, Gains(0.1, 60)))
    coarse = Axes(3 * FINE.channel_width_hz, 0.1 * FINE.tsamp_s, averaged=FINE.noise_spectra)
    drawn = simulate_power(np.random.default_rng(1), [pattern])
    again = simulate_power(np.random.default_rng(1), [stretched(pattern, 3, 0.1)], axes=coarse)
    np.testing.assert_allclose(again, drawn, rtol=2e-3)


def test_a_mirrored_pattern_drifts_the_other_way() -> None:
    pattern = Pattern("test", (Lines(spacing_hz=150, width_hz=8, drift_hz_per_s=-0.5),), 30.0)
    power = simulate_power(np.random.default_rng(2), [stretched(pattern, -1)], axes=QUIET)[0]
    assert best_drift((power - 1) / QUIET.sigma) == pytest.approx(0.5, abs=0.03)


def test_two_patterns_share_a_window_and_one_gain() -> None:
    first = Pattern("a", (Lines(groups=1), Gains(0.1)), snr=40, name="a1")
    both = together(first, Pattern("b", (Cloud(strength=0.5), Gains(0.2)), snr=10, name="b1"), strength=0.5)
    assert (both.kind, both.name, both.snr) == ("a+b", "a1+b1", 40)
    assert both.parts == (*first.parts, Cloud(strength=0.25))
