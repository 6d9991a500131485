import os
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, Reason
from pipeline.filterbank import FoundFile, find_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.fil", "a.h5", "sub/C.HDF5", "sub/deep/d.FIL", "notes.txt", "sub/h5"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "data"


def names(found: list[FoundFile], root: Path) -> list[str]:
    return [str(file.path.relative_to(root)) for file in found]


def test_finds_the_three_suffixes_in_any_case_in_order(tree):
    found, reports = find_files([tree])
    assert names(found, tree) == ["a.h5", "b.fil", "sub/C.HDF5", "sub/deep/d.FIL"]
    assert {file.root for file in found} == {tree}
    assert reports == []


def test_order_does_not_depend_on_the_arguments_and_nothing_comes_twice(tree):
    one = find_files([tree / "sub", tree / "b.fil", tree])[0]
    other = find_files([tree, tree / "b.fil", tree / "sub"])[0]
    assert [file.path for file in one] == [file.path for file in other]
    assert names(one, tree) == ["a.h5", "b.fil", "sub/C.HDF5", "sub/deep/d.FIL"]


def test_paths_are_absolute(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert find_files(["a.h5"])[0] == [FoundFile(tree / "a.h5", tree)]


def test_a_file_given_by_name_is_taken_whatever_its_suffix(tree):
    assert find_files([tree / "notes.txt"])[0] == [FoundFile(tree / "notes.txt", tree)]


def test_an_argument_that_is_not_there_is_refused(tree):
    with pytest.raises(ConfigError, match="nowhere"):
        find_files([tree, tree / "nowhere"])


def test_links_to_files_and_folders_are_followed(tree, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "e.fil").write_bytes(b"x")
    (tree / "linked").symlink_to(outside)
    (tree / "f.h5").symlink_to(tree / "a.h5")
    found, reports = find_files([tree])
    assert names(found, tree) == ["a.h5", "b.fil", "f.h5", "linked/e.fil", "sub/C.HDF5", "sub/deep/d.FIL"]
    assert reports == []


def test_loops_and_dangling_links_are_reported_and_the_walk_goes_on(tree):
    (tree / "sub/up").symlink_to(tree)
    (tree / "sub/above").symlink_to(tree.parent)
    (tree / "self.fil").symlink_to("self.fil")
    (tree / "dangling").symlink_to("gone")
    found, reports = find_files([tree])
    assert names(found, tree) == ["a.h5", "b.fil", "sub/C.HDF5", "sub/deep/d.FIL"]
    assert [Path(report.path).name for report in reports] == ["dangling", "self.fil", "above", "up"]
    assert {report.reason for report in reports} == {Reason.BAD_LINK}
    assert [report.status for report in reports] == ["skipped", "failed", "skipped", "skipped"]
    assert "gone" in reports[0].message


def test_a_broken_link_has_failed_only_if_its_name_is_that_of_a_filterbank_file_or_the_user_names_it(tree):
    for name in ("scan.h5", "notes", "latest.dat"):
        (tree / name).symlink_to("gone")
    statuses = {Path(report.path).name: report.status for report in find_files([tree])[1]}
    assert statuses == {"scan.h5": "failed", "notes": "skipped", "latest.dat": "skipped"}
    [report] = find_files([tree / "notes"])[1]
    assert (report.reason, report.status) == (Reason.BAD_LINK, "failed")


def test_a_folder_that_may_not_be_listed_is_reported_and_the_walk_goes_on(tree, monkeypatch):
    real = os.scandir

    def scandir(folder):
        if Path(folder).name == "sub":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found, reports = find_files([tree])
    assert names(found, tree) == ["a.h5", "b.fil"]
    assert [(report.reason, Path(report.path).name) for report in reports] == [(Reason.PERMISSION, "sub")]


def test_a_pipe_is_no_filterbank(tree):
    os.mkfifo(tree / "pipe.fil")
    reports = find_files([tree])[1]
    assert [(report.reason, report.status) for report in reports] == [(Reason.NOT_FILTERBANK, "skipped")]


def test_odd_names_are_found(tree):
    odd = ["with space.fil", "ünïcode.fil", "line\nbreak.fil", os.fsdecode(b"\xff\xfe.fil")]
    for name in odd:
        (tree / name).write_bytes(b"x")
    found = names(find_files([tree])[0], tree)
    assert set(odd) < set(found)
    assert found == sorted(found, key=os.fsencode)
