from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import ScanConfig
from pipeline.errors import Reason, SourceError
from pipeline.filterbank import Ascending, Filterbank, FilterbankWriter, open_filterbank, write_filterbank
from pipeline.filterbank.fetched import DecodedSamples
from pipeline.flatten import coarse_channel as flatten_module
from pipeline.flatten.noise import nominal_noise_spectra
from pipeline.gate import measure
from pipeline.grid.coarse_layout import coarse_layout
from pipeline.grid.cutouts import quantise
from pipeline.grid.tiling import Tiling
from pipeline.model import Header
from pipeline.scan import (
    COLUMNS,
    EXPOSURE_TYPES,
    WINDOW_TYPES,
    ScanResult,
    coarse_channels,
    cut_windows,
    empty_result,
    read_groups,
    reading,
    scan,
    scan_channel,
    tiling_of,
)
from pipeline.scan import layout as layout_module
from pipeline.simulate import fine_header
from tests.flatten.at_once import flatten, power_of
from tests.grid.test_tiling import naive_starts
from tests.run.small import COARSE, header, noisy_power

Columns = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def sky() -> tuple[Header, np.ndarray]:
    """Return four whole coarse channels and a piece of a fifth, in two time blocks with five spectra left over."""
    like = header(nchans=4 * COARSE + 1000, nsamples=37)
    return like, noisy_power(5, like)


