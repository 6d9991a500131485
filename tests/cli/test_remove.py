"""``lookalike remove``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.cli.remove import line
from pipeline.errors import Reason
from pipeline.run import Removal
from pipeline.store import CorpusStore
from tests.cli.conftest import Lookalike


@pytest.fixture
def root(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "corpus"))


@pytest.fixture
def scan0(corpus: Path, data: Path) -> tuple[str, int, str]:
    """Source id, number of windows and path of the first file."""
    sources = CorpusStore.open(corpus).manifest().sources
    (found,) = ((i, entry) for i, entry in sources.items() if Path(entry.path).name == "scan0.h5")
    return found[0], found[1].windows_kept, str(data / "scan0.h5")


def test_a_source_is_removed_reported_and_taken_back(
    lookalike: Lookalike, root: Path, data: Path, scan0: tuple[str, int, str]
) -> None:
    source_id, windows, path = scan0
    ran = lookalike("remove", "scan0.h5", "--corpus", root)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"removed {source_id} ({path}): {windows} windows\n"
    assert "sources   2 " in lookalike("status", "--corpus", root).out
    assert "          1 REMOVED\n" in lookalike("status", "--corpus", root).out

    flags = ("--corpus", root, "--serial")
    ran = lookalike("ingest", data, *flags)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "3 files: 0 done, 3 skipped (1 REMOVED), 0 failed, 0 busy",
        f"skipped REMOVED              {path}: was removed; to take it in again: lookalike remove --undo {source_id} "
        "--corpus CORPUS",
    ]
    ran = lookalike("remove", "--undo", source_id, "--corpus", root)
    assert (ran.code, ran.err, ran.out) == (0, "", f"restored {source_id} ({path}): {windows} windows\n")
    assert lookalike("ingest", data, *flags).out == "3 files: 0 done, 3 skipped, 0 failed, 0 busy\n"


def test_a_dry_run_writes_nothing(lookalike: Lookalike, root: Path, scan0: tuple[str, int, str]) -> None:
    source_id, windows, path = scan0
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*")}
    ran = lookalike("remove", "scan0.h5", "--corpus", root, "--dry-run")
    assert ran.out == f"would remove {source_id} ({path}): {windows} windows\nnothing was written\n"
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*")} == before
    lookalike("remove", "scan0.h5", "--corpus", root)
    ran = lookalike("remove", "scan0.h5", "--corpus", root, "--dry-run", "--undo")
    assert ran.out == f"would restore {source_id} ({path})\nnothing was written\n"
    assert source_id in CorpusStore.open(root).manifest().removed


def test_json_lists_the_sources(lookalike: Lookalike, root: Path, scan0: tuple[str, int, str]) -> None:
    source_id, windows, path = scan0
    said = {"source": source_id, "path": path, "windows": windows, "vectors": {"power-spectrum-v1": windows},
            "held": True, "replaces": []}
    for flags, dry_run in (["--dry-run"], True), ([], False):
        ran = lookalike("remove", source_id, "--corpus", root, "--json", *flags)
        assert (ran.err, ran.json) == ("", {"undo": False, "dry_run": dry_run, "sources": [said]})
    ran = lookalike("remove", source_id, "--corpus", root, "--json", "--undo")
    assert ran.json == {"undo": True, "dry_run": False, "sources": [said]}


def test_one_of_which_nothing_is_left_is_to_be_ingested_again(
    lookalike: Lookalike, root: Path, scan0: tuple[str, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source_id, _, path = scan0
    lookalike("remove", source_id, "--corpus", root)
    monkeypatch.setattr("pipeline.store.retirement.GRACE_S", 0.0)
    ran = lookalike("remove", source_id, "--corpus", root, "--undo")
    assert ran.out == f"restored {source_id} ({path}): its windows are deleted; ingest its file again\n"
    assert Reason.REMOVED not in {entry.reason for entry in CorpusStore.open(root).manifest().files.values()}


def test_what_cannot_be_removed_is_refused(lookalike: Lookalike, root: Path, tmp_path: Path) -> None:
    lookalike("remove", "nobody", "--corpus", root).assert_refused(2, "nobody: no source of", "there are ")
    lookalike("remove", "nobody", "--undo", "--corpus", root).assert_refused(2, "no source removed from", "none")
    lookalike("remove", "a", "--corpus", tmp_path / "nowhere").assert_refused(2, "there is no corpus here")
    lookalike("remove", "--corpus", root).assert_misused("SOURCE...")


def test_what_a_restored_source_replaces_is_named() -> None:
    back = Removal("GBT_1_2_X_long", "/data/x.fil", 7, {}, is_held=True, replaces=("GBT_1_2_X_short",))
    assert line(back, undo=True, dry_run=False) == ("restored GBT_1_2_X_long (/data/x.fil): 7 windows; replaces "
                                                    "GBT_1_2_X_short, the beginning of this scan")
