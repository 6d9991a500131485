import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.catalogue import FileEntry, Manifest
from pipeline.errors import Reason
from pipeline.filterbank import FoundFile
from pipeline.nightly.due_files import DAY_S, NightRules, next_try_s, select_due
from pipeline.run import Selected

NOW = 2e9


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


def found(file: FoundFile) -> Selected:
    stat = file.path.stat()
    return Selected((file,), (), {str(file.path): (stat.st_size, stat.st_mtime_ns)})


def test_a_file_is_selected_when_it_has_not_changed_for_long_enough(file: FoundFile):
    changed_s = max(file.path.stat().st_mtime, file.path.stat().st_ctime)
    early = select_due(found(file), Manifest(), NightRules(changed_s + 599, 600, 6))
    [report] = early.left
    assert (early.selected.files, early.selected.reports) == ((), ())
    assert (report.status, report.reason) == ("busy", Reason.BUSY)
    assert report.message == (f"{file.path}: changed 599 s ago and may still grow; left for the next night "
                              "(--min-age 0s takes it now)")
    late = select_due(found(file), Manifest(), NightRules(changed_s + 601, 600, 6))
    assert (late.selected, late.left) == (found(file), ())


def test_the_time_of_an_original_makes_a_copy_no_older(file: FoundFile):
    os.utime(file.path, (1e9, 1e9))
    rules = NightRules(file.path.stat().st_ctime + 10, 600, 6)
    assert select_due(found(file), Manifest(), rules).selected.files == ()


def test_a_file_that_grows_meanwhile_is_left(file: FoundFile):
    before = found(file)
    file.path.write_bytes(b"123456")
    rules = NightRules(file.path.stat().st_ctime + 1e6, 600, 6)
    due = select_due(before, Manifest(), rules)
    assert (due.selected.files, len(due.left)) == ((), 1)


@pytest.mark.parametrize(("entry", "retry", "is_selected"), [
    (failed(1, NOW - DAY_S), False, True),
    (failed(2, NOW - DAY_S), False, False),
    (failed(2, NOW - DAY_S), True, True),
    (failed(1, NOW + 400 * DAY_S), False, True),  # the clock was ahead, and was set back
    (failed(6, NOW + 400 * DAY_S), False, False),
    (failed(6, NOW - 99 * DAY_S), False, False),
    (failed(6, NOW - 99 * DAY_S), True, True),
    (failed(1, NOW - 99 * DAY_S, Reason.BAD_HEADER), False, False),
    (failed(1, NOW - 99 * DAY_S, Reason.BAD_HEADER), True, True),
    # ingest knows these by the manifest
    (FileEntry(1, 2, "skipped", Reason.NOT_FILTERBANK, "text"), True, True),
    (FileEntry(1, 2, "done", source_id="s"), True, True),
    (FileEntry(9, 9, "failed", Reason.BAD_HEADER, "before it changed", tries=6), False, True),
])
def test_a_file_that_failed_is_selected_when_it_is_due_or_has_changed(
    file: FoundFile, entry: FileEntry, retry: bool, is_selected: bool
):
    (size, mtime_ns) = found(file).stats[str(file.path)] or (0, 0)
    if entry.size_bytes == 1:
        entry = replace(entry, size_bytes=size, mtime_ns=mtime_ns)
    manifest = Manifest().with_files({str(file.path): entry})
    due = select_due(found(file), manifest, NightRules(NOW, 600, 6, retry))
    assert due.left == ()
    assert due.selected.files == ((file,) if is_selected else ())
    reported = [(report.path, report.status, report.reason, report.message) for report in due.selected.reports]
    assert reported == ([] if is_selected else [(str(file.path), entry.status, entry.reason, entry.message)])


@pytest.mark.parametrize("entry", [
    FileEntry(1, 2, "skipped", Reason.NOT_FILTERBANK, "text"), FileEntry(1, 2, "done", source_id="s")])
def test_a_file_that_is_known_and_may_have_been_moved_of_late_is_not_left(file: FoundFile, entry: FileEntry):
    size, mtime_ns = found(file).stats[str(file.path)] or (0, 0)
    manifest = Manifest().with_files({str(file.path): replace(entry, size_bytes=size, mtime_ns=mtime_ns)})
    due = select_due(found(file), manifest, NightRules(file.path.stat().st_ctime, 600, 6))
    assert (due.selected.files, due.left) == ((file,), ())
