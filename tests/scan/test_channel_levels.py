"""Bands of few wide channels: each channel has a level of its own over the whole file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import ScanConfig
from pipeline.filterbank import open_filterbank, write_filterbank
from pipeline.model import Header
from pipeline.scan import cut_windows, levels_of_channels, scan, tiling_of
from pipeline.scan.levels import ChannelLevels
from pipeline.views import View

CHANNELS, SPECTRA, NOISE = 300, 640, 51
HEADER = Header(fch1_mhz=1500.0, foff_mhz=-1.0, nchans=CHANNELS, nifs=1, nbits=32, tsamp_s=0.512e-3, nsamples=SPECTRA,
                tstart_mjd=59_000.0, source_name="FIELD", telescope_id=4)
CONFIG = ScanConfig(views=("t4", "t16"), channel_levels=True)


@pytest.fixture
def band() -> np.ndarray:
    """Relative levels of the channels, ascending: a slope, steps, and a notch."""
    levels = np.linspace(0.8, 1.2, CHANNELS) * np.random.default_rng(0).uniform(0.95, 1.05, CHANNELS)
    levels[100:104] *= 0.6
    return levels / np.median(levels)


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_gamma(NOISE, (SPECTRA, CHANNELS), np.float32) / NOISE


def levels_of(path: Path, config: ScanConfig = CONFIG) -> np.ndarray | None:
    with open_filterbank(path) as filterbank:
        levels = levels_of_channels(filterbank, tiling_of(filterbank, config), [0], config)
        return None if levels is None else levels.of_coarse[0]


def kept(path: Path, config: ScanConfig) -> dict[str, tuple[int, int]]:
    """Return kept and searched windows of each view."""
    counts: dict[str, tuple[int, int]] = {}
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        for one in scan(filterbank, tiling, range(tiling.n_coarse), config):
            before = counts.get(one.view, (0, 0))
            counts[one.view] = (before[0] + len(one.windows["number"]),
                                before[1] + int(one.exposure["windows_searched"].sum()))
    return counts


@pytest.mark.parametrize("sign", [1, -1])
def test_levels_are_those_of_the_band_whatever_comes_and_goes(tmp_path: Path, band: np.ndarray, sign: int) -> None:
    power = 7 * noise() * band * np.random.default_rng(5).uniform(0.5, 2, (SPECTRA, 1))
    power[:256, 50] *= 5       # a transmitter that is there for less than half of the time
    power[300:310] *= 20       # a pulse over the whole band
    power[:, 200] = 0          # a dead channel
    power[40:60, 20] = np.nan
    path = write_filterbank(tmp_path / "a.fil", power.astype(np.float32), replace(HEADER, foff_mhz=1.0 * sign))
    levels = levels_of(path)
    assert levels is not None
    alive = np.arange(CHANNELS) != 200
    # 40 blocks of 16 spectra: the error of a median is 1.25 * 0.14 / 640 ** 0.5 = 0.007. Where the transmitter is,
    # the median is the 83 % quantile of the quiet blocks, whose spread is 0.035
    off = levels / band - 1
    off -= np.median(off)
    assert abs(off[50]) < 0.06
    alive[50] = False
    assert np.abs(off[alive]).max() < 0.03
    assert np.std(off[alive]) < 0.009
    assert levels[200] == 1


def test_what_does_not_suit_has_no_levels(tmp_path: Path) -> None:
    power = noise()
    for name, header, config in (
        ("narrow", replace(HEADER, foff_mhz=-0.05), CONFIG),
        ("short", replace(HEADER, nsamples=79), CONFIG),
        ("off", HEADER, replace(CONFIG, channel_levels=None)),
        ("coarse", HEADER, replace(CONFIG, window=150, step=150, coarse_width=150)),
    ):
        path = write_filterbank(tmp_path / f"{name}.fil", power[: header.nsamples], header)
        levels = levels_of(path, config)
        assert levels is None, name
    wide = replace(HEADER, nchans=2048, nsamples=80)
    assert levels_of(write_filterbank(tmp_path / "wide.fil", np.ones((80, 2048), np.float32), wide)) is None
    assert levels_of(write_filterbank(tmp_path / "enough.fil", power[:80], replace(HEADER, nsamples=80))) is not None


def test_uneven_levels_fill_no_view_with_noise(tmp_path: Path, band: np.ndarray) -> None:
    path = write_filterbank(tmp_path / "a.fil", (noise() * band).astype(np.float32), HEADER)
    without = kept(path, replace(CONFIG, channel_levels=False))
    assert all(found == searched for found, searched in without.values()), "each window shows the notch"
    with_levels = kept(path, CONFIG)
    assert with_levels.keys() == {"", "t4", "t16"}
    assert all(found <= 1 and searched == without[view][1] for view, (found, searched) in with_levels.items())


def test_a_signal_stays_with_its_power(tmp_path: Path, band: np.ndarray) -> None:
    power = noise() * band
    power[160:240, 150:154] += 0.5 * band[150:154]
    path = write_filterbank(tmp_path / "a.fil", power.astype(np.float32), HEADER)
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, CONFIG)
        levels = levels_of_channels(filterbank, tiling, [0], CONFIG)
        cutouts, _ = cut_windows(filterbank, tiling, [(12, 20)], levels)
        results = list(scan(filterbank, tiling, range(1), CONFIG))
    plain = {int(number): row for one in results if not one.view
             for number, row in zip(one.windows["number"], one.windows["cutout"], strict=True)}
    assert {10, 11, 12, 13, 14} <= plain.keys()
    # the window that a query cuts elsewhere has the same pixels as the one that the scan kept, which begins at 0
    np.testing.assert_array_equal(cutouts[0][:, : 256 - 20], plain[12][:, 20:])
    assert [int(number) for one in results if one.view == "t4" for number in one.windows["number"]] == [2, 3]


def test_levels_of_a_view_are_means() -> None:
    levels = np.arange(10, dtype=np.float32)
    np.testing.assert_array_equal(ChannelLevels({2: levels}).of(2, 10), levels)
    averaged = View(4).header_of(replace(HEADER, nchans=10)).nchans
    np.testing.assert_array_equal(ChannelLevels({2: levels}).of(2, averaged), [1.5, 5.5])
    assert ChannelLevels({2: levels}).of(1, 10) is None
