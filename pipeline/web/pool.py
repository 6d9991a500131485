"""Bounded pools of threads: some tasks run at once, some wait, and none is waited for too long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipeline.web.problems import Problem

_T = TypeVar("_T")


class Pool:
    """Runs tasks of one kind.

    Parameters
    ----------
    what : str
        Noun for a task, for messages.
    workers : int
        Tasks that run at once.
    max_queued : int
        Tasks that may wait.
    deadline_s : float
        Longest time from the request to the answer, in seconds. A task that has not begun by then never runs. One that
        runs goes on, because a thread cannot be stopped; its answer is dropped, and it keeps its place meanwhile.
    """

    def __init__(self, what: str, workers: int, max_queued: int, deadline_s: float) -> None:
        self._what = what
        self._executor = ThreadPoolExecutor(workers, what)
        self._places = workers + max_queued
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._taken = 0
        self._running = 0

    @property
    def running(self) -> int:
        """Number of tasks that run."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of tasks that wait."""
        return self._taken - self._running

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` in the pool and return its result.

        Raises
        ------
        Problem
            All places are taken, or the deadline is over.
        """
        with self._lock:
            if self._taken >= self._places:
                raise Problem(503, "busy", f"{self._taken} tasks like this run or wait, which is as many as may",
                              "try again in a moment", {"Retry-After": "2"})
            self._taken += 1
        until_s = time.monotonic() + self._deadline_s

        def guarded() -> _T:
            with self._lock:
                self._running += 1
            try:
                if time.monotonic() > until_s:
                    raise self._too_late()
                return work()
            finally:
                with self._lock:
                    self._running -= 1

        future = self._executor.submit(guarded)
        future.add_done_callback(self._free)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.wrap_future(future)  # leaving this block early cancels a future that still waits
        except TimeoutError:
            raise self._too_late() from None

    def _free(self, _: object) -> None:
        with self._lock:
            self._taken -= 1

    def _too_late(self) -> Problem:
        return Problem(504, "too_slow", f"the {self._what} was not done after {self._deadline_s:g} s",
                       "try again later; a search is faster with fewer windows (filters), or without rerank and "
                       "all_views")

    def close(self) -> None:
        """Forget what waits. Tasks that run end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)
