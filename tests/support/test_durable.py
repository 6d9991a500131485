import errno
import os
from pathlib import Path

import pytest

from pipeline.support import durable
from pipeline.support.durable import atomic_file, make_folder, publish_folder, publish_folders, write_atomic


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the paths that are forced to disk, and the renames among them, in order."""
    events: list[str] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def recorded_fsync(descriptor: int) -> None:
        events.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def recorded_replace(source: Path, target: Path) -> None:
        events.append(f"-> {target}")
        replace(source, target)

    def recorded_rename(source: Path, target: Path) -> None:
        events.append(f"-> {target}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    monkeypatch.setattr(os, "rename", recorded_rename)
    return events


def test_write_atomic_flushes_the_file_renames_and_flushes_the_folder(tmp_path: Path, synced: list[str]):
    path = tmp_path / "CURRENT"
    write_atomic(path, b"1")
    write_atomic(path, b"22")
    assert path.read_bytes() == b"22"
    temporary, *rest = synced[3:]
    assert Path(temporary).parent == tmp_path
    assert temporary.endswith(".tmp")
    assert rest == [f"-> {path}", str(tmp_path)]
    assert [p.name for p in tmp_path.iterdir()] == ["CURRENT"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fill_half() -> None:
        with atomic_file(path) as file:
            file.write(b"half of the n")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_half()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_every_file_and_folder_is_flushed_before_the_rename_and_the_parent_after(tmp_path: Path, synced: list[str]):
    staged, final = tmp_path / "staging", tmp_path / "sources" / "x"
    (staged / "a" / "b").mkdir(parents=True)
    final.parent.mkdir()
    for name in ("top", "a/middle", "a/b/leaf"):
        (staged / name).write_text(name)
    publish_folder(staged, final)
    inside = {str(staged / name) for name in ("", "top", "a", "a/middle", "a/b", "a/b/leaf")}
    assert (set(synced[:6]), synced[6:]) == (inside, [f"-> {final}", str(final.parent)])
    assert (final / "a/b/leaf").read_text() == "a/b/leaf"


@pytest.mark.parametrize("most", [2, 16])
def test_folders_that_are_published_together_fail_alone(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch, most: int
):
    monkeypatch.setattr(durable, "MAX_FLUSHES", most)  # with few threads, one of them flushes all of a folder
    pairs = [(tmp_path / "staging" / name, tmp_path / "sources" / name) for name in ("one", "theirs", "gone", "two")]
    for staged, final in pairs:
        if staged.name != "gone":
            staged.mkdir(parents=True)
            (staged / "data").write_text("mine")
        final.parent.mkdir(exist_ok=True)
    (tmp_path / "sources" / "theirs").mkdir()
    (tmp_path / "sources" / "theirs" / "data").write_text("theirs")
    errors = publish_folders(pairs, also=[tmp_path])
    assert [type(error) for error in errors] == [type(None), FileExistsError, FileNotFoundError, type(None)]
    assert {path.parent.name: path.read_text() for path in (tmp_path / "sources").rglob("data")} == {
        "one": "mine", "two": "mine", "theirs": "theirs"}
    assert synced[-2:] == [str(tmp_path), str(tmp_path / "sources")]
    for staged, final in (pairs[0], pairs[3]):
        assert {synced.index(str(staged)), synced.index(str(staged / "data"))} <= set(
            range(synced.index(f"-> {final}")))


def test_publish_folder_never_replaces_what_is_there(tmp_path: Path):
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_text(name)
    with pytest.raises(FileExistsError, match="theirs"):
        publish_folder(tmp_path / "mine", tmp_path / "theirs")
    assert (tmp_path / "theirs" / "data").read_text() == "theirs"
    assert (tmp_path / "mine" / "data").read_text() == "mine"


def test_make_folder_flushes_each_new_name(tmp_path: Path, synced: list[str]):
    make_folder(tmp_path / "a" / "b")
    assert synced == [str(tmp_path), str(tmp_path / "a")]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_an_error_of_the_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/report\.html'") as caught:
        write_atomic(tmp_path / "report.html", b"x")
    assert caught.value.filename == str(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
