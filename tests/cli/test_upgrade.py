"""``lookalike upgrade``."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.upgrade import lines
from pipeline.run import Upgrade
from tests.cli.conftest import Lookalike
from tests.fixtures.old_corpus import unpacked

CHANGES = ["corpus.toml: the table [run] is taken out; all its values were defaults",
           "CURRENT: a new generation of the manifest, in the current format"]
GROUPS = 3 + 3 + 3
"""Groups of the corpus: three sources, each with vectors of two encoders. A fourth source was removed."""
STAY = f"{GROUPS} groups of windows or vectors stay in the format of an earlier version, and are read as they are"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return unpacked(tmp_path, "plain")


def test_it_says_what_it_changed_and_then_that_nothing_is_to_do(lookalike: Lookalike, root: Path) -> None:
    ran = lookalike("upgrade", "--corpus", root, "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "".join(f"would change  {one}\n" for one in CHANGES) + f"nothing was written\n{STAY}\n"
    ran = lookalike("upgrade", "--corpus", root)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "".join(f"changed  {one}\n" for one in CHANGES) + f"{STAY}\n"
    ran = lookalike("upgrade", "--corpus", root)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{root}: already has the format of this version; nothing to do\n{STAY}\n"


def test_json_holds_the_changes(lookalike: Lookalike, root: Path) -> None:
    for flags, dry_run, changes in (["--dry-run"], True, CHANGES), ([], False, CHANGES), ([], False, []):
        ran = lookalike("upgrade", "--corpus", root, "--json", *flags)
        assert (ran.code, ran.err) == (0, "")
        assert ran.json == {"changes": changes, "dry_run": dry_run, "files_to_read": 0, "bytes_to_read": 0,
                            "groups_of_format_1": GROUPS}


def test_what_must_be_read_again_is_told_in_bytes() -> None:
    told = lines(Upgrade((), dry_run=False, files_to_read=2, bytes_to_read=3_000_000_000), Path("my corpus"))
    assert told == ["2 files must be read again, 3,000,000,000 bytes: lookalike ingest DATA --corpus 'my corpus'"]


def test_what_cannot_be_upgraded_is_refused(lookalike: Lookalike, root: Path, tmp_path: Path) -> None:
    path = root / "corpus.toml"
    path.write_text(path.read_text().replace("workers = 0", "workers = 4"))
    lookalike("upgrade", "--corpus", root).assert_refused(2, "[run] workers = 4: ", "config.toml")
    lookalike("upgrade", "--corpus", tmp_path / "nowhere").assert_refused(2, "there is no corpus here")
