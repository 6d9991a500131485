"""Searches through averaged views: wide patterns are found as one, at their own scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config, EncoderConfig, RunConfig, ScanConfig
from pipeline.errors import ParameterError
from pipeline.filterbank import write_filterbank
from pipeline.model import Header
from pipeline.run import ingest
from pipeline.search import Corpus, open_corpus
from pipeline.simulate import fine_header
from pipeline.views import scan_of

CHANNEL_HZ = 187.5e6 / 64 / 2**20
WIDTH = 2**19
"""Channels of a file: half a coarse channel of Green Bank."""
TOOTH_HZ = 1500.0
COMBS = {"a": 100_000, "b": 300_000, "c": 420_000}
"""File → first channel of a comb of seven teeth that drift alike."""
HUMPS = {"a": 400_000, "b": 150_000, "c": 250_000}
"""File → first channel of a hump 10 kHz wide."""
HUMP_HZ = 10_000.0


def power_of(name: str) -> np.ndarray:
    """Draw noise with a comb, a hump and single lines; ascending."""
    rng = np.random.default_rng(ord(name))
    power = rng.standard_gamma(102, (16, WIDTH), np.float32) / 102
    for tooth in range(7):
        for t in range(16):
            first = COMBS[name] + round(tooth * TOOTH_HZ / CHANNEL_HZ + 1.5 * t)
            power[t, first : first + 4] += 0.8
    first, count = HUMPS[name], round(HUMP_HZ / CHANNEL_HZ)
    power[:, first : first + count] += 0.1 * np.hanning(count).astype(np.float32)
    for start in rng.integers(0, WIDTH - 100, 40):
        slope = rng.uniform(-3, 3)
        for t in range(16):
            power[t, min(WIDTH - 1, max(0, int(start + slope * t)))] += 1.5
    return power


def header_of(name: str) -> Header:
    return replace(fine_header(coarse_width=WIDTH, source_name=f"FIELD-{name}", second=1000 * ord(name)), nfpc=WIDTH)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    for name in COMBS:
        write_filterbank(folder / f"{name}.fil", power_of(name), header_of(name))
    return folder


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    config = Config(scan=ScanConfig(views=("auto",)), encoder=EncoderConfig("power-spectrum"), run=RunConfig())
    report = ingest([folder], folder / "corpus", config=config, serial=True)
    assert report.exit_code == 0
    assert all([name for name, *_ in one.views] == ["f4", "f16"] for one in report.by_status("done"))
    return open_corpus(folder / "corpus")


def mhz(name: str, channel: float) -> float:
    return header_of(name).channel_edge_mhz(channel)


def place(places: dict[str, int], name: str, width_hz: float) -> tuple[float, float]:
    """Return the range of a pattern, from a little before it to a little after it."""
    return mhz(name, places[name] - 200), mhz(name, places[name] + width_hz / CHANNEL_HZ + 200)


@pytest.mark.parametrize(("places", "width_hz"), [(COMBS, 6 * TOOTH_HZ), (HUMPS, HUMP_HZ)])
def test_a_wide_pattern_is_kept_and_found_in_a_view_of_its_size(
    corpus: Corpus, folder: Path, places: dict[str, int], width_hz: float
) -> None:
    start, stop = place(places, "a", width_hz)
    result = corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=stop, k=10)
    assert {hit.view for hit in result} == {"f16"}
    first = {Path(hit.file).stem: hit for hit in reversed(result)}
    for name in ("b", "c"):
        low, high = place(places, name, width_hz)
        assert min(high, first[name].window.f_stop_mhz) - max(low, first[name].window.f_start_mhz) > (high - low) / 3
        assert first[name].rank <= 4
    narrow = corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=start + 1e-3)
    assert {hit.view for hit in narrow} == {""}


def test_the_size_of_a_range_chooses_the_view(corpus: Corpus, folder: Path) -> None:
    start = place(COMBS, "a", 0)[0]
    for width_khz, view in ((0.5, ""), (3.0, "f4"), (10.0, "f16")):
        result = corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=start + width_khz / 1e3)
        assert {hit.view for hit in result} == {view}
        assert result.query_window is not None
    forced = corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=start + 1e-2, view="1x")
    assert {hit.view for hit in forced} == {""}
    with pytest.raises(ParameterError, match="view t4: the corpus has only 1x, f4, f16"):
        corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=start + 1e-2, view="t4")


def test_a_window_of_a_view_is_searched_for_in_its_view(corpus: Corpus, folder: Path) -> None:
    start, stop = place(COMBS, "a", 6 * TOOTH_HZ)
    best = corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=stop)[0]
    name = f"{best.source_id}/{best.window.number}"
    result = corpus.search(window=name)
    assert {hit.view for hit in result} == {"f16"}
    assert corpus.power_of(name).shape == (16, 256)
    assert result.to_json()["hits"][0]["view"] == "f16"
    with pytest.raises(ParameterError, match="belongs to a view"):
        corpus.search(window=name, view="f4")


def test_an_array_is_searched_for_in_the_view_that_is_asked_for(corpus: Corpus) -> None:
    power = power_of("a")[:, COMBS["a"] : COMBS["a"] + 4096].reshape(16, 256, 16).mean(axis=2)
    assert {hit.view for hit in corpus.search(power=power)} == {""}
    assert {hit.view for hit in corpus.search(power=power, view="f16")} == {"f16"}


def test_all_views_give_each_place_once(corpus: Corpus, folder: Path) -> None:
    start, stop = place(COMBS, "a", 6 * TOOTH_HZ)
    result = corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=stop, all_views=True, k=60)
    each = [corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=stop, view=view)
            for view in ("1x", *corpus.status().views)]
    assert result.corpus["searched"] == sum(one.corpus["searched"] for one in each) > each[0].corpus["searched"]
    assert len({hit.view for hit in result}) > 1
    assert [hit.rank for hit in result] == list(range(1, len(result) + 1))
    assert [hit.score for hit in result] == sorted((hit.score for hit in result), reverse=True)
    for i, one in enumerate(result):
        assert not (Path(one.file).stem == "a" and one.window.f_start_mhz < stop and start < one.window.f_stop_mhz)
        for other in result[i + 1 :]:
            if scan_of(one.source_id) == scan_of(other.source_id) and one.view != other.view:
                assert (one.window.f_stop_mhz <= other.window.f_start_mhz
                        or other.window.f_stop_mhz <= one.window.f_start_mhz)
    assert any("+f" in copy or "+f" in hit.source_id for hit in result for copy in hit.copies)


def test_another_view_of_the_query_is_no_hit(corpus: Corpus, folder: Path) -> None:
    start, stop = place(COMBS, "a", 6 * TOOTH_HZ)
    result = corpus.search(file=str(folder / "a.fil"), f_start_mhz=start, f_stop_mhz=stop, all_resolutions=True, k=100)
    assert len({hit.view for hit in result}) > 1
    assert not [hit for hit in result if Path(hit.file).stem == "a" and hit.window.f_start_mhz < stop
                and start < hit.window.f_stop_mhz]


def test_a_file_that_the_corpus_lacks_is_seen_through_its_views(corpus: Corpus, folder: Path, tmp_path: Path) -> None:
    header = replace(header_of("a"), tstart_mjd=header_of("a").tstart_mjd + 1, source_name="ELSEWHERE")
    path = write_filterbank(tmp_path / "new.fil", power_of("a"), header)
    start, stop = place(COMBS, "a", 6 * TOOTH_HZ)
    result = corpus.search(file=str(path), f_start_mhz=start, f_stop_mhz=stop)
    assert {hit.view for hit in result} == {"f16"}
    low, high = place(COMBS, Path(result[0].file).stem, 6 * TOOTH_HZ)
    assert min(high, result[0].window.f_stop_mhz) - max(low, result[0].window.f_start_mhz) > (high - low) / 3


def test_status_counts_scans_and_names_views(corpus: Corpus) -> None:
    status = corpus.status()
    assert status.sources == 3
    assert status.views == {"f4": 3, "f16": 3}
    assert sum(status.resolutions.values()) == 9


def test_a_comb_wider_than_a_window_is_found_by_how_its_teeth_are_arranged(corpus: Corpus, folder: Path) -> None:
    start, stop = place(COMBS, "a", 6 * TOOTH_HZ)
    asked = {"file": str(folder / "a.fil"), "f_start_mhz": start, "f_stop_mhz": stop, "view": "1x", "k": 10}
    result = corpus.search(**asked)
    assert result.query["arranged"] is True
    assert {Path(hit.file).stem for hit in result.hits[:2]} == {"b", "c"}
    for hit in result.hits[:2]:
        low, high = place(COMBS, Path(hit.file).stem, 6 * TOOTH_HZ)
        assert low < hit.window.f_stop_mhz
        assert hit.window.f_start_mhz < high
        assert len(hit.merged) >= 4
    assert result[1].score > result[2].score + 0.1
    # tooth by tooth, any drifting line will do
    each = corpus.search(**asked, each_window=True)
    assert each[9].score > each[0].score - 0.1
