"""``lookalike search --hits`` and the options that describe a signal."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pipeline.search import ROW_COLUMNS
from pipeline.store import CorpusStore
from tests.cli.conftest import Lookalike


@pytest.fixture
def table(corpus: Path, data: Path, tmp_path: Path) -> Path:
    """Table of two hits in scan0.h5, and of one that cannot be read."""
    sources = CorpusStore.open(corpus).manifest().sources
    header = next(entry.header for entry in sources.values() if entry.path.endswith("scan0.h5"))
    middle = header.f_min_mhz + 300 * header.channel_width_mhz
    rows = [f"{i}\t0.1\t20\t{f}\t{f}\t0\t{f}\t{f}\t0\t0\t0\t1" for i, f in ((1, middle), (2, 1.0))]
    path = tmp_path / "some.dat"
    path.write_text("\n".join(["# File ID: scan0.h5", "# Drift_Rate Top_Hit_#", *rows, "3\t0.1"]))
    return path


def test_each_row_has_a_line(lookalike: Lookalike, corpus: Path, table: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ran = lookalike("search", "--corpus", corpus, "--hits", table, "--html", page)

    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith(f"3 rows of {table} (turboSETI or seticore .dat) among ")
    assert lines[1].endswith("2 not searched for")
    assert lines[2].split()[:4] == ["row", "MHz", "Hz/s", "SNR"]
    assert "ON/OFF" not in lines[2], "the column is empty without --on-off"
    assert ran.out.count("by chance") == 1
    assert lines[3].split()[0] == "1"
    assert lines[4].startswith("row 2 is not searched for: 1.000000 MHz is not within the band")
    assert lines[5] == "row 3 is not searched for: it has 2 values, and a hit has 12"
    assert f"page: {page}" in ran.err
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_rows_as_json_and_csv(lookalike: Lookalike, corpus: Path, table: Path) -> None:
    record = lookalike("search", "--corpus", corpus, "--hits", table, "--json").json
    assert [row["row"] for row in record["rows"]] == [1, 2, 3]
    assert record["rows"][0]["hits"][0]["rank"] == 1
    rows = list(csv.DictReader(lookalike("search", "--corpus", corpus, "--hits", table, "--csv").out.splitlines()))
    assert tuple(rows[0]) == ROW_COLUMNS
    assert [row["reason"] != "" for row in rows] == [False, True, True]
    assert float(rows[0]["best_score"]) == record["rows"][0]["best_score"]


@pytest.mark.parametrize("more", [["--f-start", "1"], ["--window", "a/1"], ["--npy", "x.npy"],
                                  ["--signal", "x.json"], ["--view", "f4"]])
def test_a_table_has_its_own_patterns(lookalike: Lookalike, corpus: Path, table: Path, more: list[str]) -> None:
    (table.parent / "x.json").write_text("{\"snr\": 20}")
    given = [str(table.parent / one) if one == "x.json" else one for one in more]
    lookalike("search", "--corpus", corpus, "--hits", table, *given).assert_misused(more[0], "does not go with --hits")


def test_a_page_needs_a_table(lookalike: Lookalike) -> None:
    lookalike("search", "--html", "x.html", "--lines", "1").assert_misused("--html goes with --hits", "--out OUT.html")
    lookalike("search", "--hits", "x.dat", "--out", "x.vot").assert_misused("use --html, --csv or --json")


def test_a_table_that_names_no_scan_asks_for_the_option(
    lookalike: Lookalike, corpus: Path, data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "hyperseti.csv"
    path.write_text("drift_rate,f_start,snr\n0.4,1.0,100\n")
    ask = "the scan of a row was not found; give its file with --file"
    ran = lookalike("search", "--corpus", corpus, "--hits", path)
    assert ask in ran.err
    assert (ran.code, "none of its 1 row could be searched for; row 1: " in ran.err) == (2, True)
    assert "row 1 is not searched for" in ran.out
    assert ask not in lookalike("search", "--corpus", corpus, "--hits", path, "--file", data / "scan0.h5").err


def test_another_file_is_refused(lookalike: Lookalike, corpus: Path, data: Path) -> None:
    lookalike("search", "--corpus", corpus, "--hits", data / "scan0.h5").assert_refused(2, "is no hit table")


def test_a_signal_is_described_by_flags_or_a_file(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = {"drift_hz_per_s": 0.4, "width_hz": 4, "amplitudes": [1, 1], "spacing_hz": 80, "snr": 30,
                 "envelope": {"kind": "pulsed", "period_s": 60, "duty": 0.5}}
    path = tmp_path / "signal.json"
    path.write_text(json.dumps(described))
    by_flags = lookalike("search", "--corpus", corpus, "--drift-hz-per-s", "0.4", "--width-hz", "4", "--lines", "2",
                         "--spacing-hz", "80", "--snr", "30", "--period-s", "60", "--json").json
    by_file = lookalike("search", "--corpus", corpus, "--signal", path, "--json").json

    assert by_flags["hits"] == by_file["hits"] != []
    assert by_flags["query"]["kind"] == "signal"
    assert "drift_hz_per_s 0.4" in by_flags["query"]["signal"]


@pytest.mark.parametrize(("content", "words"), [("[1]", "must hold one JSON object"), ("{", "is no JSON"),
                                                ('{"drift": 1}', "Signal has no 'drift'")])
def test_other_descriptions_are_refused(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / "signal.json"
    path.write_text(content)
    lookalike("search", "--corpus", corpus, "--signal", path).assert_refused(2, words)
