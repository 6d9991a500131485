"""Progress of a run: it is shown in a notebook, and in a script only if the script asks for it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.run import Progress, Tracker, ingest
from pipeline.run.progress import COMPILING, showing
from pipeline.support.progress_line import NOTEBOOK_COLUMNS
from tests.run.small import archive, config

SNAPSHOT = Progress(stage="probe", files=9, files_done=4, parts=0, parts_done=0, windows_seen=0, windows_kept=0,
                    bytes_decoded=0, elapsed_s=1.0)


def in_ipython(monkeypatch: pytest.MonkeyPatch, **shell: object) -> None:
    """Pretend that this process is a shell of IPython, with a kernel if it is a notebook."""
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(**shell)))


def shown(progress: object, capsys: pytest.CaptureFixture[str]) -> str:
    with showing(progress) as listener:  # type: ignore[arg-type]
        if listener is not None:
            listener(SNAPSHOT)
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_a_script_shows_nothing_unless_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.support.progress_line.LINE_INTERVAL_S", 0.0)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert shown(None, capsys) == shown(False, capsys) == ""
    assert shown(True, capsys).startswith("probe: 4/9 files")
    in_ipython(monkeypatch)  # a terminal's shell, which has no kernel
    assert shown(None, capsys) == ""


def test_a_notebook_shows_one_line_and_clears_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_ipython(monkeypatch, kernel=object())
    clear = f"\r{' ' * (NOTEBOOK_COLUMNS - 1)}\r"
    assert shown(None, capsys) == shown(True, capsys)
    assert shown(None, capsys).startswith(f"{clear}probe [#####.......] 4/9 files")
    assert shown(None, capsys).endswith(clear)
    assert shown(False, capsys) == ""


def test_a_callable_gets_the_snapshots(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    in_ipython(monkeypatch, kernel=object())
    got: list[Progress] = []
    assert shown(got.append, capsys) == ""
    assert got == [SNAPSHOT]


def test_a_run_shows_its_progress_and_clears_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_ipython(monkeypatch, kernel=object())
    data = archive(tmp_path / "data", 1)
    ingest([data], tmp_path / "corpus", config=config(), dry_run=True)
    said = capsys.readouterr().err
    assert "probe [" in said
    assert said.endswith("\r")
    assert ingest([data], tmp_path / "corpus", config=config(), dry_run=True, progress=False)
    assert capsys.readouterr().err == ""


def test_a_first_scan_says_once_that_code_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive(tmp_path / "data", 1)
    for is_compiled in (False, True):
        monkeypatch.setattr(sys.modules["pipeline.run.ingest"], "is_compiled", lambda found=is_compiled: found)
        seen: list[Progress] = []
        ingest([data], tmp_path / str(is_compiled), config=config(), serial=True, progress=seen.append)
        notes = {(one.stage, one.note) for one in seen}
        assert (("scan", COMPILING) in notes) is not is_compiled
        assert {stage for stage, note in notes if note} <= {"scan"}


def test_the_time_left_is_that_of_the_work_without_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, seen = [1000.0], list[Progress]()
    monkeypatch.setattr("pipeline.run.progress.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    tracker = Tracker(seen.append, began=1000.0)
    tracker.enter("probe", 40, 10)
    for clock[0], done in ((1060.0, 20), (1061.0, 25), (1064.0, 40)):  # a minute for the start, then 5 files a second
        tracker.files_done = done
        tracker.tell(force=True)
    assert [one.left_s for one in seen] == [None, None, 3.0, 0.0]
    tracker.enter("scan", 4)
    tracker.parts = 9
    for clock[0], done in ((1164.0, 1), (1164.1, 3), (1168.0, 5)):
        tracker.parts_done = done
        tracker.tell()
    assert [one.left_s for one in seen[4:]] == [None, None, 4.0], "the second comes too early to be shown"
