from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.simulate import (
    FAMILIES,
    NOISE,
    Axes,
    family,
    place_in_window,
    simulate_families,
    simulate_windows,
    vary,
)


@pytest.mark.parametrize("name", FAMILIES)
def test_family_lies_whole_in_its_window(name):
    rng = np.random.default_rng(6)
    axes = Axes()
    duration_s = 16 * axes.tsamp_s
    places = []
    for _ in range(50):
        signal = vary(rng, family(name))
        channel, t_s = place_in_window(rng, signal, axes)
        low, high = signal.extent_hz(-t_s, duration_s - t_s)
        assert channel + low / axes.channel_width_hz >= -1e-6
        assert channel + high / axes.channel_width_hz <= 256 + 1e-6
        times = (np.arange(1600) + 0.5) / 1600 * duration_s - t_s
        assert signal.envelope.at(times).any()
        places.append(channel)
    assert np.std(places) > 5


def test_brothers_differ_in_strength_and_little_else():
    rng = np.random.default_rng(7)
    original = family("curved")
    brothers = [vary(rng, original, (6, 60)) for _ in range(300)]
    snr = np.array([one.snr for one in brothers])
    assert 6 <= snr.min() < 7
    assert 52 < snr.max() <= 60
    assert np.median(snr) == pytest.approx(np.sqrt(6 * 60), rel=0.2)
    for name in ("width_hz", "drift_hz_per_s", "curvature_hz_per_s2"):
        ratio = np.array([getattr(one, name) for one in brothers]) / getattr(original, name)
        assert 0.9 <= ratio.min() < ratio.max() <= 1.1
    assert {one.name for one in brothers} == {"curved"}


def test_windows_have_level_and_signal():
    rng = np.random.default_rng(8)
    power = simulate_windows(rng, [None, family("hump")], level=5e8)
    assert power.shape == (2, 16, 256)
    assert power.dtype == np.float32
    assert power[0].mean() == pytest.approx(5e8, rel=0.01)
    assert power[0].std() == pytest.approx(5e8 / np.sqrt(102), rel=0.05)
    assert power[1].max() > 5e8 * (1 + 15 * Axes().sigma)


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


def test_unknown_family_is_named_with_those_there_are():
    with pytest.raises(ConfigError, match=r"'wow'.*steady.*impulse"):
        family("wow")
