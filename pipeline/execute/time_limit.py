"""Limit the time of a task on its worker. A thread cannot be stopped, so the process is ended."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

EXIT_STATUS = 70
"""Exit status of a worker that was ended."""


def bounded(limit_s: float, task: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``task(*arguments)``. End the process of this worker if that takes longer than ``limit_s`` seconds.

    Dask then handles a worker that died. If a scheduler runs in the same process, the process belongs to the user and
    is not ended; the driver stops waiting for the task after a longer time.
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