@pytest.fixture(scope="module")
def path(sky: tuple[Header, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_filterbank(tmp_path_factory.mktemp("scan") / "scan.h5", sky[1], sky[0])


CONFIG = ScanConfig(coarse_width=COARSE, step=192)


def joined(pieces: list[ScanResult]) -> tuple[Columns, Columns]:
    windows = {name: np.concatenate([piece.windows[name] for piece in pieces]) for name in WINDOW_TYPES}
    exposure = {name: np.concatenate([piece.exposure[name] for piece in pieces]) for name in EXPOSURE_TYPES}
    return windows, exposure


def scanned(path: Path, config: ScanConfig = CONFIG, parts: list[range] | None = None) -> tuple[Columns, Columns]:
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        parts = parts or [range(tiling.n_coarse)]
        return joined([piece for part in parts for piece in scan(filterbank, tiling, part, config)])


def assert_equal(found: tuple[Columns, Columns], expected: tuple[Columns, Columns]) -> None:
    for columns, other in zip(found, expected, strict=True):
        assert columns.keys() == other.keys()
        for name, column in columns.items():
            assert column.dtype == other[name].dtype
            assert column.tobytes() == other[name].tobytes(), name


def naive(like: Header, power: np.ndarray, config: ScanConfig) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Scan window after window of the array that the file was written from."""
    starts_of = [naive_starts(c, min(c + COARSE, like.nchans), config.window, config.step, bool(config.cover))
                 for c in range(0, like.nchans, COARSE)]
    blocks = naive_starts(0, like.nsamples, 16, 16, bool(config.cover))
    windows_per_block = sum(map(len, starts_of))
    windows, exposure = [], []
    for i, starts in enumerate(starts_of):
        for block, spectrum in enumerate(blocks):
            low, high = i * COARSE, min((i + 1) * COARSE, like.nchans)
            piece = power[spectrum : spectrum + 16, low:high].copy()
            nominal, is_whole = nominal_noise_spectra(like), high - low == COARSE
            flat = flatten(piece, nominal=nominal, has_dc_spike=is_whole, coarse_width=COARSE)
            searched = kept = 0
            for k, start in enumerate(starts):
                at = np.array([start - low])
                stats = measure(flat, at, config.grid, config.false_alarm)
                searched += int(stats.searchable[0])
                if not (stats.searchable[0] if config.keep_all else stats.keep[0]):
                    continue
                kept += 1
                image = power_of(flat)[:, start - low : start - low + config.window]
                windows.append({
                    "number": block * windows_per_block + sum(map(len, starts_of[:i])) + k,
                    "cutout": quantise(image, flat.noise_spectra**-0.5), "snr": stats.snr[0],
                    "masked": int((image == 0).sum()), "level": flat.baseline[start - low + config.window // 2],
                })
            exposure.append({
                "coarse_channel": i, "time_block": block, "windows_searched": searched, "windows_kept": kept,
                "windows_masked": len(starts) - searched,
                "f_start_mhz": like.f_min_mhz + starts[0] * like.channel_width_mhz,
                "f_stop_mhz": like.f_min_mhz + (starts[-1] + config.window) * like.channel_width_mhz,
            })
    return windows, exposure


@pytest.mark.parametrize("config", [
    CONFIG, replace(CONFIG, keep_all=True), replace(CONFIG, window=100, step=300),
    replace(CONFIG, cover=True), replace(CONFIG, window=100, step=100, cover=True),
])
def test_a_scan_equals_a_naive_loop(path: Path, sky: tuple[Header, np.ndarray], config: ScanConfig) -> None:
    like, power = sky
    power = power.copy()
    power[:, 2000:2300] = 0
    power[3, 9000:9700] = np.nan
    dead = write_filterbank(path.with_name(f"dead{config.window}{config.keep_all}{config.cover}.fil"), power, like)
    windows, exposure = scanned(dead, config)
    expected_windows, expected_exposure = naive(like, power, config)
    assert len(expected_windows) > 0
    assert sum(row["windows_masked"] for row in expected_exposure) > 0
    for found, expected in ((windows, expected_windows), (exposure, expected_exposure)):
        for name in expected[0]:
            np.testing.assert_array_equal(found[name], [row[name] for row in expected], err_msg=name)
    # every window of the grid is counted once, as searched or as masked; kept windows are among the searched
    with open_filterbank(dead) as filterbank:
        tiling = tiling_of(filterbank, config)
    assert exposure["windows_searched"].sum() + exposure["windows_masked"].sum() == tiling.n_windows
    assert (exposure["windows_kept"] <= exposure["windows_searched"]).all()
    assert exposure["windows_kept"].sum() == len(windows["number"]) == len(set(windows["number"]))
    assert set(windows["number"]) <= set(range(tiling.n_windows))


@pytest.fixture(scope="module")
def wide_sky() -> tuple[Header, np.ndarray]:
    """Return two coarse channels of many stretches, with lines, dead pixels, and a dead range longer than a stretch."""
    like = header(nchans=2**16, nsamples=16)
    rng = np.random.default_rng(11)
    power = (rng.gamma(102, 1 / 102, (16, 2**16)) * (1 + np.arange(2**16) / 2**16)).astype(np.float32)
    power[:, 2**14 :: 2**15] *= 50
    for start in rng.integers(0, 2**16 - 600, 60):
        for t in range(16):
            power[t, start + 3 * t : start + 3 * t + 4] += 0.7
    power[:, 7000:12_500] = 0
    power[5, 40_000:40_100] = np.nan
    power[9] *= 3
    return like, power


@pytest.mark.parametrize("changes", [{}, {"step": 100}, {"window": 100, "step": 300}, {"keep_all": True, "step": 250}])
def test_the_length_of_stretches_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide_sky: tuple[Header, np.ndarray], changes: dict[str, Any]
) -> None:
    like, power = wide_sky
    config = replace(ScanConfig(coarse_width=2**15), **changes)
    # narrow coarse channels then have several stretches
    monkeypatch.setattr(flatten_module, "MIN_SAMPLED_CHANNELS", 8192)
    path = write_filterbank(tmp_path / "wide.h5", power, like)
    rising = replace(like, foff_mhz=-like.foff_mhz, fch1_mhz=like.fch1_mhz + (like.nchans - 1) * like.foff_mhz)
    mirrored = write_filterbank(tmp_path / "mirrored.fil", power, rising)
    whole = None
    for stretch in (2**15, 2048, 6144, 2**14):
        monkeypatch.setattr(coarse_channels, "STRETCH_CHANNELS", stretch)
        for file in (path, mirrored):
            windows, exposure = scanned(file, config)
            for name in ("f_start_mhz", "f_stop_mhz"):  # in the mirrored file, edges are computed from the other end
                exposure[name] = exposure[name].round(9)
            whole = whole or (windows, exposure)
            assert_equal((windows, exposure), whole)
    assert len(whole[0]["number"]) > 25
    flat = flatten(power[:, : 2**15], nominal=nominal_noise_spectra(like), has_dc_spike=True, coarse_width=2**15)
    np.testing.assert_array_equal(flat.row_gain, whole[1]["row_gain"][0])
    starts = np.arange(0, 2**15 - config.window + 1, config.step)
    stats = measure(flat, starts, config.grid, config.false_alarm)
    kept = np.flatnonzero(stats.searchable if config.keep_all else stats.keep)
    first = whole[0]["number"] < len(starts)
    np.testing.assert_array_equal(whole[0]["number"][first], kept)
    np.testing.assert_array_equal(whole[0]["snr"][first], stats.snr[kept])


def test_sharing_out_a_source_among_parts_changes_nothing(path: Path) -> None:
    whole = scanned(path)
    assert len(whole[0]["number"]) > 0
    for cuts in ([0, 1, 2, 3, 4, 5], [0, 2, 5], [0, 3, 4, 5]):
        parts = [range(start, stop) for start, stop in pairwise(cuts)]
        assert_equal(scanned(path, parts=parts), whole)


@pytest.mark.parametrize("read_channels", [1, COARSE, 2 * COARSE + 7, 2**30])
def test_reading_narrow_coarse_channels_together_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, read_channels: int
) -> None:
    config = replace(CONFIG, coarse_width=1024)
    monkeypatch.setattr(reading, "READ_CHANNELS", 1024)
    one_by_one = scanned(path, config)
    monkeypatch.setattr(reading, "READ_CHANNELS", read_channels)
    assert_equal(scanned(path, config), one_by_one)


def test_chunks_wider_than_coarse_channels_are_decoded_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, coarse_width=1024)
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        assert filterbank.chunk_shape == (1, tiling.header.nchans)
        assert [len(group) for group in read_groups(tiling, range(tiling.n_coarse))] == [tiling.n_coarse]
        monkeypatch.setattr(reading, "READ_CHANNELS", 3000)
        groups = list(read_groups(tiling, range(tiling.n_coarse)))
    assert {len(group) for group in groups[:-1]} == {2}
    assert [i for group in groups for i in group] == [i for i in range(tiling.n_coarse) if tiling.windows_in(i)]


@pytest.mark.parametrize("suffix", ["h5", "fil"])
def test_the_mirrored_file_gives_the_same_bits(path: Path, sky: tuple[Header, np.ndarray], suffix: str) -> None:
    like, power = sky
    rising = replace(like, foff_mhz=-like.foff_mhz, fch1_mhz=like.fch1_mhz + (like.nchans - 1) * like.foff_mhz)
    mirrored = write_filterbank(path.with_name(f"mirrored.{suffix}"), power, rising)
    windows, exposure = scanned(mirrored)
    expected_windows, expected_exposure = scanned(path)
    for name in ("f_start_mhz", "f_stop_mhz"):  # the lowest edge is computed from the other end
        np.testing.assert_allclose(exposure.pop(name), expected_exposure.pop(name), rtol=1e-13)
    assert_equal((windows, exposure), (expected_windows, expected_exposure))


def test_a_range_searches_only_the_windows_wholly_inside_and_these_as_before(path: Path) -> None:
    config = replace(CONFIG, false_alarm=0.3)
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, CONFIG)
    f_start, f_stop = tiling.header.channel_edge_mhz(3000.5), tiling.header.channel_edge_mhz(15000.5)
    windows, exposure = scanned(path, replace(config, f_start_mhz=f_start, f_stop_mhz=f_stop))
    whole, _ = scanned(path, config)
    places = [tiling.window("", int(number)) for number in whole["number"]]
    inside = np.array([p.f_start_mhz >= f_start and p.f_stop_mhz <= f_stop for p in places])
    assert 0 < inside.sum() < len(inside)
    for name, column in windows.items():
        np.testing.assert_array_equal(column, whole[name][inside], err_msg=name)
    searched = [number for number in range(tiling.n_windows)
                if (w := tiling.window("", number)).channel_start > 3000 and w.channel_stop <= 15000]
    assert exposure["windows_searched"].sum() + exposure["windows_masked"].sum() == len(searched)
    assert set(exposure["coarse_channel"]) == {0, 1, 2, 3}
    assert f_start <= exposure["f_start_mhz"].min()
    assert exposure["f_stop_mhz"].max() <= f_stop


def test_a_range_outside_the_band_gives_nothing_and_reads_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_filterbank(path) as filterbank:
        config = replace(CONFIG, f_start_mhz=filterbank.header.f_max_mhz + 1)
        tiling = tiling_of(filterbank, config)
        monkeypatch.setattr(type(filterbank), "read", None)
        monkeypatch.setattr(type(filterbank), "fetch", None)
        assert list(scan(filterbank, tiling, range(tiling.n_coarse), config)) == []


def test_nothing_has_the_columns_that_a_scan_has(path: Path) -> None:
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, CONFIG)
        some = next(scan(filterbank, tiling, range(1), replace(CONFIG, keep_all=True)))
    empty = empty_result(tiling.grid)
    for columns, other, types in ((some.windows, empty.windows, WINDOW_TYPES),
                                  (some.exposure, empty.exposure, EXPOSURE_TYPES)):
        assert columns.keys() == other.keys() == types.keys() <= COLUMNS.keys()
        for name, column in columns.items():
            assert (column.dtype, column.shape[1:]) == (other[name].dtype, other[name].shape[1:]), name
            assert (len(column), len(other[name])) != (0, 0)
    assert empty.bytes_decoded == 0


@pytest.mark.parametrize("pixels", [1, 2 * 16 * COARSE, 2**24])
@pytest.mark.parametrize("cover", [False, True])
def test_the_number_of_blocks_in_a_read_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: int, cover: bool
) -> None:
    """Storage chunks of many spectra are decoded once, not once per time block."""
    config = replace(CONFIG, cover=cover)
    like = header(nsamples=70)
    power = noisy_power(7, like)
    deep = tmp_path / "deep.h5"
    with FilterbankWriter(deep, like, chunk=(64, 512)) as writer:
        writer.write(0, 0, power)
    flat = write_filterbank(tmp_path / "flat.fil", power, like)
    monkeypatch.setattr(reading, "MAX_READ_PIXELS", pixels)
    reads = []
    fetch = Filterbank.fetch
    monkeypatch.setattr(Filterbank, "fetch", lambda *given: (reads.append(given[1:3]), fetch(*given))[1])
    assert_equal(scanned(deep, config), scanned(flat, config))
    assert ((0, 64) in reads) == (pixels == 2**24)


def test_a_last_window_may_extend_over_two_stretches(tmp_path: Path) -> None:
    like = header(nchans=2**16 + 100, nsamples=21)
    power = noisy_power(12, like)
    power[:, -40:] *= 1.2
    path = write_filterbank(tmp_path / "scan.fil", power, like)
    config = ScanConfig(coarse_width=like.nchans, keep_all=True)
    (windows, _), (covering, exposure) = scanned(path, config), scanned(path, replace(config, cover=True))
    assert (len(windows["number"]), len(covering["number"])) == (256, 2 * 257)
    for name, column in windows.items():  # those of the grid stay as they are
        assert column.tobytes() == covering[name][:256].tobytes(), name
    assert exposure["windows_searched"].tolist() == [257, 257]
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, replace(config, cover=True))
        assert tiling.window("", 256).channel_start == 2**16 - 156
        cutouts, spreads = cut_windows(filterbank, tiling, [(0, 2**16 - 156), (1, 2**16 - 156), (1, 512)])
    at = [256, 256 + 257, 2 + 257]
    np.testing.assert_array_equal(cutouts, covering["cutout"][at])
    np.testing.assert_array_equal(spreads, covering["spread"][at])


@pytest.mark.parametrize("cover", [False, True])
def test_cut_windows_equals_what_a_scan_stores(path: Path, cover: bool) -> None:
    config = replace(CONFIG, cover=cover)
    windows, _ = scanned(path, replace(config, keep_all=True))
    order = np.random.default_rng(0).permutation(len(windows["number"]))[:60]
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        places = [tiling.window("", int(number)) for number in windows["number"][order]]
        cutouts, spreads = cut_windows(filterbank, tiling, [
            (tiling.block_at(w.spectrum_start), w.channel_start) for w in places])
        np.testing.assert_array_equal(cutouts, windows["cutout"][order])
        np.testing.assert_array_equal(spreads, windows["spread"][order])
        # windows off the grid share halves with their neighbours on the grid
        (low, high), _ = cut_windows(filterbank, tiling, [(1, 2 * COARSE), (1, 2 * COARSE + 128)])
        np.testing.assert_array_equal(low[:, 128:], high[:, :128])


def test_the_cut_of_a_window_does_not_depend_on_the_range_searched(path: Path) -> None:
    with open_filterbank(path) as filterbank:
        edge = filterbank.header.channel_edge_mhz
        some = replace(CONFIG, f_start_mhz=edge(5000), f_stop_mhz=edge(6000), keep_all=True)
        (piece, _) = scan(filterbank, tiling_of(filterbank, some), range(5), some)
        tiling = tiling_of(filterbank, CONFIG)
        places = [(0, tiling.window("", int(number)).channel_start) for number in piece.windows["number"]]
        assert len(places) == 4
        np.testing.assert_array_equal(cut_windows(filterbank, tiling, places)[0], piece.windows["cutout"])


@pytest.mark.slow
def test_the_share_of_noise_that_is_kept_is_the_requested_one() -> None:
    """Gains, band and noise are only estimated, but that adds no measurable false alarms."""
    like, config = replace(fine_header(coarse_channels=1, source_name="NOISE"), nsamples=16), ScanConfig()
    layout = coarse_layout(like, window_channels=256, width=None, dc_spikes=(), spikes_searched=0,
                           window_is_given=False)
    tiling = Tiling(like, config.grid, layout, None, None)
    n, rng = nominal_noise_spectra(like), np.random.default_rng(5)
    edge = np.abs(np.linspace(-1, 1, like.nchans))
    band = (1 - 0.8 * np.clip((edge - 5 / 6) * 6, 0, 1) ** 2).astype(np.float32)
    kept = seen = 0
    for _ in range(40):
        power = rng.standard_gamma(n, (16, like.nchans), dtype=np.float32) * band
        found = scan_channel(Ascending(DecodedSamples(power, 0, 0), like, Path("noise")), tiling, 0, 0, config, [])
        kept, seen = kept + len(found.windows["number"]), seen + int(found.exposure["windows_searched"][0])
    assert seen > 160_000
    assert kept == pytest.approx(config.false_alarm * seen, abs=4 * (config.false_alarm * seen) ** 0.5)


# --- tiling_of -----------------------------------------------------------------------------------------------------


def test_coarse_channels_are_found_from_dc_spikes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_module, "READ_CHANNELS", 6000)  # spikes are searched in several pieces
    with open_filterbank(path) as filterbank:
        layout = tiling_of(filterbank, replace(CONFIG, coarse_width=None)).coarse
    assert (layout.width, layout.origin, layout.offset) == (COARSE, "dc-spikes", 0)


@pytest.mark.parametrize("sign", [-1, 1])
def test_dc_spikes_are_masked_where_the_header_tells_the_width(tmp_path: Path, sign: int) -> None:
    """Two coarse channels are too few to find their width from the spikes."""
    like = header(nchans=2 * COARSE, nfpc=COARSE, fch1_mhz=6000.0, foff_mhz=sign * 1e-4)
    power = np.random.default_rng(1).gamma(100, 1 / 100, (16, like.nchans)).astype(np.float32)
    spikes = [COARSE // 2 - (sign < 0), 3 * COARSE // 2 - (sign < 0)]
    power[:, spikes] *= 30
    untold = replace(like, nfpc=0)
    kept = {}
    for name, this in (("told", like), ("untold", untold)):
        path = write_filterbank(tmp_path / f"{name}.h5", power, this)
        windows, _ = scanned(path, ScanConfig())
        with open_filterbank(path) as filterbank:
            tiling = tiling_of(filterbank, ScanConfig())
        kept[name] = {tiling.window("", int(number)).channel_start // 256 for number in windows["number"]}
        assert tiling.coarse.origin == ("header" if name == "told" else "whole-band")
    assert {spike // 256 for spike in spikes} <= kept["untold"]
    assert not {spike // 256 for spike in spikes} & kept["told"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 3e38])
def test_no_value_of_power_disturbs_the_search_for_spikes(tmp_path: Path, value: float) -> None:
    like = header(nchans=COARSE, nsamples=16)
    power = noisy_power(1, like)
    power[:, 100:3000] = value
    power[::2, 200:210] = -np.inf
    with open_filterbank(write_filterbank(tmp_path / "odd.fil", power, like)) as filterbank:
        assert tiling_of(filterbank, ScanConfig()).coarse.origin == "whole-band"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"nsamples": 15}, Reason.TOO_FEW_SAMPLES), ({"nchans": 255}, Reason.TOO_FEW_CHANNELS)],
)
def test_a_file_too_small_for_a_window_is_refused_by_name(
    tmp_path: Path, changes: dict[str, int], reason: Reason
) -> None:
    like = header(**changes)
    path = write_filterbank(tmp_path / "small.h5", np.ones((like.nsamples, like.nchans), np.float32), like)
    with open_filterbank(path) as filterbank, pytest.raises(SourceError, match=r"small\.h5: ") as caught:
        tiling_of(filterbank, ScanConfig())
    assert caught.value.reason is reason


# --- memory --------------------------------------------------------------------------------------------------------

BOUNDED = """
import resource, sys
from pathlib import Path
from pipeline.config import ScanConfig
from pipeline.filterbank import open_filterbank
from pipeline.scan import scan, tiling_of

def peak(path):
    config = ScanConfig(coarse_width=2**18)
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        seen = sum(int(piece.exposure["windows_searched"][0]) + int(piece.exposure["windows_masked"][0])
                   for piece in scan(filterbank, tiling, range(tiling.n_coarse), config))
    assert seen == tiling.n_windows, seen
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

small, large = map(peak, sys.argv[1:])
assert large > 100, "the libraries alone need more"
print(large - small)
"""


def test_memory_is_bounded_by_one_read_not_by_the_file(tmp_path: Path) -> None:
    paths = []
    for name, n_coarse in (("small", 8), ("large", 24)):  # 2 and 6 reads: sparse files of 128 and 384 MB
        like = header(nchans=2**18 * n_coarse)
        one = np.ones((1, 1), np.float32)
        path = write_filterbank(tmp_path / f"{name}.fil", one, replace(like, nchans=1, nsamples=1))
        data_start = path.stat().st_size - 4
        head = bytearray(path.read_bytes()[:data_start])
        for keyword, value in (("nchans", like.nchans), ("nsamples", like.nsamples)):
            at = head.index(keyword.encode()) + len(keyword)
            head[at : at + 4] = value.to_bytes(4, "little")
        with open(path, "wb") as file:
            file.write(head)
            file.truncate(data_start + 4 * like.nsamples * like.nchans)
            noise = np.random.default_rng(0).gamma(102, 1 / 102, 2**18).astype(np.float32).tobytes()
            for spectrum in range(like.nsamples):
                for i in range(1, n_coarse, 8):
                    file.seek(data_start + 4 * (spectrum * like.nchans + i * 2**18))
                    file.write(noise[spectrum * 4096 :] + noise[: spectrum * 4096])
        paths.append(path)
    command = [sys.executable, "-c", BOUNDED, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 50, "MB more for a file of 384 MB than for one of 128 MB"


# --- saturated carriers, and values that are not power --------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["fil", "h5"])
def test_a_channel_always_at_full_scale_is_a_signal_and_one_always_lower_is_dead(tmp_path: Path, suffix: str) -> None:
    like = header(nchans=4 * COARSE, nsamples=16, nbits=8)
    rng = np.random.default_rng(1)
    power = 30 * rng.gamma(51, 1 / 51, (16, like.nchans))
    power[:, 3000], power[:, 6000:6003] = 255, 255
    power[:, 9000] = 250 + rng.integers(-2, 3, 16)
    power[:, 12_000], power[:, 14_000], power[:, 15_000] = 254, 0, 30
    path = write_filterbank(tmp_path / f"saturated.{suffix}", np.clip(np.rint(power), 0, 255), like)

    windows, exposure = scanned(path, ScanConfig(coarse_width=4 * COARSE, false_alarm=1e-6))

    assert windows["number"].tolist() == [3000 // 256, 6000 // 256, 9000 // 256]
    assert (windows["snr"] > 100).all()
    assert (windows["masked"] == 0).all()
    assert exposure["windows_searched"].sum() == 64


def test_full_scale_is_that_of_the_sample_type(tmp_path: Path) -> None:
    """The same values in 32 bits: 255 is a value like any other."""
    like = header(nchans=COARSE, nsamples=16)
    power = 30 * np.random.default_rng(1).gamma(51, 1 / 51, (16, COARSE))
    power[:, 3000] = 255
    path = write_filterbank(tmp_path / "float.h5", power.astype(np.float32), like)
    windows, _ = scanned(path, ScanConfig(coarse_width=COARSE, false_alarm=1e-6))
    assert len(windows["number"]) == 0


def signed_values(like: Header, seed: int = 3) -> np.ndarray:
    """Draw normal noise with a drifting line above it, one below it, and a steady one above it."""
    values = np.random.default_rng(seed).standard_normal((like.nsamples, like.nchans)).astype(np.float32)
    for channel, drift, height in ((700, 2, 50), (2000, -2, -50), (3000, 0, 50)):
        for t in range(like.nsamples):
            values[t, channel + drift * (t % 16)] += height
    return values


@pytest.mark.parametrize("unit", [1.0, 1e8])
@pytest.mark.parametrize("sign", [1, -1])
def test_signals_on_both_sides_of_signed_noise_are_kept(tmp_path: Path, unit: float, sign: int) -> None:
    like = header(nchans=COARSE, nsamples=37)
    path = write_filterbank(tmp_path / "stokes_v.h5", sign * unit * signed_values(like), like)
    config = ScanConfig(coarse_width=COARSE, false_alarm=1e-5)

    windows, exposure = scanned(path, config)

    expected = {block * 16 + channel // 256 for block in (0, 1) for channel in (700, 2000, 3000)}
    assert set(windows["number"]) == expected
    assert len(windows["number"]) == len(expected)
    # a steady line of 50 standard deviations, over 16 spectra
    steady = windows["snr"][np.isin(windows["number"], [11, 27])]
    np.testing.assert_allclose(steady, 50 * 16**0.5, rtol=0.1)
    assert exposure["windows_searched"].tolist() == [16, 16]
    assert exposure["windows_kept"].tolist() == [3, 3]
    assert exposure["noise_is_measured"].all()


def test_the_cut_of_a_signed_window_is_what_a_scan_stores(tmp_path: Path) -> None:
    like = header(nchans=COARSE, nsamples=16)
    path = write_filterbank(tmp_path / "stokes_v.h5", signed_values(like), like)
    config = ScanConfig(coarse_width=COARSE)
    windows, _ = scanned(path, config)
    below, above = (windows["cutout"][windows["number"] == channel // 256][0] for channel in (1980, 3000))
    assert min(below.max(), above.max()) > 150, "both are bright: noise reaches 130"
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        places = [(0, tiling.window("", int(number)).channel_start) for number in windows["number"]]
        cutouts, spreads = cut_windows(filterbank, tiling, places)
        np.testing.assert_array_equal(cutouts, windows["cutout"])
        np.testing.assert_array_equal(spreads, windows["spread"])


def test_all_windows_of_signed_noise_are_counted_and_kept_once(tmp_path: Path) -> None:
    like = header(nchans=COARSE, nsamples=32)
    path = write_filterbank(tmp_path / "noise.h5", signed_values(like), like)
    windows, exposure = scanned(path, ScanConfig(coarse_width=COARSE, keep_all=True))
    assert sorted(windows["number"]) == list(range(32))
    assert exposure["windows_kept"].sum() == exposure["windows_searched"].sum() == 32


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "difference", "less its mean", "8 bits", "decibels"])
def test_the_share_of_signed_noise_that_is_kept_is_at_most_the_requested_one(kind: str) -> None:
    like, config = replace(fine_header(coarse_channels=1, source_name="NOISE"), nsamples=16), ScanConfig()
    layout = coarse_layout(like, window_channels=256)
    tiling = Tiling(like, config.grid, layout)
    edge = np.abs(np.linspace(-1, 1, like.nchans))
    band = (1 - 0.8 * np.clip((edge - 5 / 6) * 6, 0, 1) ** 2).astype(np.float32)
    rng, kept, seen = np.random.default_rng(6), 0, 0

    def power(n: float) -> np.ndarray:
        return rng.standard_gamma(n, (16, like.nchans), dtype=np.float32) / np.float32(n)

    for _ in range(20):
        values = {
            "normal": lambda: rng.standard_normal((16, like.nchans), np.float32) * band,
            "difference": lambda: (power(25) - power(25)) * band,
            "less its mean": lambda: (power(51) - 1) * band,
            "8 bits": lambda: np.rint(2 * rng.standard_normal((16, like.nchans), np.float32)),
            "decibels": lambda: 10 * np.log10(power(51)) - 3,
        }[kind]()
        found = scan_channel(Ascending(DecodedSamples(values, 0, 0), like, Path("noise")), tiling, 0, 0, config, [])
        kept, seen = kept + len(found.windows["number"]), seen + int(found.exposure["windows_searched"][0])
    assert seen > 80_000
    assert kept < config.false_alarm * seen + 4 * (config.false_alarm * seen) ** 0.5
