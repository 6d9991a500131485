"""A file that a night leaves out is named in its report, and is taken in as soon as it can be, also after a kill."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import Reason
from pipeline.nightly import NightReport, nightly
from pipeline.nightly.due_files import DAY_S
from pipeline.run.driver import Driver
from pipeline.store import CorpusStore
from tests.machine.scans import CONFIG, write
from tests.nightly.test_night import Nights, nights

__all__ = ["nights"]  # a fixture


class Killed(BaseException):
    """Stands for SIGKILL: no step of a night catches it."""


def night_killed_at(method: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do a night that ends when it calls a method of the driver."""

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Driver, method, killed)
        with pytest.raises(Killed):
            night(folder)


def night(folder: Path) -> NightReport:
    return nightly([folder / "data"], folder / "corpus", min_age_s=600.0, config=CONFIG, serial=True)


def data(folder: Path, *names: str) -> list[Path]:
    (folder / "data").mkdir()
    paths = [folder / "data" / name for name in names]
    for number, path in enumerate(paths):
        write(path, number)
    return paths


def taken(report: NightReport) -> set[str]:
    return {Path(path).name for path in report.done}


def test_a_file_of_the_future_is_named_each_night_until_its_time_has_passed(tmp_path: Path, nights: Nights) -> None:
    ahead, _ = data(tmp_path, "ahead.fil", "good.fil")
    os.utime(ahead, (nights.now_s + 1.5 * DAY_S,) * 2)
    told = []
    for _ in range(4):
        report = night(tmp_path)
        told.append((taken(report), len(report.left), report.counts["left for the next night"], report.exit_code))
        nights.now_s += DAY_S
    assert told == [({"good.fil"}, 1, 1, 0), (set(), 1, 1, 0), ({"ahead.fil"}, 0, 0, 0), (set(), 0, 0, 0)]


@pytest.mark.parametrize("behind_s", [400 * DAY_S, 4e9 - 1e6])
def test_while_the_clock_is_behind_new_files_are_named_and_taken_once_it_is_right(
    tmp_path: Path, nights: Nights, behind_s: float
) -> None:
    for path in data(tmp_path, "a.fil", "b.fil"):
        os.utime(path, (nights.now_s - DAY_S,) * 2)
    nights.now_s -= behind_s
    report = night(tmp_path)
    assert (taken(report), len(report.left), report.headline) == (set(), 2, "nothing new; 2 files still changing")
    nights.now_s += behind_s
    assert taken(night(tmp_path)) == {"a.fil", "b.fil"}


@pytest.mark.parametrize("lost", ["", "a.fil", "b.fil"])
def test_copies_that_a_killed_night_has_noted_are_no_reason_to_leave_the_scan_out(
    tmp_path: Path, nights: Nights, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    first, *_ = data(tmp_path, "a.fil")
    copy = Path(shutil.copy(first, tmp_path / "data" / "b.fil"))
    night_killed_at("run", tmp_path, monkeypatch)
    manifest = CorpusStore.open(tmp_path / "corpus").manifest()
    assert (manifest.sources, manifest.files[str(copy)].reason) == ({}, Reason.DUPLICATE)
    if lost:
        (tmp_path / "data" / lost).unlink()
    report = night(tmp_path)
    assert (report.exit_code, len(report.new_sources)) == (0, 1)
    assert taken(report) == {"b.fil" if lost == "a.fil" else "a.fil"}


def test_a_file_that_gets_the_name_of_another_is_taken_also_after_a_kill(
    tmp_path: Path, nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first night has committed the windows of the file that had the name before, and published nothing."""
    first, second = data(tmp_path, "a.fil", "b.fil")
    os.rename(second, tmp_path / "b.later")
    night_killed_at("_publish", tmp_path, monkeypatch)
    assert CorpusStore.open(tmp_path / "corpus").manifest().sources == {}
    assert len(list((tmp_path / "corpus" / "sources").iterdir())) == 1
    os.replace(tmp_path / "b.later", first)
    report = night(tmp_path)
    assert (taken(report), report.exit_code, report.after.sources) == ({"a.fil"}, 0, 2)
