"""The lock of a corpus: a lease that its holder renews, and that another process takes over if the holder is dead.

The folder ``lock`` holds leases: files with ascending numbers. Only the highest counts. It is free if its holder wrote
``released`` into it, or if the holder is dead:

- A holder on this machine is dead as soon as its process does not exist. Process numbers are used again, so the start
  time of the process is compared, too.
- A holder elsewhere is dead if it has not touched its file for :data:`EXPIRY_S`. The file system dates both this file
  and the file that it is compared with. So the clocks of two machines are never compared.

Several contenders may try to succeed lease n. Each makes a complete file of its own and links it to the name n + 1.
The file system lets only one do so. One problem is left: leases are deleted once they have a successor, so a contender
that slept may find the name n + 1 free again. But leases are deleted in ascending order, so lease n is gone by then,
too. Each contender therefore looks for lease n *after* it has linked n + 1, and starts again if n is gone.

A holder that slept and was succeeded must not write any more. :meth:`Lease.require` checks that lease n + 1 is missing,
and then, in this order, that lease n exists. (If n + 1 was deleted, n was deleted before it.) Writers call it before
each step that changes what others see. One gap cannot be closed on a file system: the holder may sleep for minutes
between this check and the step.
"""

from __future__ import annotations

import errno
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

from pipeline.errors import CorpusDamaged, CorpusLocked, RunError
from pipeline.store.safe_names import NUMBER, TEMPORARY
from pipeline.support.durable import drop_temporary
from pipeline.support.records import json_of
from pipeline.support.safe_files import refuse_link, remove_file
from pipeline.support.text import shown

HEARTBEAT_S = 10.0
"""Seconds between two touches of the lease by its holder."""
EXPIRY_S = 120.0
"""Seconds without a touch after which a holder on another machine counts as dead."""
RELEASED = b"released"
MAX_NUMBER = 10**18 - 1
"""Largest number of a lease."""
MAX_COMMAND_CHARACTERS = 200
MAX_RECORD_BYTES = 1 << 16
"""Largest part of the file of a lease that is read."""
MAX_PID = 2**31 - 1
TEMPORARY_SUFFIX = ".tmp"


