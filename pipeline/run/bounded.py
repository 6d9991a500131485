"""A limit to the time of a task, kept on the worker: a thread cannot be stopped, so the process is ended."""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

EXIT_STATUS = 70
STDERR = 2
GRACE_S = 5.0
"""What holds the interpreter, as the HDF5 library does, lets no thread of Python speak: it is ended so much later."""

_lock = threading.Lock()
_running = 0


def bounded(limit_s: float, task: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``task(*arguments)``; where that takes longer than ``limit_s``, end this worker's process.

    Dask sees a worker die, and does what it does for any other. Where the scheduler lives in this process, too, it is
    the user's own and goes on: the driver stops waiting in the end.
    """
    watch = threading.Timer(limit_s, _end, [limit_s, getattr(task, "__name__", "task")])
    watch.daemon = True
    watch.start()
    _count(1, limit_s)
    try:
        return task(*arguments)
    finally:
        _count(-1, limit_s)
        watch.cancel()


def _count(change: int, limit_s: float) -> None:
    """Begin or end a task, and set a process' only clock that needs no interpreter to the latest that one may end."""
    global _running
    with _lock:
        _running += change
        if not _running:
            faulthandler.cancel_dump_traceback_later()
        elif not _is_of_user():
            faulthandler.dump_traceback_later(limit_s + GRACE_S, exit=True, file=STDERR)


def _is_of_user() -> bool:
    from distributed import Scheduler

    return bool(Scheduler._instances)


def _end(limit_s: float, name: str) -> None:
    logger.critical("%s has taken longer than task_timeout_s = %g s: ending this worker", name, limit_s)
    if not _is_of_user():
        os._exit(EXIT_STATUS)
