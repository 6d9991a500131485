"""The file of labels beside a corpus. Entries are appended to it, and never changed or deleted.

It lies in the folder ``CORPUS-labels``, which has a lock of its own. So labels can be given while a run writes the
corpus, by several processes. No run touches this folder.

An entry is a line, and counts once its line break is on disk. If a process dies while it appends, the part of a line
at the end of the file was never confirmed to anybody. The next one to append moves it to a file of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pipeline.errors import CorpusDamaged, CorpusLocked, LabelError
from pipeline.labels.entry import (
    Entry,
    Label,
    Undo,
    check_first_line,
    checked,
    entry_of,
    first_line,
    line_of,
    new_id,
    user,
)
from pipeline.labels.in_force import InForce
from pipeline.store import Lease
from pipeline.support.clock import now_s
from pipeline.support.disk_faults import naming
from pipeline.support.durable import make_folder, sync_folder, write_atomic
from pipeline.support.regular_files import read_file, unlike_a_file
from pipeline.support.safe_files import refuse_link
from pipeline.support.text import shown

FILE, LOCK = "labels.jsonl", "lock"
MAX_BYTES = 1 << 28
"""Largest size of the file: about half a million labels."""
WAIT_S = 20.0
"""Longest time for which one process waits while others append."""
_POLL_S = 0.02
_TORN = "torn-"
_E = TypeVar("_E", Label, Undo)
_OPEN = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def labels_folder(root: Path) -> Path:
    """Return the folder of the labels for a corpus, which may not exist: ``CORPUS-labels`` beside it."""
    root = root.absolute()
    return root.with_name(f"{root.name}-labels")


class LabelBook:
    """The labels beside a corpus. Threads may share one, and processes may have one each.

    What other processes append is read at the next call. Reading needs no lock and makes no files.

    Parameters
    ----------
    folder : Path
        See :func:`labels_folder`. It is made by the first label.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        self._mutex = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._entries: list[Entry] = []
        self._file: tuple[int, int] | None = None  # device and inode of the file that was read
        self._end = 0  # bytes of it that were read: whole lines
        self._lines = 0
        self._in_force = InForce(())

    def in_force(self) -> InForce:
        """Return the labels that count.

        Raises
        ------
        LabelError
            The file cannot be read, is damaged, or is no file of labels; the message says what to do.
        """
        with self._mutex:
            self._refresh()
            return self._in_force

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries in their order, undone ones among them. Raises what :meth:`in_force` raises."""
        with self._mutex:
            self._refresh()
            return tuple(self._entries)

    def add(self, labels: Sequence[Label]) -> tuple[Label, ...]:
        """Append labels, durably. Those that say again what a place already has are left out.

        Returns
        -------
        tuple of Label
            The labels that were appended.

        Raises
        ------
        LabelError
            The file or its folder cannot be used.
        CorpusLocked
            Other processes have kept the lock for :data:`WAIT_S`.
        """
        def wanted() -> list[Label]:
            new: dict[object, Label] = {(label.place, label.text): label for label in reversed(labels)}
            return [label for key, label in reversed(new.items()) if key not in self._in_force.said]

        return tuple(self._append(wanted))

    def undo(self, ids: Sequence[str] = (), who: str | None = None) -> Undo:
        """Undo entries, by an entry of its own. Labels no longer count; what an undoing has undone counts again.

        Parameters
        ----------
        ids : sequence of str, optional
            Ids of labels, of acts of labelling or of undoings. Default: what this person did last, unless it is undone.
        who : str, optional
            Default: this user.

        Raises
        ------
        LabelError
            There is no such entry, or there is nothing to undo.
        """
        person = checked(who or user(), "name of a person")

        def wanted() -> list[Undo]:
            return [Undo(new_id(), tuple(ids) or (self._last_act(person),), person, now_s())]

        if lacking := sorted(set(ids) - {name for entry in self.entries() for name in _names(entry)}):
            raise LabelError(f"{self.path}: has no entry {shown(lacking[0])}; list ids with: lookalike labels --csv")
        return self._append(wanted)[0]

    def _last_act(self, who: str) -> str:
        for label in reversed(self._in_force):
            if label.who == who:
                return label.action
        raise LabelError(f"{self.path}: {who} has given no label that is not undone")

    def _append(self, wanted: Callable[[], Sequence[_E]]) -> Sequence[_E]:
        """Append the entries that a function chooses, which is called under the lock, after all others are read."""
        with self._mutex, self._locked():
            self._refresh()
            entries = wanted()
            if entries:
                with self._open_file() as descriptor:
                    self._write(descriptor, entries)
                self._refresh()
            return entries

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make_folder()
        until = time.monotonic() + WAIT_S
        while True:
            try:
                lease = Lease.acquire(self.folder / LOCK)
                break
            except CorpusLocked:
                if time.monotonic() > until:
                    raise
                time.sleep(_POLL_S)
        try:
            yield
        finally:
            lease.release()

    def _make_folder(self) -> None:
        try:
            refuse_link(self.folder)
            make_folder(self.folder)
            foreign = sorted(path.name for path in self.folder.iterdir()
                             if path.name not in (FILE, LOCK) and not path.name.startswith((".", _TORN)))
        except (FileExistsError, NotADirectoryError) as error:
            raise LabelError(f"{self.folder}: is no folder, so no labels can be kept there; move it away") from error
        except CorpusDamaged as error:
            raise LabelError(str(error)) from error
        if foreign and not self.path.exists():
            raise LabelError(f"{self.folder}: holds other things ({shown(foreign[0])}) and no {FILE}; labels belong "
                             "there, so move the folder away")

    @contextmanager
    def _open_file(self) -> Iterator[int]:
        """Open the file for appending. If there is none, make it, with its first line."""
        if not self.path.exists() and not self.path.is_symlink():
            write_atomic(self.path, first_line())
        try:
            descriptor = os.open(self.path, _OPEN)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            if fault := unlike_a_file(os.fstat(descriptor).st_mode):
                raise LabelError(f"{self.path}: {fault}; move it away")
            yield descriptor
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, entries: Sequence[Entry]) -> None:
        content = b"".join(map(line_of, entries))
        self._refresh()
        size = os.fstat(descriptor).st_size
        if self._end + len(content) > MAX_BYTES:
            raise LabelError(f"{self.path}: would have more than {MAX_BYTES:,} bytes; move the folder {self.folder} "
                             "away, and import the labels that you need from a CSV file")
        with naming(self.path):
            if size > self._end:
                write_atomic(self.folder / f"{_TORN}{new_id()}", os.pread(descriptor, size - self._end, self._end))
                os.ftruncate(descriptor, self._end)
            try:
                written = os.write(descriptor, content)
                if written < len(content):  # the disk is full: a second write says so
                    os.write(descriptor, content[written:])
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, self._end)
                raise
        sync_folder(self.folder)

    def _refresh(self) -> None:
        """Read what was appended since the last time."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            self._forget()
            return
        except OSError as error:
            raise self._unusable(error) from error
        if self._file != (found.st_dev, found.st_ino) or found.st_size < self._end:
            self._forget()
        if self._file is not None and found.st_size == self._end:
            return
        try:
            content = read_file(self.path, MAX_BYTES, is_text=False, start=self._end)
        except OSError as error:
            raise self._unusable(error) from error
        whole = content[: content.rfind(b"\n") + 1]
        # the file appears with its first line, so one without is not ours
        self._take(whole.split(b"\n")[:-1] if whole or self._lines else [content[:1000]])
        self._file, self._end = (found.st_dev, found.st_ino), self._end + len(whole)

    def _take(self, lines: Sequence[bytes]) -> None:
        """Read lines that follow those which were read."""
        new = []
        for number, line in enumerate(lines, start=self._lines + 1):
            try:
                if number == 1:
                    check_first_line(line)
                else:
                    new.append(entry_of(line))
            except ValueError as error:
                if number == 1:
                    raise LabelError(f"{self.path}: {error}; move it away") from error
                raise LabelError(f"{self.path}, line {number}: {error}; restore the file from a copy, or delete this "
                                 "line") from error
        self._lines += len(lines)
        if new:
            self._entries += new
            self._in_force = InForce(self._entries)

    def _unusable(self, error: OSError) -> LabelError:
        return LabelError(f"{self.path}: cannot be used as the file of labels ({error.strerror}); move it away, or "
                          "correct its permissions")


def _names(entry: Entry) -> tuple[str, ...]:
    return (entry.id, entry.action) if isinstance(entry, Label) else (entry.id,)
