from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.simulate import (
    FAMILIES,
    Axes,
    family,
    place_in_window,
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


def test_variants_differ_in_strength_and_little_else():
    rng = np.random.default_rng(7)
    original = family("curved")
    variants = [vary(rng, original, (6, 60)) for _ in range(300)]
    snr = np.array([one.snr for one in variants])
    assert 6 <= snr.min() < 7
    assert 52 < snr.max() <= 60
    assert np.median(snr) == pytest.approx(np.sqrt(6 * 60), rel=0.2)
    for name in ("width_hz", "drift_hz_per_s", "curvature_hz_per_s2"):
        ratio = np.array([getattr(one, name) for one in variants]) / getattr(original, name)
        assert 0.9 <= ratio.min() < ratio.max() <= 1.1
    assert {one.name for one in variants} == {"curved"}


def test_unknown_family_is_named_with_those_there_are():
    with pytest.raises(ConfigError, match=r"'wow'.*steady.*impulse"):
        family("wow")
