from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.grid.cutouts import image_of_cutouts, quantise
from pipeline.simulate import (
    CLEAN,
    NOISE,
    SKY,
    UNSEEN,
    Axes,
    Scene,
    Signal,
    family,
    noise,
    place_in_window,
    simulate_cutouts,
    simulate_families,
    simulate_windows,
)

AXES = Axes()


def test_windows_have_level_and_signal():
    rng = np.random.default_rng(8)
    power = simulate_windows(rng, [None, family("hump")], level=5e8)
    assert power.shape == (2, 16, 256)
    assert power.dtype == np.float32
    assert power[0].mean() == pytest.approx(5e8, rel=0.01)
    assert power[0].std() == pytest.approx(5e8 / np.sqrt(102), rel=0.05)
    assert power[1].max() > 5e8 * (1 + 15 * AXES.sigma)


def test_row_gains_move_whole_rows():
    power = simulate_windows(np.random.default_rng(9), [None] * 50, gain_spread=0.2, level=1.0)
    assert power.mean(axis=2).std() == pytest.approx(0.2, rel=0.1)
    assert (power.std(axis=2) / power.mean(axis=2)).mean() == pytest.approx(102**-0.5, rel=0.02)


def test_families_come_with_labels_and_a_seed_decides_all():
    names = ("comb", "ramp")
    power, labels = simulate_families(np.random.default_rng(10), 2, noise_windows=3, families=names)
    again, _ = simulate_families(np.random.default_rng(10), 2, noise_windows=3, families=names)
    assert labels.tolist() == ["comb", "comb", "ramp", "ramp", NOISE, NOISE, NOISE]
    np.testing.assert_array_equal(power, again)
    assert not np.array_equal(power[0], power[1])


@pytest.mark.parametrize("name", UNSEEN)
def test_unseen_kinds_are_seen_in_their_windows(name):
    cutouts = simulate_cutouts(np.random.default_rng(11), [replace(family(name), snr=30)] * 20)
    bright = (image_of_cutouts(cutouts) > np.arcsinh(10)).sum(axis=(1, 2))
    assert bright.min() >= 4  # every window shows the signal


def test_cutouts_are_those_of_the_power_over_its_baseline():
    power = simulate_windows(np.random.default_rng(12), [family("comb"), None], level=1.0)
    cutouts = simulate_cutouts(np.random.default_rng(12), [family("comb"), None])
    assert np.abs(quantise(power, AXES.sigma).astype(int) - cutouts).max() <= 1


def test_noise_of_cutouts_has_unit_spread():
    image = image_of_cutouts(simulate_cutouts(np.random.default_rng(13), [None] * 40))
    assert np.sinh(image).std() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("cut", [False, True])
def test_an_edge_cuts_what_is_to_be_cut(cut):
    rng = np.random.default_rng(14)
    outside = []
    for _ in range(200):
        signal = Signal("line", width_hz=4, drift_hz_per_s=0.7)
        channel, t_s = place_in_window(rng, signal, AXES, cut=cut)
        low, high = np.array(signal.extent_hz(-t_s, 16 * AXES.tsamp_s - t_s)) / AXES.channel_width_hz + channel
        outside.append((max(-low, 0) + max(high - 256, 0)) / (high - low))
    if not cut:
        assert max(outside) < 1e-9
    else:
        assert max(outside) <= 0.5 + 1e-9
        assert np.mean(np.array(outside) > 0.02) > 0.9


def test_circular_signals_come_in_again_with_all_their_power():
    signals = [Signal("line", snr=1e4, width_hz=30, drift_hz_per_s=0.5)] * 30
    clean = simulate_windows(np.random.default_rng(15), signals, level=1.0)
    round_the_edge = simulate_windows(np.random.default_rng(15), signals, level=1.0, scene=Scene(circular=1.0))
    np.testing.assert_allclose(round_the_edge.sum(axis=(1, 2)), clean.sum(axis=(1, 2)), rtol=0.02)
    at_both_ends = (round_the_edge[:, :, 0] > 10).any(axis=1) & (round_the_edge[:, :, -1] > 10).any(axis=1)
    assert 0 < at_both_ends.sum() < 30


def simulate_residuals(scene, n=400):
    """Simulate windows of noise with the residuals of a scene."""
    return simulate_windows(np.random.default_rng(16), [None] * n, level=1.0, scene=scene)


def test_a_scene_leaves_gains_and_slopes_as_stated():
    gains = simulate_residuals(Scene(gained=1.0, gain_spread=0.3)).mean(axis=2)
    assert gains.std() == pytest.approx(0.3, rel=0.05)
    sloped = simulate_residuals(Scene(sloped=1.0, slope=0.4)).mean(axis=(0, 1))
    ends = simulate_residuals(Scene(sloped=1.0, slope=0.4))[:, :, :8].mean(axis=(1, 2)) - 1
    assert np.abs(ends).max() == pytest.approx(0.4, abs=0.05)
    assert np.abs(sloped - 1).max() < 0.06  # slopes are positive as often as negative
    regained = simulate_residuals(Scene(regained=1.0, gained=1.0))
    np.testing.assert_allclose(np.median(regained, axis=2), 1, rtol=1e-5)


def test_half_of_the_windows_may_have_a_second_signal():
    rng = np.random.default_rng(17)
    # the line stays within 3 channels, so bright pixels elsewhere belong to a second signal
    power = simulate_windows(rng, [Signal("line", snr=2e3, width_hz=3)] * 200, level=1.0,
                             scene=Scene(distractors=0.5))
    bright = (power > 1 + 60 * AXES.sigma).any(axis=1)
    spread = np.array([np.ptp(np.flatnonzero(one)) for one in bright])
    assert 0.3 < (spread > 12).mean() < 0.6


def test_a_clean_scene_is_the_default_and_sky_is_not():
    power = simulate_windows(np.random.default_rng(18), [None] * 3, level=1.0)
    np.testing.assert_array_equal(power, simulate_windows(np.random.default_rng(18), [None] * 3, level=1.0,
                                                          scene=CLEAN))
    assert not np.array_equal(power, simulate_windows(np.random.default_rng(18), [None] * 3, level=1.0, scene=SKY))
    assert noise(np.random.default_rng(18), (3, 16, 256), AXES).std() == pytest.approx(AXES.sigma, rel=0.05)
