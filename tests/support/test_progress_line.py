"""Progress, as a line of text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.run import Progress
from pipeline.support import progress_line as progress
from pipeline.support.progress_line import CLEAR, Show, duration
from tests.cli.conftest import on_a_terminal

SCAN = Progress(stage="scan", files=9400, files_done=1234, parts=188_000, parts_done=47_000, windows_seen=3_000_000_000,
                windows_kept=60_000_000, bytes_decoded=48_000_000_000_000, elapsed_s=40_000.0, first_done=7_000,
                first_s=8_000.0)
EMBED = Progress("embed", 9400, 1234, 60_000, 15_000, 0, 0, 0, 1000.0, windows_embedded=2_000_000, first_done=2_500,
                 first_s=200.0)
TEXT = "1,234/9,400 files, 31 h 20 min left, 75,000 windows/s, 1,200 MB/s, 2.00 % kept"


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (3600, "1 h 0 min"), (7800, "2 h 10 min"),
    (360_000, "100 h 0 min"),
])
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, *snapshots: Progress) -> str:
    def show_all() -> None:
        show = Show()
        for snapshot in snapshots:
            show(snapshot)
        show.close()

    return on_a_terminal(monkeypatch, show_all, columns)


def test_a_terminal_has_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = replace(SCAN, stage="probe", files_done=0, windows_seen=0)
    assert shown_on_a_terminal(monkeypatch, 200, probe, SCAN) == (
        f"{CLEAR}probe [............] 0/9,400 files{CLEAR}scan [###.........] {TEXT}{CLEAR}")


def test_a_line_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, expected in ((40, 39), (80, 79), (0, 79)):
        _, line, last = shown_on_a_terminal(monkeypatch, columns, SCAN).split(CLEAR)
        assert (len(line), last) == (expected, "")


def test_embedding_counts_sources_and_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_on_a_terminal(monkeypatch, 200, EMBED) == (
        f"{CLEAR}embed [###.........] 1,234/9,400 sources, 48 min 0 s left, 2,000 windows/s{CLEAR}")


@pytest.mark.parametrize("columns", [0, 80], ids=["elsewhere", "terminal"])
def test_a_note_is_shown_once_as_a_line_that_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    begun = Progress("scan", 3, 0, 9, 0, 0, 0, 0, 0.0, note="compiling, once")
    snapshots = (begun, replace(begun, parts_done=1), replace(begun, stage="embed", note=""))
    if columns:
        said = shown_on_a_terminal(monkeypatch, columns, *snapshots)
        assert said.startswith(f"{CLEAR}compiling, once\r\n{CLEAR}scan [")
    else:
        show = Show()
        for snapshot in snapshots:
            show(snapshot)
        said = capsys.readouterr().err
        assert said == "compiling, once\n"
    assert said.count("compiling") == 1


def test_elsewhere_lines_are_rare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    show = Show()
    for clock[0] in (1000.0, 1029.0, 1030.0, 1031.0, 1059.0, 1061.0):
        show(SCAN)
    show.close()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"scan: {TEXT}\n" * 2)


def test_nothing_to_do_is_no_division_by_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Progress("scan", 0, 0, 0, 0, 0, 0, 0, 0.0)
    assert shown_on_a_terminal(monkeypatch, 80, nothing) == f"{CLEAR}scan [............] 0/0 files{CLEAR}"
