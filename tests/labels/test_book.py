"""The file of labels: what is appended is there, for several processes, and nothing hostile is read or overwritten."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorpusLocked, LabelError
from pipeline.labels import Label, LabelBook, Place, book, labels_folder, labels_of
from pipeline.labels.entry import first_line, line_of
from pipeline.model import Window
from pipeline.store import Lease

SCAN = "GBT_59000_10000_DEMO_0123456789"


def window(number: int, *, source: str = SCAN, spectrum: int = 0, channels: int = 256) -> Window:
    first = number * channels
    return Window(source, number, first, first + channels, spectrum, spectrum + 16, 1530 + number * 1e-3,
                  1530 + (number + 1) * 1e-3, 0.0, 292.0, 59_000.25)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return labels_folder(tmp_path / "corpus")


def texts(folder: Path) -> list[tuple[int, str]]:
    return [(label.place.channel_start // 256, label.text) for label in LabelBook(folder).in_force()]


def test_labels_are_kept_beside_the_corpus_and_read_by_others(folder: Path) -> None:
    one, other = LabelBook(folder), LabelBook(folder)
    assert list(other.in_force()) == []
    assert not folder.exists()  # reading makes nothing

    added = one.add(labels_of([window(1), window(2, source=f"{SCAN}+f4")], "comb ", "ann"))

    assert folder.name == "corpus-labels"
    assert [(label.text, label.who, label.source_id) for label in added] == [
        ("comb", "ann", SCAN), ("comb", "ann", f"{SCAN}+f4")]
    assert tuple(other.in_force()) == added == tuple(one.in_force())
    assert len({label.id for label in added}) == 2
    assert len({label.action for label in added}) == 1


def test_the_same_label_is_not_given_twice(folder: Path) -> None:
    labels = LabelBook(folder)
    labels.add(labels_of([window(1), window(1)], "comb"))
    assert labels.add(labels_of([window(1), window(2)], "comb", "ben"))[0].place == Place.of(window(2))
    labels.add(labels_of([window(1)], "line"))
    assert texts(folder) == [(1, "comb"), (2, "comb"), (1, "line")]


def test_undoing_is_an_entry_and_can_be_undone(folder: Path) -> None:
    labels = LabelBook(folder)
    labels.add(labels_of([window(1)], "a", "ann"))
    pair = labels.add(labels_of([window(2), window(3)], "b", "ann"))
    labels.add(labels_of([window(4)], "c", "ben"))

    last = labels.undo(who="ann")  # what she said last: both windows
    assert texts(folder) == [(1, "a"), (4, "c")]
    labels.undo(who="ann")
    assert texts(folder) == [(4, "c")]
    with pytest.raises(LabelError, match="ann has given no label that is not undone"):
        labels.undo(who="ann")
    labels.undo([last.id])
    assert texts(folder) == [(2, "b"), (3, "b"), (4, "c")]
    labels.undo([pair[1].id])
    assert texts(folder) == [(2, "b"), (4, "c")]
    with pytest.raises(LabelError, match="has no entry nothing"):
        labels.undo(["nothing"])
    assert len(LabelBook(folder).entries()) == 8
    assert labels.add([replace(pair[1], id="again")])  # what was undone can be said again


def test_several_processes_and_threads_append_and_no_label_is_lost(folder: Path) -> None:
    script = """if True:
        import sys
        from pathlib import Path
        from tests.labels.test_book import LabelBook, labels_of, window
        labels = LabelBook(Path(sys.argv[1]))
        for i in range(8):
            labels.add(labels_of([window(100 * int(sys.argv[2]) + i)], "x"))
    """
    running = [subprocess.Popen([sys.executable, "-c", script, folder, str(n)], cwd=Path(__file__).parents[2])
               for n in (1, 2)]
    mine = LabelBook(folder)
    threads = [threading.Thread(target=lambda n=n: [mine.add(labels_of([window(100 * n + i)], "x")) for i in range(8)])
               for n in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.wait() for one in running] == [0, 0]
    assert {number for number, _ in texts(folder)} == {100 * n + i for n in (1, 2, 3, 4) for i in range(8)}


def test_whoever_waits_too_long_is_told_who_labels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LabelBook(folder).add(labels_of([window(1)], "x"))
    monkeypatch.setattr(book, "WAIT_S", 0.1)
    lease = Lease.acquire(folder / "lock")
    with pytest.raises(CorpusLocked, match=f"{folder}: locked by process {os.getpid()}"):
        LabelBook(folder).add(labels_of([window(2)], "x"))
    lease.release()
    assert texts(folder) == [(1, "x")]


@pytest.mark.parametrize("tail", [b'{"kind":"label","id', b"\0" * 4096, b"x" * 10])
def test_what_a_killed_writer_left_is_set_aside(folder: Path, tail: bytes) -> None:
    LabelBook(folder).add(labels_of([window(1)], "x"))
    with (folder / "labels.jsonl").open("ab") as file:
        file.write(tail)
    assert texts(folder) == [(1, "x")]  # it was never confirmed
    LabelBook(folder).add(labels_of([window(2)], "x"))
    assert texts(folder) == [(1, "x"), (2, "x")]
    [torn] = folder.glob("torn-*")
    assert torn.read_bytes() == tail


def test_a_full_disk_leaves_the_file_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LabelBook(folder)
    labels.add(labels_of([window(1)], "x"))
    before, write, calls = (folder / "labels.jsonl").read_bytes(), os.write, []

    def full(descriptor: int, content: bytes) -> int:
        if not content.startswith(b'{"kind":"label"') and not calls:
            return write(descriptor, content)
        if calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        calls.append(1)
        return write(descriptor, content[:40])

    monkeypatch.setattr(book.os, "write", full)
    with pytest.raises(OSError, match="No space left") as refused:
        labels.add(labels_of([window(2)], "x"))
    monkeypatch.undo()
    assert refused.value.filename == str(folder / "labels.jsonl")
    assert (folder / "labels.jsonl").read_bytes() == before
    assert labels.add(labels_of([window(2)], "x"))


def _hostile_file(content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "labels.jsonl").write_bytes(content)
    return make


def _fifo(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "labels.jsonl")


def _folder(folder: Path) -> None:
    (folder / "labels.jsonl").mkdir(parents=True)


def _huge(folder: Path) -> None:
    _hostile_file(first_line())(folder)
    os.truncate(folder / "labels.jsonl", 1 << 40)


def _file_for_folder(folder: Path) -> None:
    folder.write_text("mine")


def _line(**changes: object) -> bytes:
    return line_of(replace(labels_of([window(1)], "x", "ann")[0], **changes))


@pytest.mark.parametrize(("make", "words"), [
    (_fifo, "is a pipe, not a file"), (_folder, "is a folder, not a file"), (_huge, "more than 268,435,456"),
    (_file_for_folder, "labels.jsonl: cannot be used as the file of labels"),
    (_hostile_file(b"hello\n"), "its first line is not that of a file of labels"),
    (_hostile_file(b"hello"), "its first line is not that"), (_hostile_file(b""), "its first line is not that"),
    (_hostile_file(first_line().replace(b'"format":1', b'"format":9')), "its first line is not that"),
    (_hostile_file(first_line() + b"{}\n"), "line 2: does not fit its digest"),
    (_hostile_file(first_line() + _line().replace(b"ann", b"bob")), "line 2: does not fit its digest"),
    (_hostile_file(first_line() + first_line()), "line 2: is an entry of an unknown kind"),
    (_hostile_file(first_line() + _line(text="\x1b[31m")), "line 2: '\\\\x1b"),
    (_hostile_file(first_line() + _line(text=7)), "line 2: Expected `str`"),
    (_hostile_file(first_line() + _line(at_s=1e300)), "line 2: Expected `float`"),
    (_hostile_file(first_line() + _line(place=Place(SCAN, "f5", 0, 1, 0, 1))), "line 2: 'f5' is no view"),
    (_hostile_file(first_line() + _line(place=Place(SCAN, "", 1, 1, 0, 1))), "line 2: its channels or spectra are no"),
])
def test_hostile_contents_are_refused_in_words_and_stay(
    folder: Path, make: Callable[[Path], None], words: str
) -> None:
    make(folder)
    for use in (LabelBook.in_force, lambda one: one.add(labels_of([window(1)], "x"))):
        with pytest.raises(LabelError, match=f"^{folder}.*{words}" if use is LabelBook.in_force else f"^{folder}"):
            use(LabelBook(folder))


def test_a_file_of_a_newer_version_is_named_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.labels.entry.FORMAT", 2)
    _hostile_file(first_line())(folder)
    monkeypatch.undo()
    with pytest.raises(LabelError, match="format 2, which a newer version of this program wrote"):
        LabelBook(folder).in_force()


def test_nothing_is_written_through_a_link_or_into_a_foreign_folder(folder: Path, tmp_path: Path) -> None:
    labels = labels_of([window(1)], "x")
    (tmp_path / "other").mkdir()
    folder.symlink_to(tmp_path / "other")
    with pytest.raises(LabelError, match="is a link to"):
        LabelBook(folder).add(labels)
    folder.unlink()
    folder.mkdir()
    (tmp_path / "secret").write_text("mine")
    (folder / "labels.jsonl").symlink_to(tmp_path / "secret")
    with pytest.raises(LabelError, match="its first line is not that"):
        LabelBook(folder).add(labels)
    (tmp_path / "secret").write_bytes(first_line())
    with pytest.raises(LabelError, match="cannot be used as the file of labels"):
        LabelBook(folder).add(labels)
    (folder / "labels.jsonl").unlink()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(LabelError, match=r"holds other things \(thesis.tex\) and no labels.jsonl"):
        LabelBook(folder).add(labels)
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "thesis.tex"]


@pytest.mark.parametrize(("text", "who"), [("", "ann"), ("a\nb", "ann"), ("x" * 201, "ann"), ("x", "a\tb")])
def test_a_text_that_cannot_be_shown_is_refused(text: str, who: str) -> None:
    with pytest.raises(LabelError, match="give 1 to 200 characters on one line"):
        labels_of([window(1)], text, who)


def test_a_file_that_was_replaced_is_read_again(folder: Path) -> None:
    labels = LabelBook(folder)
    labels.add(labels_of([window(1), window(2)], "x"))
    copy = (folder / "labels.jsonl").read_bytes()
    labels.add(labels_of([window(3)], "y"))
    assert len(labels.in_force()) == 3
    (folder / "restored").write_bytes(copy)
    os.replace(folder / "restored", folder / "labels.jsonl")
    assert [label.text for label in labels.in_force()] == ["x", "x"]


def test_a_place_has_the_labels_that_share_most_of_the_smaller_one(folder: Path) -> None:
    """Compared with sets of pixels."""
    rng = np.random.default_rng(0)

    def place() -> Place:
        c, s = rng.integers(0, 24, 2).tolist()
        return Place(SCAN, "", c, c + int(rng.integers(1, 12)), s, s + int(rng.integers(1, 12)))

    def pixels(one: Place) -> set[tuple[int, int]]:
        return {(c, s) for c in range(one.channel_start, one.channel_stop)
                for s in range(one.spectrum_start, one.spectrum_stop)}

    given = [replace(labels_of([window(1)], f"label {i}")[0], place=place()) for i in range(60)]
    given.append(replace(given[0], place=replace(given[0].place, view="f4"), text="of another view"))
    labels = LabelBook(folder)
    labels.add(given)
    found = 0
    for _ in range(60):
        asked = place()
        at = {label.text for label in labels.in_force().at(asked)}
        assert at == {label.text for label in given if not label.place.view and 2 * len(
            pixels(label.place) & pixels(asked)) > min(label.place.pixels, asked.pixels)}
        found += len(at)
    assert found > 60


def test_texts_are_found_in_any_case_and_counted(folder: Path) -> None:
    labels = LabelBook(folder)
    labels.add([*labels_of([window(i) for i in range(3)], "Comb"), *labels_of([window(9)], "line")])
    assert [label.place.channel_start // 256 for label in labels.in_force().with_text(" comb")] == [0, 1, 2]
    assert labels.in_force().texts() == {"Comb": 3, "line": 1}
    assert all(isinstance(label, Label) for label in labels.in_force())
