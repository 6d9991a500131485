"""Views of a scan equal scans of files that were averaged before, by a naive average."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import ScanConfig
from pipeline.filterbank import open_filterbank, write_filterbank
from pipeline.model import Header
from pipeline.scan import EXPOSURE_TYPES, WINDOW_TYPES, averaging, cut_windows, scan, tiling_of
from pipeline.scan.averaged_views import VIEW_FALSE_ALARM
from pipeline.scan.averaging import AveragedFile
from pipeline.views import View, views_of
from tests.run.small import COARSE, header, noisy_power

Columns = dict[str, np.ndarray]
VIEWS = ("f4", "f16", "t4", "f4t4")
CONFIG = ScanConfig(coarse_width=COARSE, views=VIEWS)


def naive_average(power: np.ndarray, view: View, *, is_signed: bool = False) -> np.ndarray:
    """Average ascending power, one pixel after another, by the rules for dead pixels.

    Spectra after the last whole time block are those of a block that ends with the last spectrum.
    """
    rows, columns = power.shape[0] // view.time, power.shape[1] // view.frequency
    alive = np.isfinite(power) if is_signed else (power > 0) & (power < np.inf)
    for block in range(0, len(power) - 15, 16):  # a channel that never changes in a time block is dead
        alive[block : block + 16] &= (power[block : block + 16] != power[block]).any(axis=0)
    alive[len(power) // 16 * 16 :] &= (power[-16:] != power[-16]).any(axis=0)
    power, alive = (values[: rows * view.time, : columns * view.frequency].reshape(
        rows, view.time, columns, view.frequency) for values in (power, alive))
    count = alive.sum(axis=(1, 3))
    with np.errstate(all="ignore"):
        mean = np.where(alive, power.astype(np.float64), 0).sum(axis=(1, 3)) / count
    return np.where(count >= 7 / 8 * view.pixels, mean, np.nan).astype(np.float32)


def scanned(path: Path, config: ScanConfig, parts: int = 1) -> dict[str, tuple[Columns, Columns]]:
    """Scan a file in parts; return windows and exposure of each view."""
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        edges = np.linspace(0, tiling.n_coarse, parts + 1).astype(int)
        results = [one for k in range(parts)
                   for one in scan(filterbank, tiling, range(edges[k], edges[k + 1]), config)]
    return {view: ({name: np.concatenate([one.windows[name] for one in results if one.view == view])
                    for name in WINDOW_TYPES},
                   {name: np.concatenate([one.exposure[name] for one in results if one.view == view])
                    for name in EXPOSURE_TYPES}) for view in dict.fromkeys(one.view for one in results)}


def sky(sign: int, seed: int = 3, nsamples: int = 86) -> tuple[Header, np.ndarray]:
    """Return two coarse channels and a piece of a third with five time blocks, with dead pixels; ascending power."""
    like = header(nchans=2 * COARSE + 5003, nsamples=nsamples)
    like = replace(like, foff_mhz=sign * abs(like.foff_mhz))
    power = noisy_power(seed, like)
    power[:, 2000:2300] = 0
    power[3, 9000:9700] = np.nan
    power[20:30, 9001::29] = -1
    power[16:32, 300] = power[16, 300]
    return like, power


LENGTHS = (65, 80, 86, 127)
"""Numbers of spectra that leave a remainder in the plain view, in t4, or in both; 65 leaves less than an averaged
spectrum, and 127 leaves three in the last time block of the plain view."""


@pytest.mark.parametrize(("sign", "nsamples", "cover"), [
    (1, 86, False), (-1, 86, False), *((-1, length, True) for length in LENGTHS), (1, 86, True)])
def test_a_view_equals_the_scan_of_an_averaged_file(tmp_path: Path, sign: int, nsamples: int, cover: bool) -> None:
    like, power = sky(sign, nsamples=nsamples)
    assert_is_scan_of_averages(tmp_path, like, power, replace(CONFIG, keep_all=True, cover=cover))


def test_a_channel_that_does_not_change_in_the_last_block_is_dead_in_what_that_block_adds(tmp_path: Path) -> None:
    like, power = sky(-1)
    power[-17:, 301] = power[-1, 301]
    config = replace(CONFIG, keep_all=True, cover=True, views=("t4", "f4t4"))
    assert_is_scan_of_averages(tmp_path, like, power, config)


def assert_is_scan_of_averages(tmp_path: Path, like: Header, power: np.ndarray, config: ScanConfig) -> None:
    """Compare each view of a file with the scan of a file of averages."""
    found = scanned(write_filterbank(tmp_path / "scan.fil", power, like), config)
    assert found.keys() == {"", *config.views}
    for name in config.views:
        view = View.named(name)
        averaged = naive_average(power, view)
        path = write_filterbank(tmp_path / f"{name}.fil", averaged, view.header_of(like))
        windows, exposure = scanned(path, replace(config, coarse_width=COARSE // view.frequency, views=()))[""]
        assert len(windows["number"]) > 0
        for column in WINDOW_TYPES:
            if column == "cutout":
                differ = found[name][0][column] != windows[column]
                assert differ.mean() < 1e-3  # rounded to the next code
                assert not (found[name][0][column] == 0)[differ].any()  # the same pixels are dead
            else:
                np.testing.assert_allclose(found[name][0][column], windows[column], rtol=1e-4, atol=1e-4,
                                           err_msg=column)
        for column in EXPOSURE_TYPES:
            np.testing.assert_allclose(found[name][1][column], exposure[column], rtol=1e-4, err_msg=column)


def test_the_plain_view_does_not_depend_on_the_others(tmp_path: Path) -> None:
    like, power = sky(-1)
    path = write_filterbank(tmp_path / "scan.h5", power, like)
    alone, among = scanned(path, replace(CONFIG, views=()))[""], scanned(path, CONFIG)[""]
    for one, other in zip(alone, among, strict=True):
        for name, column in one.items():
            assert column.tobytes() == other[name].tobytes(), name


def test_views_do_not_depend_on_parts_or_other_views(tmp_path: Path) -> None:
    like, power = sky(-1)
    path = write_filterbank(tmp_path / "scan.h5", power, like)
    whole = scanned(path, CONFIG)
    in_parts = scanned(path, CONFIG, parts=3)
    one_view = scanned(path, replace(CONFIG, views=("f16",)))
    for found in (in_parts, one_view):
        for view, tables in found.items():
            for one, other in zip(tables, whole[view], strict=True):
                for name, column in one.items():
                    assert column.tobytes() == other[name].tobytes(), (view, name)


@pytest.mark.parametrize(("nsamples", "cover"), [(86, False), *((length, True) for length in LENGTHS)])
def test_windows_that_were_not_kept_can_be_cut_from_a_view(tmp_path: Path, nsamples: int, cover: bool) -> None:
    like, power = sky(-1, nsamples=nsamples)
    path = write_filterbank(tmp_path / "scan.fil", power, like)
    config = replace(CONFIG, keep_all=True, cover=cover)
    found = scanned(path, config)
    with open_filterbank(path) as filterbank:
        plain = tiling_of(filterbank, config)
        for view in views_of(VIEWS, plain.header, plain.coarse, plain.grid):
            tiling, (windows, _) = plain.seen_through(view), found[view.name]
            chosen = np.arange(0, len(windows["number"]), 5)
            places = []
            for number in windows["number"][chosen].tolist():
                window = tiling.window("scan", number)
                places.append((tiling.block_at(window.spectrum_start), window.channel_start))
            cutouts, spreads = cut_windows(AveragedFile(filterbank, view, 16), tiling, places)
            np.testing.assert_array_equal(cutouts, windows["cutout"][chosen])
            np.testing.assert_array_equal(spreads, windows["spread"][chosen])


def test_values_of_either_sign_are_averaged_as_they_are(tmp_path: Path) -> None:
    like = header(nchans=2 * COARSE, nsamples=16)
    values = np.random.default_rng(2).normal(0, 1, (16, like.nchans)).astype(np.float32)
    values[:, 5000:5120] += 3
    values[:, 700:720] = np.nan
    config = replace(CONFIG, keep_all=True, views=("f4",))
    found = scanned(write_filterbank(tmp_path / "scan.fil", values, like), config)["f4"][0]
    averaged = naive_average(values, View(4), is_signed=True)
    path = write_filterbank(tmp_path / "f4.fil", averaged, View(4).header_of(like))
    expected = scanned(path, replace(config, coarse_width=COARSE // 4, views=()))[""][0]
    np.testing.assert_allclose(found["snr"], expected["snr"], rtol=1e-3)
    np.testing.assert_array_equal(found["number"], expected["number"])


def test_a_line_is_kept_once_but_a_comb_and_a_hump_in_each_view_that_holds_them(tmp_path: Path) -> None:
    like = header(nchans=2**17, nsamples=16)
    power = np.random.default_rng(8).gamma(102, 1 / 102, (16, like.nchans)).astype(np.float32)
    power[:, 1100] += 2  # one line
    power[:, 10_240 : 10_240 + 1024 : 300] += 2  # a comb: its teeth lie in several plain windows
    power[:, 40_960 : 40_960 + 800] += 0.2  # a hump, wider than a plain window
    path = write_filterbank(tmp_path / "scan.fil", power, replace(like, foff_mhz=abs(like.foff_mhz)))
    config = replace(CONFIG, coarse_width=2**17, views=("f4",))
    found = scanned(path, config)
    numbers, averaged = set(found[""][0]["number"].tolist()), set(found["f4"][0]["number"].tolist())
    line, comb, hump = 1, 10, 40
    assert 1100 // 256 in numbers
    assert line not in averaged
    assert {40, 41, 42, 43} <= numbers
    assert comb in averaged
    assert hump in averaged
    # without the rule, the window with the line would be kept: the gate sees it
    kept = scanned(path, replace(config, keep_all=True))["f4"][0]
    row = int(np.flatnonzero(kept["number"] == line)[0])
    assert kept["snr"][row] > 20


def test_one_line_explains_a_window_but_teeth_of_a_wide_comb_and_a_hump_beside_a_line_do_not_go(tmp_path: Path) -> None:
    """Check windows of f16, which are 4,096 plain channels wide. Each pattern begins at the start of such a window."""
    like = replace(header(nchans=2**18, nsamples=16), foff_mhz=abs(header().foff_mhz))
    power = np.random.default_rng(9).gamma(102, 1 / 102, (16, like.nchans)).astype(np.float32)
    line, comb, both, hump_in_line = (4096 * k for k in (7, 15, 23, 31))
    power[:, line + 700] += 50  # 500 σ
    power[:, comb + 100 : comb + 4096 : 537] += 3  # teeth of 30 σ, 1.5 kHz apart
    power[:, both + 700] += 50
    power[:, both + 1500 : both + 3000] += 0.05  # a hump of 0.5 σ, in other plain windows than the line
    power[:, hump_in_line + 2048 : hump_in_line + 2304] += 0.3  # a hump that fills one plain window, with a line in it
    power[:, hump_in_line + 2100] += 50
    config = replace(CONFIG, coarse_width=2**18, views=("f4", "f16"))
    path = write_filterbank(tmp_path / "scan.fil", power, like)
    found = scanned(path, config)
    kept = {view: set((windows["number"] * {"": 256, "f4": 1024, "f16": 4096}[view]).tolist())
            for view, (windows, _) in found.items()}
    assert {line + 512, both + 512, hump_in_line + 2048} <= kept[""]
    assert {comb + (100 + 537 * k) // 256 * 256 for k in range(8)} <= kept[""]
    assert kept["f16"] == {comb, both}
    teeth = [comb + 1024 * k for k in range(4)]  # each window of f4 holds two teeth, or nearly so
    assert set(teeth) <= kept["f4"]
    assert not kept["f4"] & {line, both, hump_in_line + 2048}
    assert {both + 1024, both + 2048} <= kept["f4"]
    passes = scanned(path, replace(config, keep_all=True))["f16"][0]  # the gate sees all four
    assert (passes["snr"][np.isin(passes["number"] * 4096, [line, comb, both, hump_in_line])] > 20).all()


def correlated_noise(
    rng: np.random.Generator, shape: tuple[int, int], correlation: float, averaged: int = 102
) -> np.ndarray:
    """Draw noise of exponential variables whose neighbouring channels are correlated: a moving sum of two channels."""
    if not correlation:
        return rng.gamma(averaged, 1 / averaged, shape).astype(np.float32)
    share = (1 - (1 - 4 * correlation**2) ** 0.5) / (2 * correlation)
    drawn = rng.standard_gamma(averaged, (shape[0], shape[1] + 1), dtype=np.float32) / np.float32(averaged)
    return ((drawn[:, :-1] + np.float32(share) * drawn[:, 1:]) / np.float32(1 + share)).astype(np.float32)


POLYPHASE_CORRELATION = 0.026
"""Correlation of the power of neighbouring channels in a critically sampled polyphase filterbank of 4 taps with a
Hamming window, averaged over many of its spectra. The fine product has none: its channels are those of a Fourier
transform without a window."""


def test_neighbouring_channels_of_a_polyphase_filterbank_are_correlated() -> None:
    """Filter noise, and compare with the overlap of two channels in theory."""
    channels, taps, averaged = 1024, 4, 26
    at = (np.arange(taps * channels) + 0.5) / channels - taps / 2
    window = (np.sinc(at) * np.hamming(taps * channels)).reshape(taps, channels)
    turns = np.exp(2j * np.pi * at.reshape(taps, -1))
    expected = sum(abs((window[k:] * window[: taps - k] * turns[k:]).sum()) ** 2 * (1 if k == 0 else 2)
                   for k in range(taps)) / sum((window[k:] * window[: taps - k]).sum() ** 2 * (1 if k == 0 else 2)
                                               for k in range(taps))
    assert expected == pytest.approx(POLYPHASE_CORRELATION, abs=1e-3)
    rng = np.random.default_rng(5)
    power = np.zeros((64, channels))
    for spectrum in power:
        voltages = rng.standard_normal((averaged + taps - 1, channels, 2)) @ np.array([1, 1j])
        for k in range(averaged):
            spectrum += np.abs(np.fft.fft((window * voltages[k : k + taps]).sum(axis=0))) ** 2
    power -= power.mean()
    measured = (power[:, 1:] * power[:, :-1]).mean() / (power**2).mean()
    assert measured == pytest.approx(expected, abs=4 * power.size**-0.5)


def test_the_noise_of_a_view_is_measured_where_neighbouring_channels_are_correlated(tmp_path: Path) -> None:
    like, correlation = header(nchans=2**19, nsamples=16), 0.1
    power = correlated_noise(np.random.default_rng(6), (16, like.nchans), correlation, averaged=80)
    exposure = {view: rows for view, (_, rows) in scanned(
        write_filterbank(tmp_path / "scan.fil", power, like), replace(CONFIG, coarse_width=2**19)).items()}
    plain = 1 / power.var()
    for view, factor in (("f4", 4), ("f16", 16)):
        # the variance of a mean of n numbers with correlated neighbours is 1 + 2ρ(n − 1)/n times that of others
        expected = factor * plain / (1 + 2 * correlation * (factor - 1) / factor)
        assert exposure[view]["noise_is_measured"].all()
        assert exposure[view]["noise_spectra"] == pytest.approx(expected, rel=0.015 if view == "f4" else 0.03)


def test_a_channel_that_a_signal_saturates_is_alive_and_one_that_is_stuck_is_dead() -> None:
    power = np.random.default_rng(4).integers(90, 110, (16, 64)).astype(np.float32)
    power[:, 8:12], power[:, 20:24] = 255, 7
    averages = averaging.Averages([View(4)], power.shape, (0.0, 255.0))
    averages.watch(power, 0, 0)
    averages.end_block()
    means = averages.samples(View(4), replace(header(), foff_mhz=1e-6), 0).read(0, 16, 0, 16, np.empty(0, np.float32))
    assert (means[:, 2] == 255).all()
    assert np.isnan(means[:, 5]).all()
    assert np.isfinite(np.delete(means, 5, axis=1)).all()


def test_averaging_is_the_same_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    _, power = sky(-1)
    power = np.ascontiguousarray(power[:16, :COARSE])
    views = [View(4), View(16), View(1, 4), View(4, 4)]

    def averaged(chunk: int) -> dict[View, np.ndarray]:
        monkeypatch.setattr(averaging, "STRETCH_CHANNELS", chunk)
        averages = averaging.Averages(views, power.shape)
        for start in range(0, COARSE, chunk):
            averages.watch(power[:, start : start + chunk], start, 0)
        averages.end_block()
        memory, ascending = np.empty(0, np.float32), replace(header(), foff_mhz=1e-6)
        return {view: averages.samples(view, ascending, 0).read(0, 16, 0, COARSE // view.frequency, memory)[
            : 16 // view.time] for view in views}

    whole, chunks = averaged(COARSE), averaged(64)
    for view in views:
        assert whole[view].tobytes() == chunks[view].tobytes()


def test_a_block_that_was_not_read_to_its_end_is_an_error() -> None:
    averages = averaging.Averages([View(4)], (16, 4096))
    averages.watch(np.ones((16, 100), np.float32), 0, 0)
    with pytest.raises(RuntimeError, match="only 0 of 4096 channels were averaged"):
        averages.end_block()


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, POLYPHASE_CORRELATION])
def test_all_views_together_keep_no_more_noise_than_the_rate(tmp_path: Path, correlation: float) -> None:
    """Count windows of pure noise: 2¹⁷ plain ones, so that the count has an error of 9 %.

    Where neighbouring channels are correlated, the plain view keeps more noise than the rate. The averaged views do not
    add more to it than they may.
    """
    counts: dict[str, list[int]] = {}
    config = replace(CONFIG, coarse_width=2**18, views=("f4", "f16"))
    for seed in range(8):
        like = header(nchans=2**22, nsamples=16)
        power = correlated_noise(np.random.default_rng(seed), (16, like.nchans), correlation)
        for view, (windows, exposure) in scanned(write_filterbank(tmp_path / "noise.fil", power, like), config).items():
            count = counts.setdefault(view, [0, 0])
            count[0] += len(windows["number"])
            count[1] += int(exposure["windows_searched"].sum())
    plain = counts[""][1]
    assert plain == 8 * 2**22 // 256
    expected = config.false_alarm * plain
    if correlation == 0:
        assert sum(kept for kept, _ in counts.values()) <= expected + 2.6 * expected**0.5
    for view in ("f4", "f16"):
        expected = config.false_alarm * VIEW_FALSE_ALARM * counts[view][1]
        assert counts[view][0] <= expected + 3 * expected**0.5 + 3
