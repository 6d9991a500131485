"""``lookalike nightly``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.store import CorpusStore
from tests.cli.conftest import Lookalike
from tests.run.damages import no_graph
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
    ran = lookalike("nightly", data, "--corpus", corpus, *NOW)  # the reports of this folder have not told it yet
    assert (ran.code, ran.out.splitlines()[0]) == (3, "nothing new; 1 file failed")
    ran = lookalike("nightly", data, "--corpus", corpus, *NOW)
    assert (ran.code, ran.out.splitlines()[0]) == (0, "nothing new; 1 file failed before")
    ran = lookalike("nightly", data, "--corpus", corpus, *NOW, "--retry")
    assert (ran.code, ran.out.splitlines()[1].split()[:2]) == (3, ["failed", "EMPTY"])


def test_missing_and_empty_folders_are_told(lookalike: Lookalike, places: tuple[Path, Path]) -> None:
    data, corpus = places
    disk = data.with_name("disk")
    disk.mkdir()
    write_scan(disk / "scan.h5", 2)
    assert lookalike("nightly", data, disk, "--corpus", corpus, *NOW).code == 0
    disk.rename(data.with_name("away"))
    ran = lookalike("nightly", data, disk, "--corpus", corpus, *NOW)
    assert (ran.code, ran.out.splitlines()[1].split(maxsplit=1)) == (
        2, ["missing", f"{disk}: is not there; is its disk mounted?"])
    disk.mkdir()
    ran = lookalike("nightly", data, disk, "--corpus", corpus, *NOW)
    assert (ran.code, ran.out.splitlines()[1].split(maxsplit=1)) == (
        0, ["warning", f"{disk}: holds no filterbank file; is its disk mounted?"])


def test_serial_is_one_place_for_every_step_whatever_the_settings_name(
    lookalike: Lookalike, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler or cluster in the user's settings is connected to by no step of a night in this process."""
    data, corpus = places
    no_graph(monkeypatch)
    with (corpus / "corpus.toml").open("a") as settings:
        settings.write("[index]\nexact_below = 1\n")
    monkeypatch.setenv("LOOKALIKE_RUN_SCHEDULER", "tls://127.0.0.1:1")
    monkeypatch.setattr("pipeline.execute.cluster.connected", None)
    ran = lookalike("nightly", data, "--corpus", corpus, *NOW, "--json")
    assert ran.code == 0, ran
    assert [(step["name"], step["status"]) for step in ran.json["steps"]][:2] == [("ingest", "done"), ("index", "done")]


def test_what_was_just_written_is_left_for_the_next_night(lookalike: Lookalike, places: tuple[Path, Path]) -> None:
    data, corpus = places
    ran = lookalike("nightly", data, "--corpus", corpus, "--serial")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "nothing new; 1 file still changing")


@pytest.mark.parametrize("age", ["0", "10", "1.5"])
def test_an_age_without_a_unit_is_refused_with_what_would_have_worked(
    lookalike: Lookalike, places: tuple[Path, Path], age: str
) -> None:
    data, corpus = places
    lookalike("nightly", data, "--corpus", corpus, "--min-age", age).assert_misused(
        "--min-age", f"write {age}s or {age}m or {age}h or {age}d")


@pytest.mark.parametrize("age", ["m", "-1m", "1w"])
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
