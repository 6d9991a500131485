"""Options about averaged views, from the first ingest to a search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.config import Config
from tests.cli.conftest import Lookalike
from tests.run.small import COARSE, write_scan

SERIAL = ("--serial", "--coarse-width", str(COARSE), "--encoder", "power-spectrum")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for scan_no in range(2):
        write_scan(folder / f"scan{scan_no}.fil", scan_no)
    return folder


def test_views_from_ingest_to_search(lookalike: Lookalike, scans: Path, tmp_path: Path) -> None:
    corpus = ("--corpus", tmp_path / "corpus")
    ran = lookalike("ingest", scans, *corpus, *SERIAL, "--views", "none")
    assert ran.code == 0
    assert "view " not in ran.out
    lookalike("ingest", scans, *corpus, "--serial", "--views", "f4").assert_refused(
        2, "its views are none, this run asks for f4", "--add-views")
    added = ("ingest", scans, *corpus, "--serial", "--views", "f4", "--add-views")
    would = lookalike(*added, "--dry-run")
    assert "2 files: 2 would get views f4" in would.out
    assert "2 files to read again for more views" in would.err
    assert Config.of_corpus(tmp_path / "corpus").scan.views == ()
    ran = lookalike(*added)
    assert ran.code == 0
    assert "2 files: 2 done" in ran.out
    assert "view f4: 32 windows seen" in ran.out
    assert "views     f4 of 2 sources" in lookalike("status", *corpus).out
    status = lookalike("status", *corpus, "--json").json
    assert (status["sources"], status["views"]) == (2, {"f4": 2})
    report = lookalike("ingest", scans, *corpus, "--serial", "--json").json
    assert [one["views"] for one in report["sources"]] == [{}, {}]
    asked = ("search", *corpus, "--file", scans / "scan0.fil", "--f-start", "8419.46", "--f-stop", "8419.463")
    own = lookalike(*asked, "--json").json  # the gate sees nothing in the view that suits the width of the range
    assert own["query"]["view"] is None
    assert {hit["view"] for hit in own["hits"]} == {""}
    assert "searched through 1x" in own["query"]["note"]
    hits = lookalike(*asked, "--view", "f4", "--json").json
    assert hits["query"]["view"] == "f4"
    assert {hit["view"] for hit in hits["hits"]} == {"f4"}
    assert " f4 " in lookalike(*asked, "--view", "f4").out
    plain = lookalike(*asked, "--view", "1x", "--json").json
    assert {hit["view"] for hit in plain["hits"]} == {""}
    lookalike(*asked, "--view", "f64").assert_refused(2, "--view f64", "the corpus has only 1x, f4")
    both = json.loads(lookalike(*asked, "--all-views", "-k", "50", "--json").out)
    assert {hit["view"] for hit in both["hits"]} == {"", "f4"}


@pytest.mark.parametrize(("views", "said"), [("f3", "'f3' is no view"), ("f4,f4", "name each averaged view once")])
def test_a_view_that_is_none_is_refused(
    lookalike: Lookalike, scans: Path, tmp_path: Path, views: str, said: str
) -> None:
    lookalike("ingest", scans, "--corpus", tmp_path / "corpus", *SERIAL, "--views", views).assert_refused(2, said)
    assert not (tmp_path / "corpus").exists()


def test_none_stands_for_no_views(lookalike: Lookalike, scans: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    assert lookalike("ingest", scans, "--corpus", corpus, *SERIAL, "--views", "none").code == 0
    assert Config.of_corpus(corpus).scan.views == ()
    assert lookalike("ingest", scans, "--corpus", corpus, "--serial").code == 0
    assert lookalike("status", "--corpus", corpus, "--json").json["views"] == {}


def test_a_night_makes_views_of_a_new_corpus_and_refuses_others_later(
    lookalike: Lookalike, scans: Path, tmp_path: Path
) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "corpus.toml").write_text(f'[scan]\ncoarse_width = {COARSE}\n[encoder]\nname = "power-spectrum"\n')
    night = ("nightly", scans, "--corpus", root, "--serial", "--min-age", "0s")
    found = lookalike(*night, "--views", "f4", "--json").json
    assert found["ingest"]["views"] == {"f4": {"windows_seen": 32, "windows_kept": found["after"]["views"]["f4"][
        "windows_kept"], "windows_masked": 0}}
    lookalike(*night, "--views", "f16").assert_refused(2, "its views are f4, this run asks for f16")
    assert lookalike(*night).code == 0
