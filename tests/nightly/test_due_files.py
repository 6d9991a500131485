import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.nightly.due_files import DAY_S, Choice, next_try_s

NOW = 2e9
Look = Callable[..., tuple[list[str], list[str]]]


def failed(tries: int, tried_s: float, reason: Reason = Reason.TRUNCATED) -> FileEntry:
    return FileEntry(1, 2, "failed", reason, "bad", tries=tries, tried_s=tried_s, since_s=tried_s)


@pytest.mark.parametrize(("tries", "nights"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16)])
def test_a_file_that_fails_rests_longer_each_time(tries: int, nights: int):
    for night in range(1, 33):
        at_s = next_try_s(failed(tries, NOW), tries=6)
        assert at_s is not None
        # each night begins an hour earlier or later than the last
        for shift_s in (-3600, 0, 3600):
            assert (NOW + night * DAY_S + shift_s >= at_s) == (night >= nights)


def test_after_the_last_try_it_is_left_alone_and_so_is_what_cannot_heal():
    assert next_try_s(failed(6, NOW), tries=6) is None
    assert next_try_s(failed(5, NOW), tries=5) is None
    assert next_try_s(failed(1, NOW, Reason.BAD_HEADER), tries=6) is None


@pytest.fixture
def file(tmp_path: Path) -> FoundFile:
    path = tmp_path / "scan.h5"
    path.write_bytes(b"12345")
    return FoundFile(path, tmp_path)


def stat_of(file: FoundFile) -> tuple[int, int]:
    return file.path.stat().st_size, file.path.stat().st_mtime_ns


def test_a_file_is_taken_when_it_has_lain_still(file: FoundFile):
    changed_s = max(file.path.stat().st_mtime, file.path.stat().st_ctime)
    early = Choice(changed_s + 599, 600, 6)
    chosen, [report] = early.split([file], [stat_of(file)], Manifest())
    assert (chosen, early.taken, early.left) == ([], set(), [report])
    assert (report.status, report.reason) == ("busy", Reason.BUSY)
    assert report.message == f"{file.path}: changed 599 s ago; left for the next night"
    late = Choice(changed_s + 601, 600, 6)
    assert late.split([file], [stat_of(file)], Manifest()) == ([file], [])
    assert late.taken == {str(file.path)}


def test_the_time_of_an_original_makes_a_copy_no_older(file: FoundFile):
    os.utime(file.path, (1e9, 1e9))
    choice = Choice(file.path.stat().st_ctime + 10, 600, 6)
    assert choice.split([file], [stat_of(file)], Manifest())[0] == []


def test_a_file_that_grows_meanwhile_is_left(file: FoundFile):
    before = stat_of(file)
    file.path.write_bytes(b"123456")
    choice = Choice(file.path.stat().st_ctime + 1e6, 600, 6)
    assert choice.split([file], [before], Manifest())[0] == []


@pytest.mark.parametrize(("entry", "retry", "is_taken"), [
    (failed(1, NOW - DAY_S), False, True),
    (failed(2, NOW - DAY_S), False, False),
    (failed(2, NOW - DAY_S), True, True),
    (failed(6, NOW - 99 * DAY_S), False, False),
    (failed(6, NOW - 99 * DAY_S), True, True),
    (failed(1, NOW - 99 * DAY_S, Reason.BAD_HEADER), False, False),
    (failed(1, NOW - 99 * DAY_S, Reason.BAD_HEADER), True, True),
    (FileEntry(1, 2, "skipped", Reason.NOT_FILTERBANK, "text"), True, False),
    (FileEntry(1, 2, "done", source_id="s"), True, False),
    (FileEntry(9, 9, "failed", Reason.BAD_HEADER, "before it changed", tries=6), False, True),
])
def test_what_failed_is_tried_when_it_is_due_or_has_changed(
    file: FoundFile, entry: FileEntry, retry: bool, is_taken: bool
):
    size, mtime_ns = stat_of(file)
    if entry.size_bytes == 1:
        entry = FileEntry(**{**{name: getattr(entry, name) for name in entry.__slots__},
                             "size_bytes": size, "mtime_ns": mtime_ns})
    choice = Choice(NOW, 600, 6, retry)
    chosen, known = choice.split([file], [(size, mtime_ns)], Manifest().with_files({str(file.path): entry}))
    assert (chosen == [file]) == is_taken
    assert len(known) == (not is_taken)
