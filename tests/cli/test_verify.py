"""``lookalike verify``."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli.verify import summary
from pipeline.integrity import Verification
from pipeline.store import CorpusStore, source_folder
from tests.cli.conftest import Lookalike, on_a_terminal


@pytest.fixture
def root(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "corpus"))


@pytest.fixture
def damaged(root: Path) -> Path:
    """Remove the last byte of a file of the corpus; return its path."""
    path = source_folder(root, min(CorpusStore.open(root).manifest().sources)) / "windows.npy"
    path.write_bytes(path.read_bytes()[:-1])
    return path


def test_a_corpus_without_damage(lookalike: Lookalike, root: Path) -> None:
    ran = lookalike("verify", "--corpus", root)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("6 objects, ")
    assert ran.out.endswith(": no damage\n")
    assert ran.out.count("\n") == 1


def test_what_is_damaged_is_named_with_what_to_do_and_mended(lookalike: Lookalike, root: Path, damaged: Path) -> None:
    source_id = damaged.parent.name
    size = damaged.stat().st_size
    ran = lookalike("verify", "--corpus", root)
    assert (ran.code, ran.err) == (5, "")
    first, second, third, fourth = ran.out.splitlines()
    assert fourth == f"mend it with: lookalike verify --repair --corpus {root}"
    assert first.endswith(": 1 file damaged")
    assert second == f"damaged  source     {source_id}: {damaged}: has {size} bytes, not {size + 1}"
    assert third.startswith("         read ")
    assert third.endswith(" again with --repair")
    ran = lookalike("verify", "--corpus", root, "--repair", "--serial")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0].endswith(": 1 file repaired, no damage left")
    assert ran.out.splitlines()[1] == second.replace("damaged ", "repaired", 1)
    assert lookalike("verify", "--corpus", root).code == 0


def test_json_says_the_same(lookalike: Lookalike, root: Path, damaged: Path) -> None:
    ran = lookalike("verify", "--corpus", root, "--json")
    (one,) = ran.json["damages"]
    assert (ran.code, ran.json["objects"], one["kind"], one["path"]) == (5, 6, "source", str(damaged))
    ran = lookalike("verify", "--corpus", root, "--json", "--repair", "--serial")
    assert (ran.code, ran.json["damages"], ran.json["mended"]) == (0, [], [one])


def test_a_sample_is_said_to_be_one(lookalike: Lookalike, root: Path) -> None:
    assert " of 6 objects, " in lookalike("verify", "--corpus", root, "--sample", "0.01").out
    of_none = Verification(0, 6, 0, 1.0, (), sample=0.02)
    assert summary(of_none) == ["0 of 6 objects, 0 bytes, read in 1 s: manifest and identity undamaged; no "
                                "object was due, each is checked once in 50 days"]
    assert summary(replace(of_none, objects=2)) == ["2 of 6 objects, 0 bytes, read in 1 s: no damage"]
    lookalike("verify", "--corpus", root, "--sample", "0").assert_misused("--sample")


def test_what_cannot_be_read_as_a_corpus_is_refused(lookalike: Lookalike, tmp_path: Path) -> None:
    lookalike("verify", "--corpus", tmp_path).assert_refused(2, "there is no corpus here")
    lookalike("verify", "--serial", "--workers", "2").assert_misused("choose one of --serial and --workers")


def test_on_a_terminal_progress_is_shown(lookalike: Lookalike, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = on_a_terminal(monkeypatch, lambda: lookalike("verify", "--corpus", root))
    assert "verify [############] 6/6 objects" in said
    assert " MB/s" in said


def test_files_of_other_programs_are_named_and_are_no_damage(lookalike: Lookalike, root: Path) -> None:
    mine = [root / "sources" / "@eaDir", *(root / f"notes{number:02d}.txt" for number in range(30))]
    for path in mine:
        path.touch()
    ran = lookalike("verify", "--corpus", root)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0].endswith(": no damage")
    assert ran.out.splitlines()[1] == f"foreign  {mine[1]}: not part of the corpus, left unchanged"
    assert ran.out.splitlines()[-1] == "foreign  and 11 more: --json lists them"
    assert lookalike("verify", "--corpus", root, "--json").json["foreign"] == sorted(map(str, mine))


def test_a_link_is_named_with_what_to_do(lookalike: Lookalike, root: Path, tmp_path: Path) -> None:
    shutil.move(root / "vectors", tmp_path / "elsewhere")
    (root / "vectors").symlink_to(tmp_path / "elsewhere")
    ran = lookalike("verify", "--corpus", root)
    assert ran.code == 5
    assert f"damaged  link       vectors: {root / 'vectors'}: is a link to {tmp_path / 'elsewhere'}" in ran.out
    assert "unlink vectors" in ran.out
    lookalike("verify", "--corpus", root, "--repair").assert_refused(5, str(root / "vectors"), "is a link to")
