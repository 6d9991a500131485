"""Ranges that are much wider or longer than their pattern, and ranges of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config, EncoderConfig, RunConfig, ScanConfig
from pipeline.errors import ParameterError, QueryError
from pipeline.filterbank import write_filterbank
from pipeline.model import Header
from pipeline.run import ingest
from pipeline.search import Corpus, SearchRequest, open_corpus
from pipeline.simulate import fine_header
from pipeline.views import scan_of

CHANNELS, SPECTRA, NOISE = 2**15, 128, 51
TEETH = slice(0, 181, 36)
PLACES = {"a": 40, "b": 70}
"""File → window (of 256 channels) from which on its patterns lie. The comb fits into one window."""
COMB, LONG, BURST, WIDE = 0, 20, 40, -8
"""Windows of the patterns, counted from that place: a comb in the first block, a line of 64 spectra, a comb in
the sixth block, and a comb wider than a window."""


def header_of(name: str, second: int = 0) -> Header:
    header = fine_header(coarse_width=CHANNELS, source_name=f"FIELD-{name}", second=1000 * ord(name) + second)
    return replace(header, nfpc=CHANNELS, nsamples=SPECTRA)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_gamma(NOISE, (SPECTRA, CHANNELS), np.float32) / NOISE


def channel(name: str, pattern: int) -> int:
    return (PLACES[name] + pattern) * 256 + 30


def power_of(name: str) -> np.ndarray:
    power = noise(ord(name))
    power[:16, channel(name, COMB) :][:, TEETH] += 0.8
    for t in range(64):
        power[t, channel(name, LONG) + t] += 1.5
    power[:16, channel(name, WIDE) : channel(name, WIDE) + 901 : 300] += 1.5
    power[80:96, channel(name, BURST) :][:, 10:181:60] += 0.8
    return power


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finer")
    for name in PLACES:
        write_filterbank(folder / f"{name}.fil", power_of(name), header_of(name))
    return folder


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    config = Config(scan=ScanConfig(views=("f4", "t4")), encoder=EncoderConfig("power-spectrum"), run=RunConfig())
    assert ingest([folder], folder / "corpus", config=config, serial=True).exit_code == 0
    return open_corpus(folder / "corpus")


def around(name: str, pattern: int, width: float = 181, before: float = 0) -> dict[str, float]:
    """Return a range of ``width`` channels that begins ``before`` a pattern."""
    header, first = header_of(name), channel(name, pattern) - before
    return {"f_start_mhz": header.channel_edge_mhz(first), "f_stop_mhz": header.channel_edge_mhz(first + width)}


def seconds(first: int, stop: int) -> dict[str, float]:
    return {"t_start_s": first * header_of("a").tsamp_s, "t_stop_s": stop * header_of("a").tsamp_s}


def test_a_range_much_wider_than_its_pattern_finds_it(corpus: Corpus, folder: Path) -> None:
    wide = {**around("a", COMB, 1024, 500), **seconds(0, 16)}
    result = corpus.search(file=str(folder / "a.fil"), **wide)
    assert {hit.view for hit in result} == {""}
    note = "most of the power of this range is in one window of 1x; searched through 1x"
    assert result.description.note == note
    assert result.to_json()["query"]["note"] == note
    assert result.query["source"] == scan_of(result.query["source"])
    best = result[0]
    assert Path(best.file).name == "b.fil"
    assert best.window.channel_start == PLACES["b"] * 256
    # the comb lies in the middle of the window that was searched for
    middle = (result.query_window.channel_start + result.query_window.channel_stop) / 2
    assert abs(middle - (channel("a", COMB) + 90)) <= 20
    closely = corpus.search(file=str(folder / "a.fil"), **around("a", COMB), **seconds(0, 16))
    assert closely.description.note == ""
    assert [hit.window.number for hit in closely[:2]] == [hit.window.number for hit in result[:2]]
    # all windows of the range are the query's own, and f4 holds nothing like it, as the ingest left it out
    assert not any(Path(hit.file).name == "a.fil" and hit.window.channel_start == PLACES["a"] * 256
                   and hit.window.t_start_s == 0 for hit in result)
    forced = corpus.search(file=str(folder / "a.fil"), **wide, view="f4", k=100)
    assert not any(hit.window.f_start_mhz < around("b", COMB)["f_stop_mhz"]
                   and around("b", COMB)["f_start_mhz"] < hit.window.f_stop_mhz for hit in forced)


def test_a_range_much_longer_than_its_pattern_finds_it(corpus: Corpus, folder: Path) -> None:
    result = corpus.search(file=str(folder / "a.fil"), **around("a", BURST), **seconds(64, 128))
    assert result.description.note == "most of the power of this range is in one window of 1x; searched through 1x"
    assert result.query_window.spectrum_start == 80
    assert (Path(result[0].file).name, result[0].window.channel_start) == ("b.fil", (PLACES["b"] + BURST) * 256)


def test_the_end_of_a_file_is_seen_through_its_last_plain_block(corpus: Corpus, tmp_path: Path) -> None:
    """The last block of the long view and that of the plain view overlap those before, and begin elsewhere."""
    header, first = replace(header_of("a", 500), nsamples=SPECTRA + 9), channel("a", COMB)
    rng = np.random.default_rng(7)
    power = rng.standard_gamma(NOISE, (header.nsamples, CHANNELS), np.float32) / NOISE
    power[128:136, first : first + 181 : 36] += 1.6
    path = write_filterbank(tmp_path / "end.fil", power, header)
    result = corpus.search(file=str(path), **around("a", COMB), **seconds(73, 137))
    assert result.description.note == "most of the power of this range is in one window of 1x; searched through 1x"
    assert (result.query_window.spectrum_start, result.query_window.spectrum_stop) == (121, 137)
    assert Path(result[0].file).name in {"a.fil", "b.fil"}


def test_the_view_suits_the_range_in_frequency_and_time(corpus: Corpus, folder: Path) -> None:
    long = corpus.search(file=str(folder / "a.fil"), **around("a", LONG, 256, 90), **seconds(0, 64))
    assert {hit.view for hit in long} == {"t4"}
    assert long.description.note == ""
    assert Path(long[0].file).name == "b.fil"
    assert long[0].window.channel_start in ((PLACES["b"] + LONG) * 256, (PLACES["b"] + LONG + 1) * 256)
    without_times = corpus.search(file=str(folder / "a.fil"), **around("a", LONG, 256, 90))
    assert {hit.view for hit in without_times} == {""}
    assert without_times.description.windows == 4
    part = corpus.search(file=str(folder / "a.fil"), **around("a", LONG, 256, 90), **seconds(16, 32))
    assert part.description.windows == 1
    assert part.query_window.spectrum_start == 16
    # the other blocks are no part of the query, so they may be hits
    assert any(Path(hit.file).name == "a.fil" and hit.window.channel_start == (PLACES["a"] + LONG) * 256
               for hit in part)


def test_lines_of_several_windows_are_searched_for_together(corpus: Corpus, tmp_path: Path) -> None:
    power = noise(1)
    for first in (5000, 6200):
        power[:, first] += 1.5
    path = write_filterbank(tmp_path / "new.fil", power, header_of("z"))
    low, high = (header_of("z").channel_edge_mhz(at) for at in (4500, 6700))
    result = corpus.search(file=str(path), f_start_mhz=low, f_stop_mhz=high, **seconds(0, 16))
    assert result.description.note == ("most of the power of this range is in 2 windows of 1x, one in each window of "
                                       "f4; searched through 1x")
    assert (result.description.windows, result.description.arranged) == (2, True)
    # a third line makes one of the windows a pattern that f4 holds
    power[:, 5600] += 1.5
    write_filterbank(path, power, header_of("z", 1))
    result = corpus.search(file=str(path), f_start_mhz=low, f_stop_mhz=high, **seconds(0, 16))
    assert result.description.note == "1 of 2 windows of f4 are left out: each shows no more than one window of 1x"
    assert {hit.view for hit in result} <= {"f4"}


def test_a_pattern_too_weak_for_a_wide_view_is_seen_through_a_finer_one(corpus: Corpus, tmp_path: Path) -> None:
    power = noise(2)
    power[:16, 5000] += 2.2 / NOISE**0.5
    path = write_filterbank(tmp_path / "weak.fil", power, header_of("w"))
    low, high = (header_of("w").channel_edge_mhz(at) for at in (4500, 5524))
    result = corpus.search(file=str(path), f_start_mhz=low, f_stop_mhz=high, **seconds(0, 16))
    assert result.description.note == "f4 shows no signal in this range; searched through 1x"
    assert {hit.view for hit in result} == {""}
    empty = corpus.search(file=str(path), f_start_mhz=low + 5e-3, f_stop_mhz=high + 5e-3, **seconds(0, 16))
    assert empty.description.note == "the gate sees no signal in the query: what is found may be mere noise"
    assert result.query["source"] + "+f4" == empty.query["source"]


def test_without_the_file_the_kept_windows_of_the_finer_view_are_searched_for(corpus: Corpus, folder: Path) -> None:
    path = folder / "a.fil"
    aside = path.rename(folder / "aside")
    try:
        result = corpus.search(file="a.fil", **around("a", COMB, 1024, 500), **seconds(0, 16))
    finally:
        aside.rename(path)
    assert "searched for 1 window in range that the corpus has kept" in result.description.note
    assert "f4 shows no signal in this range; searched through 1x" in result.description.note
    assert result.query_window.number >= 0
    assert Path(result[0].file).name == "b.fil"


def test_times_are_described_and_checked(corpus: Corpus, folder: Path) -> None:
    file, band = str(folder / "a.fil"), around("a", COMB)
    result = corpus.search(file=file, **band, t_start_s=5.0, t_stop_s=20.5)
    assert (result.query["t_start_s"], result.query["t_stop_s"]) == (5.0, 20.5)
    assert "MHz, 5 s to 20.5 s of" in repr(result)
    assert SearchRequest.from_json(result.request.to_json()).t_stop_s == 20.5
    with pytest.raises(QueryError, match=r"is not within the windows of .*a\.fil, which end at 2336"):
        corpus.search(file=file, **band, t_start_s=2400.0)
    for times, message in (
        ({"t_start_s": 5.0, "t_stop_s": 5.0}, "5.0–5.0 s is no range: t_stop_s must be larger than t_start_s"),
        ({"t_start_s": -1.0}, "t_start_s must be 0 or more seconds after the first spectrum, got -1.0"),
        ({"t_stop_s": float("nan")}, "t_stop_s must be 0 or more"),
    ):
        with pytest.raises(ParameterError, match=message):
            corpus.search(file=file, **band, **times)
    with pytest.raises(ParameterError, match="t_start_s and t_stop_s go with file"):
        corpus.search(window="a/1", t_start_s=1.0)


def test_a_window_is_searched_for_through_all_views_in_its_own_time(corpus: Corpus, folder: Path) -> None:
    best = corpus.search(file=str(folder / "a.fil"), **around("a", LONG, 256, 90), **seconds(0, 64))[0]
    result = corpus.search(window=f"{best.source_id}/{best.window.number}", all_views=True)
    assert result.query["t_start_s"] == best.window.t_start_s
    assert len(result.resolutions) == 3
    assert {hit.view for hit in result} >= {"t4"}
