"""ON/OFF: whether a hit's signal is also at another pointing, in a simulated cadence of known signals."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, Hit, OnOff, WindowGrid
from pipeline.search import Corpus, open_corpus
from pipeline.search.on_off import _overlapping, drift_channels, on_off_of
from pipeline.search.session_table import table_path
from pipeline.simulate import FINE, fine_header
from tests.cli.conftest import Lookalike, lookalike
from tests.search.cadence import ON, SCAN_S, SIGNALS, TARGETS, make_cadence

__all__ = ["lookalike"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cadence(tmp_path_factory.mktemp("cadence"))


@pytest.fixture(scope="module")
def corpus(root: Path) -> Corpus:
    return open_corpus(root)


def judged(corpus: Corpus, name: str, scan: int) -> OnOff:
    """Judge the window of a scan that holds most of a signal."""
    signal, window, _ = SIGNALS[name]
    source_id = sorted(corpus._corpus.manifest.sources)[scan]
    tiling, stored = corpus._corpus.tiling(source_id), corpus._corpus.numbers(source_id)
    middle_s = scan % len(TARGETS) * SCAN_S + 146
    channel = 256 * window + 128 + signal.drift_hz_per_s * middle_s / FINE.channel_width_hz
    number = min(stored.tolist(), key=lambda one: abs(tiling.window(source_id, one).channel_start + 128 - channel))
    row = corpus._corpus.rows(source_id, np.array([number]))
    snr = float(corpus._corpus.column(source_id, "snr", row)[0])
    hit = Hit(1, 1.0, corpus._corpus.window(source_id, number), source_id, "", TARGETS[scan % 6], 6, snr)
    return on_off_of(corpus._corpus, "power-spectrum-v1", [hit], corpus.sessions())[0]


@pytest.mark.parametrize("scan", range(6))
@pytest.mark.parametrize("name", ["steady", "drifting"])
def test_what_is_in_every_scan_is_in_off(corpus: Corpus, name: str, scan: int) -> None:
    answer = judged(corpus, name, scan)
    assert answer.state == "in OFF"
    assert len(answer.off_scans) == (3 if scan in ON else 5)
    assert len(answer.seen) >= 2
    sources = corpus._corpus.manifest.sources
    assert all(sources[seen.partition("/")[0]].header.source_name != TARGETS[scan] for seen in answer.seen)


@pytest.mark.parametrize("scan", ON)
def test_what_is_in_scans_of_one_pointing_is_on_only_if_it_is_strong(corpus: Corpus, scan: int) -> None:
    strong, weak = judged(corpus, "on", scan), judged(corpus, "weak", scan)
    assert (strong.state, strong.seen, len(strong.off_scans)) == ("ON only", (), 3)
    assert strong.snr_limit is not None
    assert 5 < strong.snr_limit < 10
    assert weak.state == "undecided"
    assert weak.reason.startswith("the other scans may hide a signal of SNR")


def test_a_scan_of_its_own_has_no_off(corpus: Corpus) -> None:
    answer = judged(corpus, "on", 6)
    assert (answer.state, answer.off_scans) == ("no OFF", ())


@pytest.mark.parametrize("cover", [False, True])
@pytest.mark.parametrize("step", [12, 16, 20])
def test_all_windows_in_a_range_are_looked_at(step: int, cover: bool) -> None:
    header = replace(fine_header(coarse_width=256), nchans=512, nsamples=9)
    tiling = Tiling(header, WindowGrid(16, step, 4, cover), CoarseLayout(250, "flag"))
    windows = [tiling.window("", number) for number in range(tiling.n_windows)]
    for low in range(-20, 520, 7):
        for high in (low + 10, low + 300):
            expected = {one.number for one in windows if one.channel_start < high and one.channel_stop > low}
            found = {number for block in range(tiling.n_blocks) for number, _ in _overlapping(tiling, block, low, high)}
            assert found == expected


@pytest.mark.parametrize("slope", [-12.0, -3.0, -0.4, 0.0, 0.7, 5.0])
def test_the_slope_of_a_line_is_measured(slope: float) -> None:
    rng = np.random.default_rng(7)
    excess = 0.14 * rng.normal(size=(16, 256))
    channels = np.rint(128 + slope * (np.arange(16) - 7.5)).astype(int)
    excess[np.arange(16), channels] += 1.4
    low, high = drift_channels(excess)
    assert low - 0.1 <= slope <= high + 0.1
    assert high - low < 0.5


def test_what_is_no_line_has_many_slopes() -> None:
    excess = np.zeros((16, 256))
    excess[7] = 1.0  # a burst over the whole window
    low, high = drift_channels(excess)
    assert low < -10
    assert high > 10
    assert drift_channels(excess[:1]) == (0.0, 0.0)


def test_a_search_says_it_of_each_hit_and_finds_those_on_only(lookalike: Lookalike, root: Path, corpus: Corpus) -> None:
    source_id = sorted(corpus._corpus.manifest.sources)[0]
    window = f"{source_id}/44"
    told = lookalike("search", "--corpus", root, "--window", window, "-k", "30", "--on-off", "--json").json
    states = {one["on_off"] for one in told["hits"]}
    assert {"in OFF", "ON only", "no OFF"} <= states
    for one in told["hits"]:
        assert bool(one["in_off"]) == (one["on_off"] == "in OFF")
    only = lookalike("search", "--corpus", root, "--window", window, "-k", "30", "--on-only", "--json").json
    assert [(one["source"], one["window"]) for one in only["hits"]] == [
        (one["source"], one["window"]) for one in told["hits"] if one["on_off"] == "ON only"]
    assert [one["rank"] for one in only["hits"]] == list(range(1, len(only["hits"]) + 1))
    assert f"of the {len(told['hits'])} best hits are ON only" in only["query"]["note"]
    first = lookalike("search", "--corpus", root, "--window", window, "-k", "1", "--on-only", "--json").json
    assert first["hits"] == only["hits"][:1]
    table = lookalike("search", "--corpus", root, "--window", window, "-k", "30", "--on-off").out.splitlines()
    assert table[2].split()[:3] == ["score", "expected", "ON/OFF"]
    for line, one in zip(table[3:], told["hits"], strict=False):
        assert f" {one['on_off']} " in line
    plain = lookalike("search", "--corpus", root, "--window", window, "--json").json
    assert {one["on_off"] for one in plain["hits"]} == {None}


def test_a_users_table_decides(lookalike: Lookalike, root: Path) -> None:
    listed = lookalike("cadences", "--corpus", root)
    assert listed.out.splitlines()[0] == "2 sessions, 1 with more than one pointing"
    rows = list(csv.DictReader(io.StringIO(lookalike("cadences", "--corpus", root, "--csv").out)))
    assert [row["pointing"] for row in rows] == [*TARGETS, "A"]
    records = lookalike("cadences", "--corpus", root, "--json").json["sessions"]
    assert [scan["scan"] for session in records for scan in session["scans"]] == [row["scan"] for row in rows]
    path = table_path(root)
    try:
        path.write_text("scan,session,pointing,remark\n" + "".join(f"{row['scan']},one,same,x\n" for row in rows)
                        + "scan_of_another_corpus,one,same,\n")
        assert lookalike("cadences", "--corpus", root).out.splitlines()[0] == (
            "1 session, 0 with more than one pointing")
        path.write_text("")  # `lookalike cadences --csv > CORPUS-cadences.csv` empties the file before it is read
        assert lookalike("cadences", "--corpus", root).out == listed.out
        for text, fault in (("scan,session\n", "has no column 'pointing'"), ("a,b\n", "has no column 'scan'"),
                            ('scan,session,pointing\n"', "is no CSV (unexpected end of data)"),
                            ("scan,session,pointing\nGBT_,one,A\n", "line 2: 'GBT_' names 7 scans")):
            path.write_text(text)
            ran = lookalike("cadences", "--corpus", root)
            assert ran.code == 2
            assert str(path) in ran.err
            assert fault in ran.err
        path.write_bytes(b"\xff")
        with pytest.raises(ConfigError, match="is not UTF-8 text"):
            open_corpus(root).sessions()
    finally:
        path.unlink()
