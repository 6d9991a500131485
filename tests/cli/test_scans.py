"""``lookalike scans``: lists of scans and windows, also of names that hold commands, and of damaged corpora."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run import ingest
from tests.cli.conftest import Lookalike, environment
from tests.run.small import config, write_scan

FORMULA = "=cmd|' C'!A0.h5"
KEYS = "a\nb\x1b[31m.fil"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus of two scans whose names hold a formula, and keys of a terminal."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "data").mkdir()
    write_scan(folder / "data" / FORMULA, 0, source_name="=1+1")
    write_scan(folder / "data" / KEYS, 1, source_name="\x1b]0;t\x07")
    ingest([folder / "data"], folder / "corpus", config=config(), serial=True)
    return folder / "corpus"


def test_names_are_no_formulas_and_no_keys(lookalike: Lookalike, hostile: Path) -> None:
    plain = lookalike("scans", "--corpus", hostile)
    assert plain.out.isprintable() or all(map(str.isprintable, plain.out.splitlines()))
    assert "a\\nb\\x1b[31m.fil" in plain.out
    rows = list(csv.DictReader(io.StringIO(lookalike("scans", "--corpus", hostile, "--csv").out, newline="")))
    assert {row["target"] for row in rows} == {"'=1+1", "\\x1b]0;t\\x07"}
    listed = lookalike("scans", "--corpus", hostile, "--json").json["scans"]
    by_file = {Path(one["file"]).name: one["id"] for one in listed}
    assert set(by_file) == {FORMULA, KEYS}
    for name, scan in by_file.items():  # each is found by the name of its file, too
        assert lookalike("scans", name, "--corpus", hostile).out == lookalike("scans", scan, "--corpus", hostile).out


@pytest.mark.parametrize("ends", [("--f-start", 9000), ("--f-start", "nan"),
                                  ("--f-start", 8419.47, "--f-stop", 8419.46)])
def test_a_range_that_is_none_names_the_band_and_the_option(lookalike: Lookalike, corpus: Path,
                                                           ends: tuple[str | float, ...]) -> None:
    ran = lookalike("scans", "scan0.h5", "--corpus", corpus, *map(str, ends))
    ran.assert_refused(2, "MHz is no range of this scan, whose band is 8419.4542", "as --f-start")


def test_a_scan_that_is_not_there_or_was_removed(lookalike: Lookalike, corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    lookalike("scans", "nosuch", "--corpus", root).assert_refused(2, "nosuch: no such file, and no source")
    assert lookalike("remove", "scan0.h5", "--corpus", root).code == 0
    lookalike("scans", "scan0.h5", "--corpus", root).assert_refused(2, "was removed", "remove --undo")
    assert len(lookalike("scans", "--corpus", root, "--json").json["scans"]) == 2


def test_damaged_windows_are_named_with_the_command_that_mends_them(lookalike: Lookalike, corpus: Path,
                                                                    tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    scan = lookalike("scans", "--corpus", root, "--json").json["scans"][0]["id"]
    (root / "sources" / scan / "windows.npy").write_bytes(b"")
    lookalike("scans", scan, "--corpus", root).assert_refused(5, "windows.npy", "verify --repair")


def test_a_list_that_cannot_be_written_is_refused(lookalike: Lookalike, corpus: Path, tmp_path: Path) -> None:
    lookalike("scans", "--corpus", corpus, "--out", tmp_path / "no" / "x.csv").assert_refused(2, "cannot be written")
    lookalike("scans", "--corpus", corpus, "--out", tmp_path / "x.doc").assert_refused(2, "cannot write a .doc")
    written = lookalike("scans", "--corpus", corpus, "--out", tmp_path / "x.json")
    assert (written.code, written.out) == (0, "")
    assert len(json.loads((tmp_path / "x.json").read_text())["rows"]) == 3


def test_a_reader_that_leaves_is_no_error(corpus: Path) -> None:
    program = subprocess.Popen([sys.executable, "-m", "pipeline", "scans", "--corpus", str(corpus), "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert program.stdout is not None
    program.stdout.close()
    _, said = program.communicate(timeout=60)
    assert b"Traceback" not in said
