"""Ingest and search with small pieces of real data: Voyager 1, a comb in the L band, and noise of another product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config, ScanConfig
from pipeline.encoders import load_encoder
from pipeline.errors import QueryError
from pipeline.evaluate.real import evaluate_real, read_real_set
from pipeline.filterbank import open_filterbank, write_filterbank
from pipeline.grid.coverage import Coverage
from pipeline.run import ingest
from pipeline.scan import scan, tiling_of
from pipeline.search import open_corpus
from pipeline.simulate import Axes, fine_header, noise
from pipeline.views import View
from tests.filterbank.files import real_file

SPACING = 16_384
"""Channels from one pasted cut-out to the next."""


def pasted(power: np.ndarray, cutout: np.ndarray, channel: int) -> None:
    """Paste real power into mean-1 noise. Level, spread and edges are adapted, so that only the signal can match."""
    rows, width = cutout.shape
    relative = cutout / np.median(cutout, axis=1, keepdims=True) - 1
    below = relative[relative < 0]
    spread = np.sqrt(np.mean(below**2))
    excess = relative * (1 / np.sqrt(102) / spread)
    taper = np.minimum(1, np.minimum(np.arange(width) + 1, width - np.arange(width)) / 8)
    place = power[:rows, channel : channel + width]
    place[:] = np.maximum(1 + excess * taper + (place - 1) * (1 - taper), 1e-3)


@pytest.fixture(scope="module")
def voyager_corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[str, float]]]:
    """Corpus of five files with a cutout of 2016 each, pasted into noise, and of two unchanged real files."""
    folder = tmp_path_factory.mktemp("voyager")
    hits = np.load(real_file("voyager1_hits_seticore.npz"))
    rng = np.random.default_rng(5)
    places = {}
    data = folder / "data"
    data.mkdir()
    for i, name in enumerate(sorted(hits)):
        header = fine_header(coarse_width=2**18, source_name=name, mjd=57650, second=67_600 + i)
        power = noise(rng, (16, 2**18), Axes())
        channel = int(rng.integers(1000, 2**18 - 1000))
        pasted(power, hits[name][:, ::-1], channel)  # as in the file: descending
        path = write_filterbank(data / f"{name}.h5", power * 1e9, header)
        places[name] = (str(path), header.channel_edge_mhz(channel + hits[name].shape[1] / 2))
    (data / "voyager1_2020_crop.h5").symlink_to(real_file("voyager1_2020_crop.h5").resolve())
    (data / "gbt_noise_6664MHz.fil").symlink_to(real_file("gbt_noise_6664MHz.fil").resolve())
    report = ingest([data], folder / "corpus", serial=True, config=Config())
    assert report.exit_code == 0
    assert {r.status for r in report.reports} == {"done"}
    return folder / "corpus", places


def test_the_2020_file_is_ingested_as_it_is(voyager_corpus) -> None:
    corpus, _ = voyager_corpus
    manifest = open_corpus(corpus)._corpus.manifest
    [source_id] = [s for s, e in manifest.sources.items() if e.path.endswith("voyager1_2020_crop.h5")]
    assert source_id.startswith("GBT_59046_")
    entry = manifest.sources[source_id]
    assert (entry.windows_seen, entry.windows_kept) == (2, 2)  # the carrier drifts from channel 235 to 271


@pytest.mark.parametrize("name", ["hit0", "hit1", "hit3", "hit4"])
def test_each_sideband_finds_the_other_sidebands_and_carriers_first(voyager_corpus, name: str) -> None:
    corpus, places = voyager_corpus
    path, f_mhz = places[name]
    result = open_corpus(corpus).search(file=path, f_start_mhz=f_mhz - 3e-4, f_stop_mhz=f_mhz + 3e-4, k=3)
    assert len(result) == 3
    for hit in result:
        if hit.file.endswith("voyager1_2020_crop.h5"):
            continue
        f_signal = places[Path(hit.file).stem][1]
        assert hit.window.f_start_mhz <= f_signal <= hit.window.f_stop_mhz or hit.merged, f"{hit} is noise"


def test_the_2016_carrier_finds_a_carrier_or_sideband_before_noise(voyager_corpus) -> None:
    corpus, places = voyager_corpus
    path, f_mhz = places["hit2"]
    result = open_corpus(corpus).search(file=path, f_start_mhz=f_mhz - 3e-4, f_stop_mhz=f_mhz + 3e-4, k=5)
    named = [Path(hit.file).stem for hit in result]
    assert set(named[:3]) <= {"hit0", "hit1", "hit3", "hit4", "voyager1_2020_crop"}


def test_another_resolution_is_kept_apart(voyager_corpus) -> None:
    corpus, places = voyager_corpus
    opened = open_corpus(corpus)
    assert {"2.794Hz-18.25s", "1.397Hz-1.432s"} <= opened.status().resolutions.keys()
    path, f_mhz = places["hit0"]
    result = opened.search(file=path, f_start_mhz=f_mhz - 3e-4, f_stop_mhz=f_mhz + 3e-4, k=1000)
    assert len(result) > 0
    assert not any(hit.file.endswith(".fil") for hit in result)
    f_mhz = 6663.999
    with pytest.raises(QueryError, match="resolution"):
        opened.search(file=str(real_file("gbt_noise_6664MHz.fil")), f_start_mhz=f_mhz - 2e-4, f_stop_mhz=f_mhz)


def test_the_users_comb_finds_its_own_neighbours_before_noise(tmp_path: Path) -> None:
    recovered = np.load(real_file("hip77257_lband_recovered.npy"))
    header = fine_header(coarse_width=2**18, source_name="HIP77257", mjd=57436, second=51_432)
    rng = np.random.default_rng(6)
    power = noise(rng, (16, 2**18), Axes())
    channels = {i: 1024 + i * SPACING for i in range(5)}  # on the grid, as the notebook cut them
    for i, channel in channels.items():
        pasted(power, recovered[i], channel)
    path = write_filterbank(tmp_path / "comb.h5", power * 1e9, header)
    ingest([path], tmp_path / "corpus", serial=True, config=Config().override({"scan": {"keep_all": True}}))
    start = header.channel_edge_mhz(channels[0])
    result = open_corpus(tmp_path / "corpus").search(
        file=path, f_start_mhz=start, f_stop_mhz=header.channel_edge_mhz(channels[0] + 256), k=3)
    assert {hit.window.channel_start for hit in result} == {channels[1], channels[2], channels[3]}


def test_real_signals_find_their_kin_before_noise_and_simulated_ones() -> None:
    folder = real_file("voyager1_2020_crop.h5").parent
    checks = evaluate_real(load_encoder("spectral").encode, read_real_set(folder))
    failed = [check for check in checks if not check.passed]
    assert not failed


@pytest.mark.parametrize(("name", "views"), [
    ("sigpyproc_parkes_8bit_1.fil", {"", "t4", "t16"}), ("your_28.fil", {"", "t4", "t16"}),
    ("voyager1_2020_crop.h5", {""}), ("gbt_noise_6664MHz.fil", {"", "f4"}),
])
@pytest.mark.parametrize("cover", [False, True])
def test_each_pixel_of_a_real_file_is_in_a_window_or_is_counted(name: str, views: set[str], cover: bool) -> None:
    """Count the pixels of all windows of each view, each pixel once, and those that are counted as skipped."""
    config = ScanConfig(views=("auto",), cover=cover)
    with open_filterbank(real_file(name)) as filterbank:
        tiling = tiling_of(filterbank, config)
        exposure: dict[str, int] = {}
        for one in scan(filterbank, tiling, range(tiling.n_coarse), config):
            windows = one.exposure["windows_searched"].sum() + one.exposure["windows_masked"].sum()
            exposure[one.view] = exposure.get(one.view, 0) + int(windows)
    assert set(exposure) == views
    for view, windows in exposure.items():
        of_view = tiling.seen_through(View.named(view))
        is_covered = np.zeros((of_view.header.nsamples, of_view.header.nchans), bool)
        assert windows == of_view.n_windows
        for window in (of_view.window("", number) for number in range(windows)):
            is_covered[window.spectrum_start : window.spectrum_stop, window.channel_start : window.channel_stop] = True
        assert (~is_covered).sum() == Coverage.of(of_view).samples_skipped, view
        assert is_covered.all() or not cover
