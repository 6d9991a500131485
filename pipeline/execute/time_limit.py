"""A limit to the time of a task, kept on the worker: a thread cannot be stopped, so the process is ended."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

EXIT_STATUS = 70


def bounded(limit_s: float, task: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``task(*arguments)``; where that takes longer than ``limit_s``, end this worker's process.

    Dask sees a worker die, and does what it does for any other. Where the scheduler lives in this process, too, it is
    the user's own and goes on: the driver stops waiting in the end.
    """
    watch = threading.Timer(limit_s, _end, [limit_s, getattr(task, "__name__", "task")])
    watch.daemon = True
    watch.start()
    try:
        return task(*arguments)
    finally:
        watch.cancel()


def _end(limit_s: float, name: str) -> None:
    from distributed import Scheduler

    logger.critical("%s has taken longer than task_timeout_s = %g s: ending this worker", name, limit_s)
    if not Scheduler._instances:
        os._exit(EXIT_STATUS)
