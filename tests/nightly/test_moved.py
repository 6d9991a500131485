"""Files that moved, grew or vanished since the last night, in the report of a night."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import Reason, RunError
from pipeline.filterbank import write_filterbank
from pipeline.nightly import NightReport, nightly
from pipeline.nightly import night as night_module
from pipeline.search import open_corpus
from pipeline.store import CorpusStore
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
    assert f"<code>{path}</code> replaces {short}, the beginning of this scan" in page
    [long] = report.new_sources
    assert long != short


def test_files_whose_disk_vanishes_during_a_night_are_gone_not_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small.archive(tmp_path / "data", 3)
    run(tmp_path)
    small.write_scan(data / "late1.h5", 11)
    small.write_scan(data / "late2.fil", 12)
    select = night_module.select_due

    def and_unmount(*arguments: Any) -> Any:
        due = select(*arguments)
        shutil.move(data, tmp_path / "unmounted")
        return due

    with monkeypatch.context() as patch:
        patch.setattr(night_module, "select_due", and_unmount)
        report = run(tmp_path)
    assert report.exit_code == 3
    assert {(Path(one.path).name, one.status, one.reason) for one in report.wrong} == {
        ("late1.h5", "busy", Reason.GONE), ("late2.fil", "busy", Reason.GONE)}
    for one in report.wrong:
        assert one.message == (f"{one.path}: is gone: it was moved or removed since it was listed, or its disk was "
                               "unmounted; run again when it is back")
    files = CorpusStore.open(tmp_path / "corpus").manifest().files
    assert {entry.status for entry in files.values()} == {"done"}, "there is no file to know again"

    shutil.move(tmp_path / "unmounted", data)
    report = run(tmp_path)
    assert (report.exit_code, len(report.done), report.wrong) == (0, 2, ())


@pytest.mark.parametrize("now_s", [285_866_000_000.0, -2e10], ids=["year 11028", "year 1336"])
def test_a_clock_that_cannot_be_right_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now_s: float
) -> None:
    small.archive(tmp_path / "data", 1)
    run(tmp_path)
    before = CorpusStore.open(tmp_path / "corpus").manifest()
    small.write_scan(tmp_path / "data" / "late.h5", 11)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.support.clock.time", SimpleNamespace(time=lambda: now_s))
        with pytest.raises(RunError, match=f"clock of this machine is wrong: it is {now_s:.0f} s after 1970; set it"):
            run(tmp_path)
    assert CorpusStore.open(tmp_path / "corpus").manifest() == before
    assert run(tmp_path).exit_code == 0
