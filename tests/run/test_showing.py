"""Progress of a run: it is shown in a notebook, and in a script only if the script asks for it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.run import Progress, ingest
from pipeline.run.progress import showing
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
