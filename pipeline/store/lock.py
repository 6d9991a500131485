"""One writer a corpus: a lock that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import CorpusLocked


def acquire(path: Path) -> int:
    """Lock the file ``path``, write who holds it, and return the descriptor to :func:`release`.

    Raises
    ------
    CorpusLocked
        A live process holds it; the message names host, process and since when.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            holder = _holder(path)
            raise CorpusLocked(f"{path.parent}: locked by {holder}; wait for it, or stop it") from error
        raise
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    holder = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)
    return descriptor


def release(descriptor: int) -> None:
    """Give the lock back."""
    # unlocked, not merely closed: a forked child may still hold a copy of the descriptor
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_bytes())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, TypeError, KeyError):  # it is just writing its name
        return "another process"
