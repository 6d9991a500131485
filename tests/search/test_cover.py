"""Signals in the last channels of a coarse channel and in the last spectra of a file are kept, and found where they
are.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import CONFIG_FILE, Config
from pipeline.errors import CorpusMismatch
from pipeline.filterbank import write_filterbank
from pipeline.model import Header
from pipeline.run import ingest
from pipeline.search import Corpus, open_corpus
from pipeline.store import CorpusStore
from tests.docs.conftest import ROOT
from tests.run.small import config, header

WIDTH, SPECTRA = 8392, 41
"""Channels of a coarse channel: 32 windows and 200 more. Spectra of a file: two time blocks and nine more."""
CONFIG = replace(config(), scan=replace(config().scan, coarse_width=WIDTH, views=("t4",)))
PLACES = {"a": (0, 4000), "late": (SPECTRA - 7, 4000), "high": (16, 2 * WIDTH - 170), "twice": (25, 4000)}
"""File → first spectrum and first channel of its pattern: in a window of the grid; in the last seven spectra; in the
last 170 channels of the second coarse channel; and in the spectra that the last two time blocks share."""


def header_of(name: str) -> Header:
    return header(10 * list(PLACES).index(name), nchans=2 * WIDTH, nsamples=SPECTRA, source_name=f"FIELD-{name}")


def power_of(name: str) -> np.ndarray:
    """Draw noise with seven short lines side by side, which last seven spectra; ascending."""
    rng = np.random.default_rng(len(name))
    power = rng.gamma(102, 1 / 102, (SPECTRA, 2 * WIDTH)).astype(np.float32)
    spectrum, channel = PLACES[name]
    power[spectrum : spectrum + 7, channel : channel + 140 : 20] += 1.5
    return power


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cover")
    for name in PLACES:
        write_filterbank(folder / f"{name}.fil", power_of(name), header_of(name))
    return folder


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    report = ingest([folder], folder / "corpus", config=CONFIG, serial=True)
    assert report.exit_code == 0
    assert report.share_skipped == 0
    return open_corpus(folder / "corpus")


@pytest.mark.parametrize("name", ["late", "high"])
def test_a_signal_that_is_only_in_a_remainder_is_found_where_it_is(corpus: Corpus, folder: Path, name: str) -> None:
    like, (spectrum, channel) = header_of(name), PLACES[name]
    hits = corpus.search(file=folder / "a.fil", f_start_mhz=header_of("a").channel_edge_mhz(3960),
                         f_stop_mhz=header_of("a").channel_edge_mhz(4180), k=3, view="1x", each_window=True)
    [hit] = [hit for hit in hits if Path(hit.file).name == f"{name}.fil"]
    window = hit.window
    assert (window.channel_stop - window.channel_start, window.spectrum_stop - window.spectrum_start) == (256, 16)
    assert window.f_start_mhz < like.channel_edge_mhz(channel + 20) < window.f_stop_mhz
    assert window.t_start_s <= (spectrum + 3) * like.tsamp_s < window.t_stop_s
    if name == "late":
        assert (window.spectrum_start, window.spectrum_stop) == (SPECTRA - 16, SPECTRA)
        assert window.t_stop_s == pytest.approx(like.duration_s)
    else:
        assert window.channel_stop == 2 * WIDTH
        assert window.f_stop_mhz == pytest.approx(like.f_max_mhz, abs=1e-9)
    assert hit.score > 0.8


@pytest.mark.parametrize("name", PLACES)
def test_stored_windows_show_the_pixels_that_their_numbers_name(corpus: Corpus, folder: Path, name: str) -> None:
    """Compare the brightest pixels of cutouts with those of the file."""
    source_id, power = corpus._corpus.find_source(f"{name}.fil"), power_of(name)
    numbers = corpus._corpus.numbers(source_id)
    cutouts = corpus._corpus.cutouts(source_id, np.arange(len(numbers)))
    shown = 0
    for number, cutout in zip(numbers.tolist(), cutouts, strict=True):
        window = corpus._corpus.window(source_id, number)
        pixels = power[window.spectrum_start : window.spectrum_stop, window.channel_start : window.channel_stop]
        if (pixels > 1.8).sum() > 20:
            shown += 1
            np.testing.assert_array_equal(cutout > 138, pixels > 1.8)
    assert shown > 0


def test_the_reader_without_this_package_finds_the_same_places(corpus: Corpus, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("read_corpus", ROOT / "examples" / "read_corpus.py")
    assert spec is not None
    assert spec.loader is not None
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    read = {one["window"]: (one["f_start_mhz"], one["f_stop_mhz"], one["mjd"])
            for one in reader.read_corpus(folder / "corpus")}
    stored = corpus._corpus
    windows = [stored.window(source_id, number) for source_id in stored.manifest.sources
               for number in stored.numbers(source_id).tolist()]
    assert {window.spectrum_stop for window in windows} >= {16, SPECTRA}
    assert set(read) == {f"{window.source_id}/{window.number}" for window in windows}
    for window in windows:
        assert read[f"{window.source_id}/{window.number}"] == pytest.approx(
            (window.f_start_mhz, window.f_stop_mhz, window.mjd), rel=1e-13)


def test_a_signal_in_two_windows_that_overlap_is_one_hit(corpus: Corpus, folder: Path) -> None:
    edge = header_of("a").channel_edge_mhz
    hits = corpus.search(file=folder / "a.fil", f_start_mhz=edge(3960), f_stop_mhz=edge(4180), k=3, view="1x",
                         each_window=True)
    [hit] = [hit for hit in hits if Path(hit.file).name == "twice.fil"]
    windows = [corpus._corpus.window(hit.source_id, number) for number in (hit.window.number, *hit.merged)]
    assert {(one.spectrum_start, one.spectrum_stop) for one in windows} == {(16, 32), (SPECTRA - 16, SPECTRA)}


def test_a_window_of_a_remainder_is_a_query(corpus: Corpus, folder: Path) -> None:
    source_id = corpus._corpus.find_source("late.fil")
    numbers = corpus._corpus.numbers(source_id)
    last = [n for n in numbers.tolist() if corpus._corpus.window(source_id, n).spectrum_stop == SPECTRA]
    hits = corpus.search(window=f"late.fil/{last[0]}", k=3)
    assert {Path(hit.file).name for hit in hits} == {"a.fil", "high.fil", "twice.fil"}
    # a range of the file is cut in all time blocks, also in the last one
    edge = header_of("late").channel_edge_mhz
    found = corpus.search(file=folder / "late.fil", f_start_mhz=edge(3960), f_stop_mhz=edge(4180), k=3, view="1x")
    assert {Path(hit.file).name for hit in found} == {"a.fil", "high.fil", "twice.fil"}
    assert found.query_window is not None
    assert (found.query_window.spectrum_start, found.query_window.spectrum_stop) == (SPECTRA - 16, SPECTRA)


def test_a_corpus_covers_remainders_or_does_not_for_good(corpus: Corpus, folder: Path, tmp_path: Path) -> None:
    root = folder / "corpus"
    assert "cover = true" in (root / CONFIG_FILE).read_text()
    assert CorpusStore.open(root).identity["scan"]["cover"] is True
    again = ingest([folder], root, config=CONFIG, serial=True)  # the configuration says nothing: as the corpus does
    assert [one.status for one in again.reports] == ["skipped"] * len(PLACES)
    without = replace(CONFIG, scan=replace(CONFIG.scan, cover=False))
    with pytest.raises(CorpusMismatch, match=r"scan\.cover: corpus has true, this run asks null"):
        ingest([folder], root, config=without, serial=True)

    ingest([folder / "late.fil"], tmp_path / "corpus", config=without, serial=True)
    assert "cover" not in CorpusStore.open(tmp_path / "corpus").identity["scan"]  # as in corpora of earlier versions
    text = (tmp_path / "corpus" / CONFIG_FILE).read_text()
    (tmp_path / "corpus" / CONFIG_FILE).write_text(text.replace("cover = false\n", ""))
    assert Config.of_corpus(tmp_path / "corpus").scan.cover is None
    again = ingest([folder / "late.fil", folder / "high.fil"], tmp_path / "corpus", config=CONFIG, serial=True)
    assert [one.status for one in again.reports] == ["skipped", "done"]
    assert open_corpus(tmp_path / "corpus").status().share_skipped == pytest.approx(1 - 8192 * 32 / (WIDTH * SPECTRA))
