"""Runs in a forked process that ends at its n-th change of the disk, as by SIGKILL or by a power cut.

``python -m tests.machine.forked`` reads one order a line (:func:`tests.cluster.deaths.serve`). A *change* is a file
opened for writing, a name that is made, moved or deleted, or an fsync. A power cut is imitated as follows. This is what
POSIX and file systems with a journal leave:

- A file that was written, and not synced, is empty.
- Names change in order. Those changes persist that came before the last sync of a folder concerned, and some of the
  later ones. The rest is undone, latest first.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.deaths import serve

LEASES = ("/lock/", "/.lock/")
"""Folders whose content a power cut leaves. Leases may be lost, too. But then only time could tell
that their holder is dead."""
_WRITES = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class _Name:
    """A change of a name that is not known to be on disk."""

    folder: str
    undo: Callable[[], None]


class Changes:
    """Counts the changes that this process makes below a folder, and ends the process at a chosen one.

    Parameters
    ----------
    below
        Folder whose changes count.
    when
        Number of the change at which the process ends, before it is made; 0 for never.
    effect
        ``KILL``, or ``POWER`` for a power cut.
    persist
        Share of the latest changes of names that a power cut leaves.
    """

    def __init__(self, below: Path, when: int, effect: str, persist: float) -> None:
        self._below, self._when, self._effect, self._persist = f"{below}/", when, effect, persist
        self._count = itertools.count(1)
        self._unsynced: set[str] = set()
        self._names: list[_Name] = []
        self._is_over = False
        self._one_at_a_time = threading.RLock()  # the files of a folder are flushed by several threads
        self.made = 0

    def watch(self) -> None:
        """Watch this process from now on."""
        os.fsync = self._synced  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        handle = _EVENTS.get(event)
        if handle is not None and not self._is_over:
            with self._one_at_a_time:
                handle(self, *arguments)

    def _counts(self, *paths: str) -> bool:
        """Count a change; end this process if it is the chosen one. Return False if it is not below the folder."""
        if not any(path.startswith(self._below) for path in paths):
            return False
        self.made = next(self._count)
        if self.made == self._when:
            self.cut()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._effect == "POWER" and not any(name in path for path in paths for name in LEASES)

    def _opened(self, path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, int) or not flags & _WRITES:
            return
        name = _absolute(path, -1)
        if self._counts(name):
            if not os.path.exists(name):
                self._names.append(_Name(os.path.dirname(name), lambda: _delete(name)))
            self._unsynced.add(name)

    def _made_folder(self, path: Any, mode: int, folder: int) -> None:
        name = _absolute(path, folder)
        if self._counts(name) and not os.path.exists(name):
            self._names.append(_Name(os.path.dirname(name), lambda: _delete(name)))

    def _moved(self, source: Any, target: Any, source_folder: int, target_folder: int) -> None:
        old, new = _absolute(source, source_folder), _absolute(target, target_folder)
        if not self._counts(old, new):
            return
        before = Path(new).read_bytes() if os.path.isfile(new) else None
        inside = f"{old}/"
        moved = {path for path in self._unsynced if path == old or path.startswith(inside)}
        self._unsynced = (self._unsynced - moved - {new}) | {new + path[len(old):] for path in moved}

        def undo() -> None:
            with suppress(FileNotFoundError):
                os.rename(new, old)
            if before is not None:
                Path(new).write_bytes(before)

        self._names.append(_Name(os.path.dirname(new), undo))

    def _linked(self, source: Any, target: Any, source_folder: int, target_folder: int) -> None:
        new = _absolute(target, target_folder)
        if self._counts(new):
            self._names.append(_Name(os.path.dirname(new), lambda: _delete(new)))

    def _deleted(self, path: Any, folder: int) -> None:
        name = _absolute(path, folder)
        if self._counts(name) and os.path.lexists(name):
            content = None if os.path.isdir(name) else Path(name).read_bytes()
            self._names.append(_Name(os.path.dirname(name), lambda: _restore(name, content)))
            self._unsynced.discard(name)

    def _synced(self, descriptor: int) -> None:
        """Stand in for ``os.fsync``. Nothing is synced: the machine goes on."""
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        with self._one_at_a_time:
            if self._counts(name, f"{name}/"):
                self._unsynced.discard(name)
                of_folder = [i for i, change in enumerate(self._names) if change.folder == name]
                del self._names[: max(of_folder, default=-1) + 1]

    def cut(self) -> None:
        """Leave on disk what a power cut leaves; do nothing if there is to be none."""
        self._is_over = True
        for path in self._unsynced:
            with suppress(FileNotFoundError):
                os.truncate(path, 0)
        for change in reversed(self._names[round(len(self._names) * self._persist):]):
            with suppress(FileNotFoundError, FileExistsError, NotADirectoryError):
                change.undo()


_EVENTS: dict[str, Callable[..., None]] = {
    "open": Changes._opened, "os.mkdir": Changes._made_folder, "os.rename": Changes._moved, "os.link": Changes._linked,
    "os.remove": Changes._deleted, "os.rmdir": Changes._deleted,
}


def _absolute(path: Any, folder: int) -> str:
    """Return the absolute path of an argument of a system call; ``folder`` is a descriptor, or −1."""
    name = os.fsdecode(path)
    return name if os.path.isabs(name) else os.path.join(
        os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd(), name)


def _delete(name: str) -> None:
    if os.path.isdir(name) and not os.path.islink(name):
        shutil.rmtree(name)
    else:
        os.unlink(name)


def _restore(name: str, content: bytes | None) -> None:
    if content is None:
        os.mkdir(name)
    else:
        Path(name).write_bytes(content)


def _child(order: dict[str, Any], told: int) -> None:
    """Do what an order says, and end this process."""
    from tests.machine.works import Place, perform

    changes = Changes(Path(order["folder"]), order["when"], order["effect"], order["persist"])
    error, status = "", 0
    changes.watch()
    try:
        perform(order["work"], Place(Path(order["folder"])), order["now_s"], **order["details"])
    except Exception as raised:
        error, status = f"{type(raised).__name__}: {raised}", 1
    changes.cut()  # whatever a run has reported must survive a power cut
    os.write(told, json.dumps({"calls": {"change": changes.made}, "error": error}).encode())
    os._exit(status)


def _warm_up() -> None:
    """Load and compile what runs need, without Zarr, whose threads would not survive a fork."""
    import zarr  # noqa: F401

    import pipeline.integrity
    import pipeline.nightly  # noqa: F401
    from pipeline.filterbank import FoundFile
    from pipeline.tasks import probe
    from tests.machine import works
    from tests.machine.scans import CONFIG, write
    from tests.run import fake

    fake.register()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "0.fil")
        write(path, 0)
        works.scan_without_store(probe(FoundFile(path, path.parent), CONFIG.scan), Path(folder))


if __name__ == "__main__":
    _warm_up()
    serve(_child)
