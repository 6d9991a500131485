"""Patterns of many sizes: scores by hand; drawn patterns and their windows, compared with the file that holds them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluate.scales import evaluate_scales
from pipeline.evaluate.skies import LEVEL_BAND, PRODUCTS, Member, Size, Sky, gain_of_view, pattern, simulate_sky
from pipeline.grid.cutouts import power_of_cutouts
from pipeline.simulate import FINE, Signal
from pipeline.views import PLAIN, View

FINE_PRODUCT, _, MEDIUM = PRODUCTS
SMALL, LARGE = Size(200.0, 292.0), Size(3000.0, 292.0)


def windows(*numbers: int) -> np.ndarray:
    """Return cutouts whose first pixel is the number of their vector."""
    cutouts = np.zeros((len(numbers), 16, 256), np.uint8)
    cutouts[:, 0, 0] = numbers
    return cutouts


def test_scores_by_hand() -> None:
    """Check that the best window counts, that noise pushes kin down, and that a pattern without windows is not found.
    """
    angles = {1: 0.0, 2: 0.1, 3: 0.2, 4: 0.3, 5: 0.35, 6: 3.0}

    def encode(cutouts: np.ndarray) -> np.ndarray:
        at = np.array([angles[number] for number in cutouts[:, 0, 0].tolist()])
        return np.stack([np.cos(at), np.sin(at)], axis=1).astype(np.float32)

    def member(kind: str, size: Size, *numbers: int) -> Member:
        return Member(kind, size, PLAIN, windows(*(numbers or (1,))), {PLAIN: windows(*numbers)})

    sky = Sky(".0000", [member("comb", SMALL, 1), member("comb", SMALL, 6, 4), member("comb", SMALL),
                        member("comb", LARGE, 3), member("hump", SMALL, 6)], {PLAIN: windows(2, 5)})
    small, large, hump = evaluate_scales(encode, sky)
    assert [(one.kind, one.size, one.patterns) for one in (small, large, hump)] == [
        ("comb", SMALL, 3), ("comb", LARGE, 1), ("hump", SMALL, 1)]
    assert small.kept == pytest.approx(2 / 3)
    # the first comb sees noise 2, comb 3 of another size, kin 4, noise 5; the last is that of no windows
    # the second sees the hump, noise 5, comb 3, noise 2 and then kin 1; the third, asked by 1, sees kin 1 first
    assert small.precision_at_5 == pytest.approx((0 + 0 + 0.5) / 3)
    assert small.recall == pytest.approx((0.5 + 0 + 1.0) / 3)
    assert small.kind_at_5 == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert np.isnan(large.recall)  # it has no kin
    assert hump.view == ""


@pytest.mark.parametrize("one", [Signal("line", width_hz=3), Signal("hump", width_hz=3000),
                                 Signal("drift", width_hz=3, drift_hz_per_s=-5)], ids=lambda one: one.name)
@pytest.mark.parametrize("view", [View(4), View(16), View(1, 4)], ids=lambda view: view.name)
def test_the_gain_of_a_view_is_that_of_averaging(one: Signal, view: View) -> None:
    """Check that averaging 4 pixels of a wide signal doubles its SNR, and that a line is diluted in as many channels.
    """
    gain = gain_of_view(one, view, FINE, np.random.default_rng(1))
    drift = abs(one.drift_hz_per_s) * FINE.tsamp_s
    full = view.pixels**0.5
    if one.name == "hump":
        assert gain == pytest.approx(full, rel=0.05)
    elif view.frequency == 1:  # in time, only drift moves a line out of its channel
        assert gain == pytest.approx(full if drift == 0 else full / 4, rel=0.3)
    else:
        share = min(1.0, max(one.width_hz, drift) / (view.frequency * FINE.channel_width_hz))
        assert gain == pytest.approx(share * full, rel=0.35)


def test_patterns_have_their_size() -> None:
    for kind in ("comb", "hump", "burst", "drift"):
        one = pattern(kind, LARGE, FINE_PRODUCT)
        low, high = one.extent_hz(0, LARGE.duration_s)
        assert high - low == pytest.approx(LARGE.width_hz, rel=0.05), kind
    comb = pattern("comb", Size(40e3, 292.0), FINE_PRODUCT)
    assert 1400 < comb.spacing_hz <= 1510
    assert pattern("drift", Size(11e3, 292.0), FINE_PRODUCT).drift_hz_per_s == -20


def test_windows_of_a_pattern_show_it_in_the_view_of_its_size() -> None:
    """Check fine patterns of two sizes: windows that a search asks with, and those that the scan keeps, are bright."""
    product = replace(FINE_PRODUCT, channels=2**18, coarse_width=None, apart=4096, instrument=LEVEL_BAND,
                      sizes=(SMALL, LARGE))
    sky = simulate_sky(product, 2, seed=1)
    assert len(sky.members) == 2 * 4 * 2
    assert {(one.size.width_hz, one.view.name) for one in sky.members} == {(200.0, ""), (3000.0, "f4")}
    for one in sky.members:
        assert set(one.kept) == {PLAIN, View(4), View(16)}
        shown = one.kept[one.view]
        assert len(shown) >= 1, one.kind
        for cutouts in (one.asks, shown):
            # the brightest pixel of noise is below 5 σ; the weakest pattern has 6 σ in its brightest pixel
            excess = (power_of_cutouts(cutouts, 1.0, FINE.sigma) - 1) / FINE.sigma
            assert excess.max() > 5, one.kind
    searched = 2**18 // 256
    assert sum(map(len, sky.others.values())) <= 10 + 0.01 * searched  # false alarms, and what leaks beside a pattern


def test_long_patterns_are_asked_for_in_averages_of_spectra() -> None:
    product = replace(MEDIUM, sizes=(Size(4e4, 17.0), Size(4e4, 270.0)), channels=2**12)
    sky = simulate_sky(product, 1, seed=2)
    assert {(one.size.duration_s, one.view.name) for one in sky.members} == {(17.0, ""), (270.0, "t16")}
    assert {one.kind for one in sky.members} == {"comb", "hump", "burst"}  # a drift of 40 kHz would be too fast
