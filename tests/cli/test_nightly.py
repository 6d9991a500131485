"""``lookalike nightly``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.store import CorpusStore
from tests.cli.conftest import Lookalike
from tests.run.small import write_scan

NOW = ("--serial", "--min-age", "0s")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "data").mkdir()
    write_scan(tmp_path / "data" / "scan.h5", 1)
    (tmp_path / "corpus").mkdir()
    settings = '[scan]\ncoarse_width = 4096\n[encoder]\nname = "power-spectrum"\n'
    (tmp_path / "corpus" / "corpus.toml").write_text(settings)
    return tmp_path / "data", tmp_path / "corpus"


def test_a_night_is_told_in_a_few_lines_and_as_json(lookalike: Lookalike, places: tuple[Path, Path]) -> None:
    data, corpus = places
    ran = lookalike("nightly", data, "--corpus", corpus, *NOW)
    assert (ran.code, ran.err) == (0, "")
    headline, report = ran.out.splitlines()
    assert headline == "1 file ingested"
    page = Path(report.removeprefix("report: "))
    assert page.parent == corpus.with_name("corpus-reports")
    assert page.read_text().startswith("<!DOCTYPE html>")

    (data / "empty.h5").touch()
    ran = lookalike("nightly", data, "--corpus", corpus, *NOW, "--json", "--report-dir", corpus.parent / "elsewhere")
    assert (ran.code, ran.json["exit_code"], ran.json["headline"]) == (3, 3, "nothing new; 1 file failed")
    assert Path(ran.json["written"]["html"]).parent == corpus.parent / "elsewhere"
    ran = lookalike("nightly", data, "--corpus", corpus, *NOW)
    assert (ran.code, ran.out.splitlines()[0]) == (0, "nothing new; 1 file failed before")
    ran = lookalike("nightly", data, "--corpus", corpus, *NOW, "--retry")
    assert (ran.code, ran.out.splitlines()[1].split()[:2]) == (3, ["failed", "EMPTY"])


def test_what_was_just_written_is_left_for_the_next_night(lookalike: Lookalike, places: tuple[Path, Path]) -> None:
    data, corpus = places
    ran = lookalike("nightly", data, "--corpus", corpus, "--serial")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "nothing new; 1 file still changing")


@pytest.mark.parametrize("age", ["10", "m", "-1m", "1w"])
def test_an_age_has_a_unit(lookalike: Lookalike, places: tuple[Path, Path], age: str) -> None:
    data, corpus = places
    lookalike("nightly", data, "--corpus", corpus, f"--min-age={age}").assert_misused("--min-age", age, "such as 90s")


def test_a_second_night_is_refused_by_name(lookalike: Lookalike, places: tuple[Path, Path]) -> None:
    data, corpus = places
    lookalike("nightly", data, "--corpus", corpus, *NOW)
    command = [sys.executable, "-m", "pipeline", "nightly", str(data), "--corpus", str(corpus), *NOW]
    with CorpusStore.open(corpus).lock():
        lookalike("nightly", data, "--corpus", corpus, *NOW).assert_refused(4, f"{corpus}: locked by process")
        other = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (other.returncode, other.stdout) == (4, "")
    assert f"{corpus}: locked by process" in other.stderr