class Lease:
    """The right to write, from :meth:`acquire` to :meth:`release`, unless another process takes the lease over."""

    def __init__(self, folder: Path, number: int, descriptor: int, heartbeat_s: float) -> None:
        self._folder, self._number, self._descriptor = folder, number, descriptor
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, args=(heartbeat_s,), name="lease", daemon=True)
        self._heart.start()

    @classmethod
    def acquire(cls, folder: Path, *, heartbeat_s: float | None = None, expiry_s: float | None = None) -> Self:
        """Take the lease.

        Parameters
        ----------
        folder : path
            Folder of the leases. It is made if it does not exist.
        heartbeat_s, expiry_s : float, optional
            Default :data:`HEARTBEAT_S` and :data:`EXPIRY_S`. All who share a corpus must use the same values.

        Raises
        ------
        CorpusLocked
            A live process holds the lease. The message names process, machine, time and command.
        CorpusDamaged
            ``folder`` is no folder, or a lease in it is no file.
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
            os.pwrite(descriptor, RELEASED, 0)  # this file may be the lease by now
            os.close(descriptor)
            raise
        return cls(folder, before + 1, descriptor, HEARTBEAT_S if heartbeat_s is None else heartbeat_s)

    def require(self) -> None:
        """Raise :class:`CorpusLocked` if another process has taken the lease over."""
        successor = _Found.of(self._folder, self._number + 1)
        mine = _Found.of(self._folder, self._number)
        if successor is None and mine is not None and os.path.samestat(mine.stat, os.fstat(self._descriptor)):
            return
        by = f" by {successor.holder}" if successor is not None and successor.record else ""
        raise CorpusLocked(f"{self._folder.parent}: its lock was taken over{by}, as this run had not renewed it for "
                           "too long; this run writes nothing more, and what it has committed stays; run it again")

    def release(self) -> None:
        """Release the lease. A lease that was taken over stays as it is."""
        self._stop.set()
        self._heart.join()
        os.pwrite(self._descriptor, RELEASED, 0)  # into the own file, whatever its name is by now
        os.close(self._descriptor)

    def _beat(self, heartbeat_s: float) -> None:
        while not self._stop.wait(heartbeat_s):
            with suppress(OSError):  # the file system is away: the next touch may succeed
                os.utime(self._descriptor)


@dataclass(frozen=True, slots=True)
class _Found:
    """A lease that was read from disk."""

    stat: os.stat_result
    content: bytes

    @classmethod
    def of(cls, folder: Path, number: int) -> Self | None:
        """Read a lease; return None if it does not exist. The file is opened, so that NFS asks its server."""
        path = _path(folder, number)
        try:  # O_NONBLOCK: opening a pipe would wait for a writer
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
            return cls(seen, file.read(MAX_RECORD_BYTES))

    @property
    def is_released(self) -> bool:
        return self.content.startswith(RELEASED)

    @property
    def record(self) -> dict[str, Any]:
        """Description of the holder; empty if a power cut has destroyed it. It has only values that make sense."""
        try:
            record = json_of(self.content)
        except ValueError:
            return {}
        return {} if not isinstance(record, dict) else {
            key: value for key, value in record.items()
            if (type(value) is int and 0 < value <= MAX_PID if key == "pid" else isinstance(value, str))}

    @property
    def holder(self) -> str:
        """Description of the holder in words."""
        return _in_words(self.record)


def _require_free(folder: Path, number: int, mine: int, expiry_s: float) -> None:
    """Raise :class:`CorpusLocked` if the holder of a lease lives. ``mine`` is an open file in the same folder."""
    seen = _Found.of(folder, number)
    if seen is None or seen.is_released:
        return
    record, age = seen.record, ""
    try:
        is_here = record["place"] == _place()
        is_dead = is_here and not _is_alive(record["pid"], record["started"])
    except (KeyError, TypeError):
        is_here = is_dead = False
    if not is_here:
        os.utime(mine)  # the file system dates this file, as it dated the lease
        age_s = os.fstat(mine).st_mtime - seen.stat.st_mtime
        is_dead = age_s > expiry_s
        age = f", last heard of {max(0.0, age_s):.0f} s ago"
    if not is_dead:
        raise CorpusLocked(f"{folder.parent}: locked by {seen.holder}{age}; wait for it, or stop it")


def _succeed(folder: Path, temporary: Path, mine: int, expiry_s: float) -> int:
    """Make the file ``mine`` the next lease. Return the number of the lease before it, 0 if there was none."""
    while True:  # another round means that another process has made progress
        before = max(_numbers(folder), default=0)
        if before >= MAX_NUMBER:
            raise CorpusDamaged(f"{_path(folder, before)}: no lock can follow one of this number; delete the file")
        if before:
            _require_free(folder, before, mine, expiry_s)
        os.utime(mine)
        if _claim(folder, temporary, before):
            return before


def _claim(folder: Path, temporary: Path, before: int) -> bool:
    """Try to succeed lease ``before``. Return False if another process was faster."""
    mine = _path(folder, before + 1)
    try:
        os.link(temporary, mine)
    except FileExistsError:
        return False
    except FileNotFoundError as error:
        if folder.is_dir():  # this process slept so long that another one deleted its file
            raise RunError(f"{folder}: this run slept while it was starting; run it again") from error
        raise
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise RunError(f"{folder}: the file system has no hard links ({error.strerror}), which locking needs; "
                           "put the corpus on another one") from error
        raise
    if max(_numbers(folder), default=0) == before + 1 and (before == 0 or _Found.of(folder, before) is not None):
        return True
    remove_file(folder, mine)
    return False


def _clean(folder: Path, held: int, mine: int, expiry_s: float) -> None:
    """Delete the leases before ``held``, in ascending order, and old files of contenders that were killed."""
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
    """Return the sorted numbers of the leases. Only names that :func:`_path` makes count: ``5`` is a foreign file."""
    return sorted(int(name) for name in os.listdir(folder) if NUMBER.fullmatch(name))


def _no_lease(path: Path) -> CorpusDamaged:
    return CorpusDamaged(f"{path}: is a link, a folder or a pipe where a lock should be; move it out of the corpus")


def _make_folder(folder: Path) -> None:
    """Make the folder of the leases, if it does not exist."""
    refuse_link(folder)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise CorpusDamaged(f"{folder}: is no folder, so nothing can be locked; move it out of the corpus") from error


def _signature() -> dict[str, Any]:
    """Return the description of this process, for the file of its lease."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "command": command[:MAX_COMMAND_CHARACTERS], "place": _place(),
            "started": (_stat(os.getpid()) or ("", ""))[1]}


def _in_words(record: dict[str, Any]) -> str:
    if not {"pid", "host", "since"} <= record.keys():
        return "another process"
    command = f" ({shown(record['command'])})" if record.get("command") else ""
    return shown(f"process {record['pid']} on {record['host']} since {record['since']}") + command


@cache
def _place() -> str:
    """Return a name of the place where process numbers are unique: this boot of this machine and this container."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # a system without /proc
        return socket.gethostname()


def _is_alive(pid: int, started: str) -> bool:
    """Return True if a process of this place that began at ``started`` still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # the process exists, and belongs to another user
    seen = _stat(pid)
    return seen is None or (seen[0] not in "ZX" and seen[1] == started)


def _stat(pid: int) -> tuple[str, str] | None:
    """Return state and start of a process, in ticks since boot; None if the system does not show them."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]
