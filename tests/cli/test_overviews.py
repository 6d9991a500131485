"""``lookalike ingest --add-overview``."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Config
from pipeline.search import open_corpus
from tests.cli.conftest import Lookalike
from tests.run.small import COARSE, write_scan

SERIAL = ("--serial", "--coarse-width", str(COARSE), "--encoder", "power-spectrum", "--views", "none")


def test_a_corpus_gets_overviews(lookalike: Lookalike, tmp_path: Path) -> None:
    scan, root = write_scan(tmp_path / "scan.fil"), tmp_path / "corpus"
    assert lookalike("ingest", scan, "--corpus", root, *SERIAL).code == 0
    added = ("ingest", scan, "--corpus", root, "--serial", "--add-overview")
    would = lookalike(*added, "--dry-run")
    assert "1 file: 1 would get an overview" in would.out
    assert f"1 file to read again for overviews, {scan.stat().st_size:,} bytes" in would.err
    assert not Config.of_corpus(root).scan.overview
    assert "1 file: 1 done" in lookalike(*added).out
    assert Config.of_corpus(root).scan.overview
    assert open_corpus(root).overview("scan.fil").maximum.shape == (16, 64)
    again = lookalike(*added)
    assert "1 file: 0 done, 1 skipped" in again.out
    assert "to read again" not in again.err
    assert lookalike("verify", "--corpus", root).out.startswith("3 objects")
