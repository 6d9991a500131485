"""Where tasks run: here and now, or on a Dask cluster.

A driver submits as many tasks as ``capacity`` allows and waits for some to end; what they return is small, because
everything large goes through the corpus folder, which all workers see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

Outcome = tuple[Any, Any]
"""A task's ticket, and what it returned or the exception it raised."""


class Engine(Protocol):
    """Runs tasks, some at a time."""

    @property
    def capacity(self) -> int:
        """How many tasks may be in flight."""

    @property
    def offers_gpu(self) -> bool:
        """True where a worker offers the resource GPU."""

    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        """Start ``task(*arguments)``, on a worker that offers a GPU if asked."""

    def wait(self) -> list[Outcome]:
        """Return the tasks that have ended since the last call, at least one. An error when nothing is in flight."""

    def cancel(self) -> None:
        """Give up what is in flight."""


def pump(engine: Engine, submit_next: Callable[[], bool]) -> Iterator[Outcome]:
    """Keep an engine busy, a bounded number of tasks in flight, and yield what they come to, in order of arrival.

    Parameters
    ----------
    submit_next : callable
        Submits one more task and returns True; or returns False where there is none now. What an outcome leads to may
        be submitted after it has been yielded.
    """
    in_flight = 0
    while True:
        while in_flight < engine.capacity and submit_next():
            in_flight += 1
        if in_flight == 0:
            return
        for outcome in engine.wait():
            in_flight -= 1
            yield outcome


class SerialEngine:
    """Runs each task as it is submitted, in this process: for tests and debugging, with the same results."""

    capacity = 1
    offers_gpu = False

    def __init__(self) -> None:
        self._ended: deque[Outcome] = deque()

    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        """Run the task."""
        try:
            self._ended.append((ticket, task(*arguments)))
        except Exception as error:  # an outcome like any other: the driver decides
            self._ended.append((ticket, error))

    def wait(self) -> list[Outcome]:
        """Return what has run."""
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def cancel(self) -> None:
        """Forget outcomes nobody has waited for."""
        self._ended.clear()
