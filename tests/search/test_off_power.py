"""ON/OFF by power in the files of a simulated cadence of known signals."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.model import Hit, OnOff
from pipeline.search import Corpus, open_corpus
from pipeline.search.off_power import with_power
from pipeline.search.on_off import on_off_of
from pipeline.search.power_store import MAX_ENTRIES, Measured, PowerStore, store_path
from pipeline.simulate import FINE
from tests.cli.conftest import Lookalike, lookalike
from tests.search.cadence import ON, SCAN_S, SIGNALS, TARGETS, make_cadence

__all__ = ["lookalike"]

KEY = "power-spectrum-v1"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cadence(tmp_path_factory.mktemp("power"))


@pytest.fixture(scope="module")
def corpus(root: Path) -> Corpus:
    return open_corpus(root)


@pytest.fixture(autouse=True)
def _nothing_is_kept(root: Path) -> None:
    store_path(root).unlink(missing_ok=True)


def hit_of(corpus: Corpus, name: str, scan: int) -> Hit:
    """Return the window of a scan that holds most of a signal."""
    signal, window, _ = SIGNALS[name]
    opened = corpus._corpus
    source_id = sorted(opened.manifest.sources)[scan]
    tiling = opened.tiling(source_id)
    channel = 256 * window + 128 + signal.drift_hz_per_s * (scan * SCAN_S + 146) / FINE.channel_width_hz
    number = min(opened.numbers(source_id).tolist(),
                 key=lambda one: abs(tiling.window(source_id, one).channel_start + 128 - channel))
    snr = float(opened.column(source_id, "snr", opened.rows(source_id, np.array([number])))[0])
    return Hit(1, 1.0, opened.window(source_id, number), source_id, "", TARGETS[scan], 6, snr)


def judged(corpus: Corpus, name: str, scan: int) -> OnOff:
    hits, sessions = [hit_of(corpus, name, scan)], corpus.sessions()
    return with_power(corpus._corpus, KEY, hits, on_off_of(corpus._corpus, KEY, hits, sessions), sessions)[0]


@pytest.mark.parametrize("scan", [0, 1, 4])
@pytest.mark.parametrize("name", ["steady", "drifting"])
def test_what_is_in_every_scan_has_its_power_there(corpus: Corpus, name: str, scan: int) -> None:
    answer = judged(corpus, name, scan)
    assert answer.state == "in OFF"
    assert answer.own_snr is not None
    assert len(answer.power) == (3 if scan in ON else 5)
    for one in answer.power:
        assert 0.7 * answer.own_snr < one.snr < 1.4 * answer.own_snr
        assert one.snr_limit == pytest.approx(one.snr + 1.645)


@pytest.mark.parametrize("scan", ON)
def test_what_is_at_one_pointing_has_no_power_elsewhere(corpus: Corpus, scan: int) -> None:
    answer = judged(corpus, "on", scan)
    assert (answer.state, len(answer.power)) == ("ON only", 3)
    assert max(one.snr for one in answer.power) < 6 < 50 < (answer.own_snr or 0)
    assert answer.snr_limit == max(one.snr_limit for one in answer.power)


def test_a_weak_signal_is_not_called_in_off(corpus: Corpus) -> None:
    answer = judged(corpus, "weak", 0)
    assert answer.state in ("ON only", "undecided")
    assert answer.own_snr is not None
    assert answer.own_snr < 12
    if answer.state == "undecided":
        assert "there may be a signal of SNR" in answer.reason


def test_power_is_measured_once_and_files_that_are_gone_are_named(corpus: Corpus, root: Path, tmp_path: Path) -> None:
    first = judged(corpus, "on", 0)
    away = tmp_path / "data"
    shutil.move(root.parent / "data", away)
    try:
        assert judged(corpus, "on", 0) == first, "it is read from what was kept"
        other = judged(corpus, "drifting", 2)
        assert other.state == "in OFF", "as the stored windows say"
        assert other.power == ()
        assert "power was not measured in 3 scans" in other.reason
        assert "cannot be read from its file" in other.reason
        assert "judged by stored windows" in other.reason
    finally:
        shutil.move(away, root.parent / "data")
    assert len(judged(corpus, "drifting", 2).power) == 3


def test_one_lost_file_leaves_the_others(corpus: Corpus, root: Path, tmp_path: Path) -> None:
    path = root.parent / "data" / "scan3.h5"
    shutil.move(path, tmp_path / "scan3.h5")
    try:
        answer = judged(corpus, "on", 0)
    finally:
        shutil.move(tmp_path / "scan3.h5", path)
    assert (answer.state, len(answer.power)) == ("ON only", 2)
    assert "not measured in 1 scan" in answer.reason


def test_what_is_kept_is_private_bounded_and_checked(root: Path) -> None:
    path = store_path(root)
    store = PowerStore.open(root)
    for i in range(MAX_ENTRIES + 5):
        store.put(str(i), Measured(9.0, float(i), 4.0, True))
    store.save()
    assert path.stat().st_mode & 0o777 == 0o600
    again = PowerStore.open(root)
    assert again.get("4") is None
    assert again.get(str(MAX_ENTRIES)) == Measured(9.0, float(MAX_ENTRIES), 4.0, True)
    path.chmod(0o644)
    assert PowerStore.open(root).get(str(MAX_ENTRIES)) is None, "others can read it"
    path.chmod(0o600)
    for text in ("", "[]", '{"format": 1}', '{"format": 1, "entries": {"a": [1, 2, 3]}}', '{"format": 1, "entries": 3}',
                 '{"format": 1, "entries": {"a": [1, NaN, 3, true]}}',
                 '{"format": 99, "entries": {"a": [1, 2, 3, true]}}'):
        path.write_text(text)
        assert PowerStore.open(root).get("a") is None
    path.unlink()
    os.symlink("/dev/null", path)
    assert PowerStore.open(root).get("a") is None
    path.unlink()


def test_a_search_measures_on_request(lookalike: Lookalike, root: Path, corpus: Corpus) -> None:
    window = f"{sorted(corpus._corpus.manifest.sources)[0]}/44"
    asked = ("search", "--corpus", root, "--window", window, "-k", "8", "--on-off-power")
    hits = lookalike(*asked, "--json").json["hits"]
    only = [hit for hit in hits if hit["on_off"] == "ON only"]
    assert only
    for hit in only:
        assert all(one["snr_limit"] <= 0.6 * hit["on_snr"] for one in hit["off_power"])
    rows = list(csv.DictReader(io.StringIO(lookalike(*asked, "--csv").out)))
    assert [row["on_off"] for row in rows] == [hit["on_off"] for hit in hits]
    assert all("at most" in row["off_power"] for row in rows if row["on_off"] == "ON only")
    assert lookalike("search", "--corpus", root, "--window", window, "--on-off", "--json").json["hits"][0][
        "off_power"] == []
