"""The band template: narrow coarse channels are divided by the shape that their neighbours share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import ScanConfig
from pipeline.filterbank import open_filterbank, write_filterbank
from pipeline.grid.cutouts import power_of_cutouts
from pipeline.model import Header
from pipeline.scan import AveragedFile, cut_windows, levels_of_channels, scan, tiling_of
from pipeline.scan.band_template import GROUP, MIN_COARSE
from pipeline.simulate import Instrument
from pipeline.views import PLAIN, View

WIDTH, SPECTRA, NOISE = 1024, 64, 6144
CONFIG = ScanConfig(views=("t4",), cover=True, band_template=True)
SHAPE = Instrument().band_shape(WIDTH)


def header(coarse: int, spectra: int, sign: int = -1) -> Header:
    """Return the header of a .0002 product: 1,024 channels of 2.86 kHz in each coarse channel."""
    foff = 187.5 / 2**16
    edge = 1500.0 if sign > 0 else 1500.0 + foff * (coarse * WIDTH - 1)
    return Header(fch1_mhz=edge, foff_mhz=foff * sign, nchans=coarse * WIDTH, nifs=1, nbits=32, tsamp_s=1.073741824,
                  nsamples=spectra, tstart_mjd=59_000.0, source_name="FIELD", telescope_id=6)


def power_of(coarse: int, spectra: int = SPECTRA) -> np.ndarray:
    """Return noise (spectra, coarse channels, channels): one shape, and gains and slopes of each coarse channel."""
    rng = np.random.default_rng(0)
    place = np.linspace(-0.5, 0.5, WIDTH, dtype=np.float32)
    own = rng.uniform(0.5, 2, (coarse, 1)) * (1 + rng.uniform(-0.1, 0.1, (coarse, 1)) * place)
    power = rng.standard_gamma(NOISE, (spectra, coarse, WIDTH), np.float32) / NOISE * SHAPE * own.astype(np.float32)
    power[:, :, WIDTH // 2] *= 20
    return power


def write(path: Path, power: np.ndarray, sign: int = -1) -> Path:
    ascending = power.reshape(len(power), -1).astype(np.float32)
    return write_filterbank(path, ascending, header(power.shape[1], len(power), sign))


def kept(path: Path, config: ScanConfig, parts: int = 1) -> dict[str, dict[int, np.ndarray]]:
    """Return number → cutout of the kept windows of each view, from tasks that scan some coarse channels each."""
    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in ("", *(config.views or ()))}
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        for part in np.array_split(np.arange(tiling.n_coarse), parts):
            for one in scan(filterbank, tiling, range(part[0], part[-1] + 1), config):
                found[one.view] |= dict(zip(one.windows["number"].tolist(), one.windows["cutout"], strict=True))
    return found


def levels_of(path: Path, config: ScanConfig = CONFIG) -> dict[int, np.ndarray]:
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        levels = levels_of_channels(filterbank, tiling, range(tiling.n_coarse), config)
        return {} if levels is None else dict(levels.of_coarse)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_template_is_the_shape_whatever_a_few_coarse_channels_hold(tmp_path: Path, sign: int) -> None:
    power = power_of(20)
    power[:, 3] = 0                     # dead
    power[:, 4] = 1e6                   # saturated
    power[:, 5, 100:700] *= 30          # interference
    power[:, 6, :400] = np.nan
    power[20:30, 7:9] *= 50             # a pulse
    levels = levels_of(write(tmp_path / "a.fil", power, sign))
    assert sorted(levels) == list(range(20))
    # the mean of 18 coarse channels and 64 spectra, in which a fifth of the information is lost by trimming
    error = (NOISE * 64 * 18 * 0.8) ** -0.5
    place = np.linspace(-1, 1, WIDTH)
    for template in levels.values():
        off = template / SHAPE
        off /= np.polyval(np.polyfit(place, off, 3), place)  # slopes are removed in each coarse channel by itself
        inner = np.abs(np.arange(WIDTH) - WIDTH // 2 + 0.5) > 1
        # where interference begins, the mean is over others: a small step, which the running median follows later
        assert np.std(off[inner]) < 2.5 * error
        assert np.abs(off - 1).max() < 8 * error, "the DC bin is no part of the shape"


def test_noise_at_the_shoulders_is_left_out_and_a_wide_hump_stays(tmp_path: Path) -> None:
    power, config = power_of(16, 256), replace(CONFIG, views=("t16",))
    quiet = write(tmp_path / "quiet.fil", power)
    before, after = (kept(quiet, replace(config, band_template=on)) for on in (False, True))
    assert len(before["t16"]) > 2, "the bends of the band are taken for signals"  # of 64
    assert not after["t16"]
    assert len(after[""]) <= 6  # of 1,024, where 1 is expected
    hump = 0.05 * np.exp(-4 * np.log(2) * ((np.arange(WIDTH) - 384) / 14) ** 2)  # 40 kHz wide at half height
    power[:, 9] *= (1 + hump).astype(np.float32)
    path, near = write(tmp_path / "hump.fil", power), slice(384 - 6, 384 + 7)
    shares = {}
    for on in (False, True):
        cutouts, spreads = cut(path, [(block, 9 * WIDTH + 256) for block in range(4)], on=on)
        flat = power_of_cutouts(cutouts, 1.0, float(spreads[0])).mean(axis=(0, 1)) - 1
        shares[on] = flat[near.start - 256 : near.stop - 256].sum() / hump[near].sum()
    assert shares[False] < 0.3
    assert 0.9 < shares[True] < 1.1


def cut(path: Path, places: list[tuple[int, int]], view: View = PLAIN, *, on: bool = True) -> tuple:
    """Cut windows as a query does: block and first channel of each."""
    with open_filterbank(path) as filterbank:
        plain = tiling_of(filterbank, CONFIG)
        tiling = plain.seen_through(view)
        coarse = {tiling.coarse_at(channel) for _, channel in places}
        levels = levels_of_channels(filterbank, plain, coarse, replace(CONFIG, band_template=on))
        file = filterbank if view == PLAIN else AveragedFile(filterbank, view, tiling.grid.integrations)
        return cut_windows(file, tiling, places, levels)


@pytest.mark.parametrize("on", [False, True])
def test_neither_tasks_nor_queries_change_a_pixel(tmp_path: Path, on: bool) -> None:
    coarse, config = 2 * GROUP + 3, replace(CONFIG, views=("f4",), keep_all=True, band_template=on)
    path = write(tmp_path / "a.fil", power_of(coarse, 16))
    whole = kept(path, config)
    assert len(whole[""]) == 4 * coarse
    for view, windows in kept(path, config, 3).items():
        assert windows.keys() == whole[view].keys()
        assert all((windows[number] == whole[view][number]).all() for number in windows)
    with open_filterbank(path) as filterbank:
        plain = tiling_of(filterbank, config)
    for name, windows in whole.items():
        tiling = plain.seen_through(View.named(name))
        numbers = list(windows)[::7]
        places = [(tiling.locate(number)[0], tiling.window("", number).channel_start) for number in numbers]
        cutouts, _ = cut(path, places, View.named(name), on=on)
        np.testing.assert_array_equal(cutouts, np.array([windows[number] for number in numbers]))


def test_what_is_at_one_place_of_every_coarse_channel_is_taken_for_the_band(tmp_path: Path) -> None:
    power = power_of(16)
    power[:, :, 300:303] *= 1.2
    everywhere = kept(write(tmp_path / "a.fil", power), CONFIG)
    power[:, 3:, 300:303] /= 1.2
    in_three = kept(write(tmp_path / "b.fil", power), CONFIG)
    assert not everywhere["t4"]
    assert sorted(in_three["t4"]) == [4 * 0 + 1, 4 * 1 + 1, 4 * 2 + 1]


def test_what_does_not_suit_has_no_template(tmp_path: Path) -> None:
    power = power_of(MIN_COARSE)
    enough, few = write(tmp_path / "a.fil", power), write(tmp_path / "b.fil", power[:, 1:])
    assert len(levels_of(enough)) == MIN_COARSE
    assert not levels_of(few)
    assert not levels_of(enough, replace(CONFIG, band_template=False))
    assert not levels_of(enough, replace(CONFIG, coarse_width=2 * WIDTH))
    power[:, 2] = 7
    assert not levels_of(write(tmp_path / "dead.fil", power)), "too few coarse channels change"
    signed = power_of(MIN_COARSE) - 1
    assert not levels_of(write(tmp_path / "signed.fil", signed)), "values of either sign have no shape in common"


def test_pieces_at_the_ends_of_a_band_get_pieces_of_the_template(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fil", power_of(12))
    with open_filterbank(path) as filterbank:
        whole = tiling_of(filterbank, CONFIG)
        shifted = replace(whole, coarse=replace(whole.coarse, offset=300))
        assert shifted.n_coarse == 13
        levels = levels_of_channels(filterbank, shifted, range(13), CONFIG)
    assert levels is not None
    low, middle, top = (levels.of_coarse[i] for i in (0, 5, 12))
    np.testing.assert_array_equal(low, middle[-300:])
    np.testing.assert_array_equal(top, middle[:-300])
