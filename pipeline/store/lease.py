"""One writer a corpus: a lease that its holder keeps up with a heartbeat, and a successor takes over when it is dead.

The folder ``lock`` holds leases, files with ascending numbers. The highest counts. It is free once its holder has
written so into it, or is dead:

- on this machine, when there is no such process any more (its number may have been given to another one, so its start
  is compared, too): at once;
- elsewhere, when it has not touched its file for :data:`EXPIRY_S`. What the time is says the file system, whose clock
  dates both that file and the one with which it is compared: clocks of two machines are never compared.

Exactly one of several contenders succeeds lease n: whoever links a file of its own, complete as it is, to the name
n + 1, which a file system lets only one do. A contender that slept meanwhile may find that name free again, as leases
are deleted once they have a successor; but they are deleted in ascending order, so lease n is then gone as well. Hence
it looks for lease n *after* it has linked n + 1, and where that is gone, starts over.

A holder that slept until it was succeeded must not write any more. :meth:`Lease.require` tells: there is no lease
n + 1, and then, in this order, n is still there. (Were n + 1 missing as it has been deleted, n would be, too.) It is
asked before each step that alters what others see. What a holder does within the blink between asking and doing,
should it sleep right there for minutes, no file system can prevent.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from pipeline.durable import drop_temporary
from pipeline.errors import CorpusDamaged, CorpusLocked, RunError
from pipeline.safe import refuse_link, remove_file
from pipeline.store.door import NUMBER, TEMPORARY
from pipeline.text import shown

HEARTBEAT_S = 10.0
"""How often a holder touches its lease."""
EXPIRY_S = 120.0
"""After how long without a touch the holder, on another machine, counts as dead."""
RELEASED = b"released"
LAST = 10**18 - 1
"""The largest number of a lease."""
LONGEST_COMMAND = 200
TEMPORARY_SUFFIX = ".tmp"


class Lease:
    """The right to write, from :meth:`acquire` to :meth:`release`, unless another process takes it over."""

    def __init__(self, folder: Path, number: int, descriptor: int, heartbeat_s: float) -> None:
        self._folder, self._number, self._descriptor = folder, number, descriptor
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, args=(heartbeat_s,), name="lease", daemon=True)
        self._heart.start()

    @classmethod
    def acquire(cls, folder: Path, *, heartbeat_s: float | None = None, expiry_s: float | None = None) -> Self:
        """Take the lease in ``folder``, which is made if need be.

        Parameters
        ----------
        folder : path
            A file of this name is the lock of earlier versions: it gives way unless one of these holds it.
        heartbeat_s, expiry_s : float, optional
            Default :data:`HEARTBEAT_S` and :data:`EXPIRY_S`; whoever shares a corpus must agree on them.

        Raises
        ------
        CorpusLocked
            A live process holds it; the message says which, where, since when, and with which command.
        RunError
            The file system has no hard links.
        """
        expiry_s = EXPIRY_S if expiry_s is None else expiry_s
        _make_folder(folder)
        temporary = folder / f".{uuid4().hex}{TEMPORARY_SUFFIX}"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            try:
                os.write(descriptor, json.dumps(_signature()).encode())
                before = _succeed(folder, temporary, descriptor, expiry_s)
            finally:
                drop_temporary(temporary)
            _clean(folder, before + 1, descriptor, expiry_s)
        except BaseException:
            os.pwrite(descriptor, RELEASED, 0)  # it may be the lease by now
            os.close(descriptor)
            raise
        return cls(folder, before + 1, descriptor, HEARTBEAT_S if heartbeat_s is None else heartbeat_s)

    def require(self) -> None:
        """Raise :class:`CorpusLocked` if another process has taken the lease over."""
        successor = _Seen.of(self._folder, self._number + 1)
        mine = _Seen.of(self._folder, self._number)
        if successor is None and mine is not None and os.path.samestat(mine.stat, os.fstat(self._descriptor)):
            return
        by = f" by {successor.holder}" if successor is not None and successor.record else ""
        raise CorpusLocked(f"{self._folder.parent}: its lock was taken over{by}, as this run had not stirred for long; "
                           "nothing more is written, and what was committed before stays; run again")

    def release(self) -> None:
        """Give the lease back. One that has been taken over is left as it is."""
        self._stop.set()
        self._heart.join()
        os.pwrite(self._descriptor, RELEASED, 0)  # into its own file, wherever that is by now
        os.close(self._descriptor)

    def _beat(self, heartbeat_s: float) -> None:
        while not self._stop.wait(heartbeat_s):
            with suppress(OSError):  # of a file system that is away: it is touched when it is back
                os.utime(self._descriptor)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A lease as it was found."""

    stat: os.stat_result
    content: bytes

    @classmethod
    def of(cls, folder: Path, number: int) -> Self | None:
        """Read a lease, None where it is not there. Opened, not merely asked for: so NFS asks its server."""
        path = _path(folder, number)
        try:  # what is no file is not waited for, as a pipe would be
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
            raise _no_lease(path) from error
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            os.close(descriptor)
            raise _no_lease(path)
        with open(descriptor, "rb") as file:
            return cls(seen, file.read())

    @property
    def is_released(self) -> bool:
        return self.content.startswith(RELEASED)

    @property
    def record(self) -> dict[str, Any]:
        """What its holder says of itself; nothing where a power cut has left nothing of it."""
        try:
            record = json.loads(self.content)
            return record if isinstance(record, dict) else {}
        except ValueError:
            return {}

    @property
    def holder(self) -> str:
        """The holder, in words."""
        return _in_words(self.record)


