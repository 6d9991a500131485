from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.filterbank import open_filterbank
from pipeline.grid.coarse_layout import coarse_layout
from pipeline.simulate import (
    FAMILIES,
    Axes,
    Instrument,
    PlacedSignal,
    Signal,
    demo_corpus,
    fine_header,
    scatter,
    simulate_file,
)

WIDTH = 4096
QUIET = Instrument(edge_width=0.0, ripple=0.0, dc_spike=0.0, gain_spread=0.0, level=1.0)


def read(path):
    with open_filterbank(path) as filterbank:
        header = filterbank.header
        return filterbank.read(0, header.nsamples, 0, header.nchans), header


def small(**changes):
    return fine_header(**{"coarse_channels": 3, "coarse_width": WIDTH, **changes})


def test_header_is_the_fine_product_of_green_bank():
    header = fine_header(coarse_channels=2, source_name="HIP1", mjd=58_000, second=43_200)
    assert header.foff_mhz * 1e6 == pytest.approx(-2.7939677, abs=1e-7)
    assert header.tstart_mjd == 58_000.5
    assert (header.f_min_mhz, header.f_max_mhz) == pytest.approx((1530.0, 1530.0 + 2 * 2.9296875), abs=1e-9)
    assert coarse_layout(header, window_channels=256).origin == "product"
    mirrored = fine_header(coarse_channels=2, ascending=True)
    assert (mirrored.f_min_mhz, mirrored.f_max_mhz) == pytest.approx((header.f_min_mhz, header.f_max_mhz))


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("suffix", [".h5", ".fil"])
def test_instrument_is_in_the_file(tmp_path, ascending, suffix):
    instrument = Instrument(gain_spread=0.1, ripple=0.0)
    header = small(ascending=ascending)
    simulate_file(tmp_path / f"a{suffix}", header, coarse_width=WIDTH, instrument=instrument, seed=1)
    power, found = read(tmp_path / f"a{suffix}")
    assert found.foff_mhz == header.foff_mhz
    mean = power.mean(axis=0).reshape(3, WIDTH)
    # the DC bin is bin C/2 of each coarse channel, counted in the order of the file
    spike = WIDTH // 2 if ascending else WIDTH - 1 - WIDTH // 2
    np.testing.assert_array_equal(mean.argmax(axis=1), spike)
    assert mean[0, spike] == pytest.approx(21e9, rel=0.2)
    middle = mean[:, 1000:1900].mean()
    assert middle == pytest.approx(1e9, rel=0.1)
    assert mean[:, [0, -1]].mean() / middle == pytest.approx(0.4, abs=0.1)
    gains = power[:, 1000:1900].mean(axis=1) / middle
    assert gains.std() > 0.04
    in_next = power[:, WIDTH + 1000 : WIDTH + 1900].mean(axis=1) / middle
    np.testing.assert_allclose(in_next, gains, atol=0.02)


def test_signal_is_where_the_truth_says(tmp_path):
    header = small()
    places = [
        PlacedSignal(Signal("in", snr=80, width_hz=8, drift_hz_per_s=0.5), header.channel_edge_mhz(700.0)),
        PlacedSignal(Signal("outside", snr=80), header.f_max_mhz + 1.0),
        PlacedSignal(Signal("across", snr=80, width_hz=100), header.channel_edge_mhz(float(WIDTH))),
    ]
    truth = simulate_file(tmp_path / "a.h5", header, places, coarse_width=WIDTH, instrument=QUIET)
    power, _ = read(tmp_path / "a.h5")
    assert [one.placed.signal.name for one in truth] == ["in", "across"]
    inside, across = truth
    bright = power > 1 + 16 * Axes().sigma  # more than a bin outside the footprint has: a tenth of 80, plus noise
    seen = np.zeros_like(bright)
    for one in truth:
        seen[one.spectrum_start : one.spectrum_stop, one.channel_start : one.channel_stop] = True
        assert one.f_start_mhz == header.channel_edge_mhz(one.channel_start)
    assert bright.sum() > 100
    assert not (bright & ~seen).any()
    assert bright[:, inside.channel_start : inside.channel_start + 4][:2].any()
    drifted = 0.5 * header.duration_s / 2.7939677
    assert inside.channel_stop - inside.channel_start == pytest.approx(drifted, abs=10)
    assert across.channel_start < WIDTH - 10 < WIDTH + 10 < across.channel_stop


def test_seed_decides_the_samples(tmp_path):
    header = small(coarse_channels=1)
    for name, seed in (("a.h5", 1), ("b.h5", 1), ("c.h5", 2)):
        simulate_file(tmp_path / name, header, coarse_width=WIDTH, seed=seed)
    (a, _), (b, _), (c, _) = (read(tmp_path / name) for name in ("a.h5", "b.h5", "c.h5"))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_band_must_be_whole_coarse_channels(tmp_path):
    with pytest.raises(ConfigError, match=r"12288.*5000"):
        simulate_file(tmp_path / "a.h5", small(), coarse_width=5000)
    assert not list(tmp_path.iterdir())


def test_scattered_signals_lie_whole_in_windows_of_their_own(tmp_path):
    header = small(coarse_channels=6)
    placed = scatter(np.random.default_rng(11), header, count=12, coarse_width=WIDTH, snr=(50, 60))
    truth = simulate_file(tmp_path / "a.h5", header, placed, coarse_width=WIDTH, instrument=QUIET)
    assert [one.placed.signal.name for one in truth] == list(FAMILIES)
    windows = {one.channel_start // 256 for one in truth}
    assert len(windows) == 12
    assert all((one.channel_stop - 1) // 256 == one.channel_start // 256 for one in truth)
    assert all(window % 16 not in (0, 7, 8, 15) for window in windows)


def test_scattered_bursts_lie_in_one_time_block(tmp_path):
    header = small(nsamples=40)
    placed = scatter(np.random.default_rng(12), header, count=12, coarse_width=WIDTH, families=("burst",))
    truth = simulate_file(tmp_path / "a.h5", header, placed, coarse_width=WIDTH, instrument=QUIET)
    blocks = [(one.spectrum_start // 16, (one.spectrum_stop - 1) // 16) for one in truth]
    assert sorted(set(blocks)) == [(0, 0), (1, 1)]


def test_too_many_signals_are_refused():
    with pytest.raises(ConfigError, match="room for"):
        scatter(np.random.default_rng(0), small(), count=1000, coarse_width=WIDTH)


def test_demo_is_a_cadence_in_which_families_recur(tmp_path):
    truth = demo_corpus(tmp_path, seed=3)
    names = sorted(path.name for path in truth)
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert [("OFF" in name) for name in names] == [False, True] * 3
    assert sum(path.stat().st_size for path in truth) < 200e6
    for path, found in truth.items():
        assert {one.placed.signal.name for one in found} == set(FAMILIES)
        with open_filterbank(path) as filterbank:
            header = filterbank.header
        assert coarse_layout(header, window_channels=256).origin == "product"
        assert f"_{header.source_name}_fine" in path.name
        day, second = path.name.split("_")[1:3]
        assert header.tstart_mjd == pytest.approx(int(day) + int(second) / 86_400, abs=1e-9)
    places = [one.placed.f_mhz for found in truth.values() for one in found]
    assert len(set(places)) == len(places) == 7 * 96
