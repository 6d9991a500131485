from __future__ import annotations

import numpy as np
import pytest

from pipeline.simulate import Axes, Envelope, Footprint, Signal, add_signal

AXES = Axes(channel_width_hz=2.0, tsamp_s=10.0)  # ``noise_spectra`` is 40


class Silent:
    """A fake generator that draws zeros, so that only the signal itself remains."""

    def standard_normal(self, size):
        return np.zeros(size)


def draw(signal, *, channel, shape=(16, 256), t_s=0.0, axes=AXES):
    power = np.ones(shape, np.float32)
    footprint = add_signal(power, signal, axes=axes, channel=channel, t_s=t_s, rng=Silent())
    return (power - 1) / axes.sigma, footprint


def centroid(excess):
    return (excess * (np.arange(excess.shape[1]) + 0.5)).sum(axis=1) / excess.sum(axis=1)


def test_fine_product_sums_102_exponentials():
    assert Axes().noise_spectra == pytest.approx(102, abs=0.01)


def test_box_fills_exactly_its_channels():
    excess, footprint = draw(Signal("box", snr=7, width_hz=20, profile="box"), channel=105.0)
    expected = np.zeros((16, 256))
    expected[:, 100:110] = 7
    np.testing.assert_allclose(excess, expected, atol=1e-4)
    assert footprint == Footprint(0, 16, 100, 110)


def test_box_between_channels_shares_its_power_out():
    excess, _ = draw(Signal("box", snr=8, width_hz=4, profile="box"), channel=105.25)
    np.testing.assert_allclose(excess[3, 103:108], [0, 6, 8, 2, 0], atol=1e-4)


def test_brightest_bin_has_the_stated_snr_whatever_the_drift():
    for drift in (0.0, 0.3, -5.0):
        excess, _ = draw(Signal("line", snr=25, drift_hz_per_s=drift), channel=200.0, shape=(16, 2000))
        assert excess.max() == pytest.approx(25, abs=1e-3)


@pytest.mark.parametrize(("drift", "curvature"), [(0.5, 0.0), (-0.5, 0.0), (-1.0, 0.02), (3.0, -0.01)])
def test_line_follows_its_track(drift, curvature):
    signal = Signal("line", width_hz=6, drift_hz_per_s=drift, curvature_hz_per_s2=curvature)
    excess, _ = draw(signal, channel=300.5, shape=(16, 800))
    mid = (np.arange(16) + 0.5) * AXES.tsamp_s
    # the mean of the track over a row is its value at mid-row plus curvature · (row length)² / 24
    expected = 300.5 + (drift * mid + curvature * mid**2 / 2 + curvature * AXES.tsamp_s**2 / 24) / 2.0
    np.testing.assert_allclose(centroid(excess), expected, atol=0.02)


def test_fast_line_has_no_gaps():
    excess, _ = draw(Signal("sweep", width_hz=1, drift_hz_per_s=6.0), channel=10.0, shape=(4, 256))
    for row in excess:
        bright = np.flatnonzero(row > row.max() / 2)
        assert len(bright) >= 29  # 6 Hz/s × 10 s / 2 Hz
        assert len(bright) == bright[-1] - bright[0] + 1


def test_pulses_fill_rows_for_the_time_they_last():
    # pulses last 15 of every 40 s, so rows of 10 s are full, half full, empty, empty
    signal = Signal("pulsed", snr=10, width_hz=2, profile="box", envelope=Envelope("pulsed", 40.0, 0.375))
    excess, _ = draw(signal, channel=50.5, shape=(8, 100))
    np.testing.assert_allclose(excess[:, 50], [10, 5, 0, 0, 10, 5, 0, 0], atol=1e-4)


def test_burst_is_one_pulse_and_ramp_stays_up():
    times = np.array([-1.0, 0.0, 5.0, 20.0, 45.0])
    np.testing.assert_array_equal(Envelope("burst", 40.0, 0.25).at(times), [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(Envelope("pulsed", 40.0, 0.25).at(times), [0, 1, 1, 0, 1])
    np.testing.assert_allclose(Envelope("ramp", 40.0).at(times), [0, 0, 0.125, 0.5, 1])
    np.testing.assert_array_equal(Envelope().at(times), np.ones(5))


def test_burst_is_seen_where_it_is():
    signal = Signal("burst", width_hz=20, profile="box", envelope=Envelope("burst", 100.0, 0.3))
    excess, footprint = draw(signal, channel=105.0, t_s=50.0)
    assert footprint == Footprint(5, 8, 100, 110)
    np.testing.assert_array_equal(np.flatnonzero(excess.any(axis=1)), [5, 6, 7])


def test_comb_has_its_lines_and_amplitudes():
    signal = Signal("comb", snr=10, width_hz=2, profile="box", spacing_hz=40, amplitudes=(0.5, 1.0, 0.2))
    excess, footprint = draw(signal, channel=50.5)
    np.testing.assert_allclose(excess[0, [50, 70, 90]], [5, 10, 2], atol=1e-4)
    assert np.count_nonzero(excess[0] > 0.01) == 3
    assert footprint == Footprint(0, 16, 50, 91)


def test_touches_only_the_channels_it_reaches():
    rng = np.random.default_rng(1)
    power = rng.gamma(40, 1 / 40, (16, 512)).astype(np.float32)
    before = power.copy()
    signal = Signal("line", width_hz=4, drift_hz_per_s=0.3)
    add_signal(power, signal, axes=AXES, channel=100.0, rng=rng)
    low, high = signal.extent_hz(0, 160)
    touched = np.flatnonzero((power != before).any(axis=0))
    assert touched[0] >= np.floor(100 + low / 2)
    assert touched[-1] <= np.ceil(100 + high / 2)
    assert len(touched) > 20


@pytest.mark.parametrize("channel", [-1.0, 3.0, 125.0, 128.4])
def test_what_falls_outside_is_cut_off(channel):
    signal = Signal("wide", width_hz=40, drift_hz_per_s=0.2)
    whole, _ = draw(signal, channel=channel + 500, shape=(16, 1128))
    part, _ = draw(signal, channel=channel, shape=(16, 128))
    np.testing.assert_allclose(part, whole[:, 500:628], atol=1e-5)


def test_signal_beside_the_array_leaves_it_alone():
    excess, footprint = draw(Signal("line"), channel=1000.0)
    assert footprint is None
    assert not excess.any()


def test_coherent_signal_beats_against_the_noise():
    rng = np.random.default_rng(2)
    power = rng.gamma(40, 1 / 40, (4000, 8)).astype(np.float32)
    axes = AXES
    add_signal(power, Signal("box", snr=10, width_hz=16, profile="box"), axes=axes, channel=4.0, rng=rng)
    excess = 10 * axes.sigma
    assert power.mean() == pytest.approx(1 + excess, rel=0.005)
    assert power.var() == pytest.approx((1 + 2 * excess) / 40, rel=0.05)
    assert power.min() > 0
