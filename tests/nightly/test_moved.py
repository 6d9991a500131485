"""Files that moved, grew or vanished since the last night, in the report of a night."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.filterbank import write_filterbank
from pipeline.nightly import NightReport, nightly
from pipeline.search import open_corpus
from tests.run import small


def run(root: Path, **options: Any) -> NightReport:
    return nightly([root / "data"], root / "corpus", config=small.config(), serial=True,
                   **{"min_age_s": 0.0, **options})


def written(root: Path) -> tuple[dict[str, Any], str]:
    """Return the latest report, as JSON and as a page."""
    record: dict[str, Any] = json.loads((root / "corpus-reports" / "latest.json").read_bytes())
    return record, (root / "corpus-reports" / "latest.html").read_text()


def test_a_moved_file_is_listed_with_its_old_and_its_new_path(tmp_path: Path) -> None:
    data = small.archive(tmp_path / "data", 2)
    run(tmp_path)
    (data / "2026").mkdir()
    new = (data / "scan0.h5").rename(data / "2026" / "first.h5")

    report = run(tmp_path)

    assert (report.exit_code, report.headline) == (0, "nothing new; 1 file moved")
    record, page = written(tmp_path)
    [moved] = record["moved"]
    assert moved == {"source": moved["source"], "path": str(new), "was_at": str(data / "scan0.h5")}
    assert open_corpus(tmp_path / "corpus").status().sources == 2
    assert f"<code>{new}</code> was at <code>{data / 'scan0.h5'}</code> before" in page
    assert run(tmp_path).moved == (), "it is told once"


def test_a_file_that_grew_is_listed_with_what_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    power = small.noisy_power(1, small.header(nsamples=32))
    for spectra in (16, 32):
        path = write_filterbank(tmp_path / "data" / "scan.fil", power[:spectra], small.header(nsamples=spectra))
        report = run(tmp_path)
    record, page = written(tmp_path)
    [grown] = record["grown"]
    assert (grown["path"], report.moved) == (str(path), ())
    [short] = grown["replaces"]
    assert f"<code>{path}</code> takes the place of {short}, its beginning" in page
    [long] = report.new_sources
    assert long != short
