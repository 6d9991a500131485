"""The lock of a corpus: a lease that its holder renews, and that another process takes over if the holder is dead.

The folder ``lock`` holds leases: files with ascending numbers. Only the highest counts. It is free if its holder wrote
``released`` into it, or if the holder is dead:

- A holder on this machine is dead as soon as its process does not exist. Process numbers are used again, so the start
  time of the process is compared, too.
- A holder elsewhere is dead if it has not touched its file for :data:`EXPIRY_S`. The file system dates both this file
  and the file that it is compared with. So the clocks of two machines are never compared. But the clock of the file
  system may have jumped between the two dates. So a contender does not trust the dates alone. It watches the file by a
  clock that never jumps: for :data:`WATCH_S`, in which a live holder touches it several times. If the clock was set
  back, the dates say nothing, and the contender watches for all of :data:`EXPIRY_S`.

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
import logging
import os
import stat
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from pipeline.errors import CorpusDamaged, CorpusLocked, RunError
from pipeline.store import lease_holder
from pipeline.store.safe_names import NUMBER, TEMPORARY
from pipeline.support.durable import drop_temporary
from pipeline.support.safe_files import refuse_link, remove_file

logger = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
"""Seconds between two touches of the lease by its holder."""
EXPIRY_S = 120.0
"""Seconds without a touch after which a holder on another machine counts as dead."""
WATCH_S = 3 * HEARTBEAT_S
"""Seconds for which a contender watches a lease that seems to have expired."""
POLL_S = 0.5
"""Longest time in seconds between two looks at a lease that is watched."""
RELEASED = b"released"
MAX_NUMBER = 10**18 - 1
"""Largest number of a lease."""
MAX_RECORD_BYTES = 1 << 16
"""Largest part of the file of a lease that is read."""
TEMPORARY_SUFFIX = ".tmp"


class Lease:
    """The right to write, from :meth:`acquire` to :meth:`release`, unless another process takes the lease over."""

    def __init__(self, folder: Path, number: int, descriptor: int, heartbeat_s: float) -> None:
        self._folder, self._number, self._descriptor = folder, number, descriptor
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, args=(heartbeat_s,), name="lease", daemon=True)
        self._heart.start()

    @classmethod
    def acquire(
        cls, folder: Path, *, heartbeat_s: float | None = None, expiry_s: float | None = None,
        watch_s: float | None = None,
    ) -> Self:
        """Take the lease. If its holder is on another machine and seems to be dead, this takes half a minute.

        Parameters
        ----------
        folder : path
            Folder of the leases. It is made if it does not exist.
        heartbeat_s, expiry_s, watch_s : float, optional
            Default :data:`HEARTBEAT_S`, :data:`EXPIRY_S` and :data:`WATCH_S`. All who share a corpus must use the same
            values.

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
        watch_s = WATCH_S if watch_s is None else watch_s
        _make_folder(folder)
        temporary = folder / f".{uuid4().hex}{TEMPORARY_SUFFIX}"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            try:
                os.write(descriptor, json.dumps(lease_holder.signature()).encode())
                before = _succeed(folder, temporary, descriptor, expiry_s, watch_s)
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
        """Description of the holder."""
        return lease_holder.record_of_holder(self.content)

    @property
    def holder(self) -> str:
        """Description of the holder in words."""
        return lease_holder.in_words(self.record)


def _require_free(folder: Path, number: int, mine: int, expiry_s: float, watch_s: float) -> None:
    """Raise :class:`CorpusLocked` if the holder of a lease lives. ``mine`` is an open file in the same folder."""
    seen = _Found.of(folder, number)
    if seen is None or seen.is_released:
        return
    record, age = seen.record, ""
    try:
        is_here = record["place"] == lease_holder.place()
        is_dead = is_here and not lease_holder.is_alive(record["pid"], record["started"])
    except (KeyError, TypeError):
        is_here = is_dead = False
    if not is_here:
        os.utime(mine)  # the file system dates this file, as it dated the lease
        age_s = os.fstat(mine).st_mtime - seen.stat.st_mtime
        if age_s > expiry_s:
            is_dead = _is_silent(folder, number, seen, watch_s)
        elif age_s < -expiry_s:  # the clock was set back
            is_dead = _is_silent(folder, number, seen, expiry_s)
        age = f", last heard of {max(0.0, age_s):.0f} s ago"
    if not is_dead:
        raise CorpusLocked(f"{folder.parent}: locked by {seen.holder}{age}; wait for it, or stop it")


def _is_silent(folder: Path, number: int, seen: _Found, watch_s: float) -> bool:
    """Watch a lease. Return False as soon as its holder touches it; True if it is given up, or after ``watch_s``."""
    logger.warning("%s: seems to be locked by a run that has died (%s); watching its lock for %.0f s to be sure",
                   folder.parent, seen.holder, watch_s)
    until = time.monotonic() + watch_s
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(POLL_S, left_s))
        now = _Found.of(folder, number)
        if now is None or now.is_released:
            return True
        if now.stat.st_mtime_ns != seen.stat.st_mtime_ns:
            return False
    return True


def _succeed(folder: Path, temporary: Path, mine: int, expiry_s: float, watch_s: float) -> int:
    """Make the file ``mine`` the next lease. Return the number of the lease before it, 0 if there was none."""
    while True:  # another round means that another process has made progress
        before = max(_numbers(folder), default=0)
        if before >= MAX_NUMBER:
            raise CorpusDamaged(f"{_path(folder, before)}: no lock can follow one of this number; delete the file")
        if before:
            _require_free(folder, before, mine, expiry_s, watch_s)
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