def _require_free(folder: Path, number: int, mine: int, expiry_s: float) -> None:
    """Raise :class:`CorpusLocked` while the holder of a lease lives; ``mine`` is a file in the same folder."""
    seen = _Seen.of(folder, number)
    if seen is None or seen.is_released:
        return
    record, age = seen.record, ""
    try:
        is_here = record["place"] == _place()
        is_dead = is_here and not _is_alive(record["pid"], record["started"])
    except (KeyError, TypeError):
        is_here = is_dead = False
    if not is_here:
        os.utime(mine)  # dated by the file system, as the lease was
        age_s = os.fstat(mine).st_mtime - seen.stat.st_mtime
        is_dead = age_s > expiry_s
        age = f", last heard of {max(0.0, age_s):.0f} s ago"
    if not is_dead:
        raise CorpusLocked(f"{folder.parent}: locked by {seen.holder}{age}; wait for it, or stop it")


def _succeed(folder: Path, temporary: Path, mine: int, expiry_s: float) -> int:
    """Make a file, open as ``mine``, the lease after the one that counts, and return that one's number; 0 for none."""
    while True:  # each round but the last, another process has got on
        before = max(_numbers(folder), default=0)
        if before >= LAST:
            raise CorpusDamaged(f"{_path(folder, before)}: no lock can follow one of this number; delete the file")
        if before:
            _require_free(folder, before, mine, expiry_s)
        os.utime(mine)
        if _claim(folder, temporary, before):
            return before


def _claim(folder: Path, temporary: Path, before: int) -> bool:
    """Try to succeed lease ``before``; False where another process was faster, at whatever time."""
    mine = _path(folder, before + 1)
    try:
        os.link(temporary, mine)
    except FileExistsError:
        return False
    except FileNotFoundError as error:
        if folder.is_dir():  # this process slept so long that its file was cleared away
            raise RunError(f"{folder}: this run slept while it was starting; run it again") from error
        raise
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise RunError(f"{folder}: the file system has no hard links ({error.strerror}), which locking needs; "
                           "put the corpus on another one") from error
        raise
    if max(_numbers(folder), default=0) == before + 1 and (before == 0 or _Seen.of(folder, before) is not None):
        return True
    remove_file(folder, mine)
    return False


def _clean(folder: Path, held: int, mine: int, expiry_s: float) -> None:
    """Delete the leases before the one held, in ascending order, and old files of contenders that were killed."""
    for number in _numbers(folder):
        if number < held:
            remove_file(folder, _path(folder, number))
    now = os.fstat(mine).st_mtime
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        with suppress(FileNotFoundError):
            if TEMPORARY.fullmatch(path.name) and now - path.lstat().st_mtime > expiry_s:
                remove_file(folder, path)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}"


def _numbers(folder: Path) -> list[int]:
    """List the leases. Only names that :func:`_path` gives are theirs: ``5`` is somebody else's file."""
    return sorted(int(name) for name in os.listdir(folder) if NUMBER.fullmatch(name))


def _no_lease(path: Path) -> CorpusDamaged:
    return CorpusDamaged(f"{path}: is a link, a folder or a pipe where a lock should be; move it out of the corpus")


def _make_folder(folder: Path) -> None:
    """Make the folder; a file in its place, the lock of earlier versions, is removed unless one of these holds it."""
    refuse_link(folder)
    while not folder.is_dir():
        try:
            folder.mkdir()
        except FileExistsError:
            with suppress(FileNotFoundError, IsADirectoryError):  # another process was faster
                _remove_flock(folder)


def _remove_flock(path: Path) -> None:
    refuse_link(path)
    if path.exists() and not path.is_file():
        raise _no_lease(path)
    with open(path, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            try:
                holder = _in_words(json.loads(file.read()))
            except (ValueError, AttributeError):
                holder = _in_words({})
            raise CorpusLocked(f"{path.parent}: locked by {holder}, an earlier version of the program; wait for it, "
                               "or stop it") from error
        remove_file(path.parent, path)


def _signature() -> dict[str, Any]:
    """What a holder says of itself."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "command": command[:LONGEST_COMMAND], "place": _place(), "started": (_stat(os.getpid()) or ("", ""))[1]}


def _in_words(record: dict[str, Any]) -> str:
    if not {"pid", "host", "since"} <= record.keys():
        return "another process"
    command = f" ({shown(record['command'])})" if record.get("command") else ""
    return shown(f"process {record['pid']} on {record['host']} since {record['since']}") + command


@cache
def _place() -> str:
    """Where process numbers mean the same: this start of this machine, and this container's processes."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # a system without /proc
        return socket.gethostname()


def _is_alive(pid: int, started: str) -> bool:
    """Tell whether a process of this place, which began at ``started``, still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    seen = _stat(pid)
    return seen is None or (seen[0] not in "ZX" and seen[1] == started)


def _stat(pid: int) -> tuple[str, str] | None:
    """State and start of a process, in ticks after the machine's; None where that is not to be seen."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]
