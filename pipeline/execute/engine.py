"""Engines run tasks: in this process, or on a Dask cluster.

A run submits as many tasks as the engine's ``capacity`` allows and waits for some of them to end. Tasks return little:
large data goes through the corpus folder, which all workers see.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, NoReturn

from pipeline.support.interrupts import require_not_interrupted

Outcome = tuple[Any, Any]
"""A task's ticket, and what the task returned or the exception that it raised."""
OnError = Callable[[Any, BaseException], None]
"""Called with the ticket of a task and the exception that it raised."""


@dataclass(frozen=True, slots=True)
class Call:
    """One task to run."""

    ticket: Any
    """Identifies the call among its outcomes."""
    task: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    on_gpu: bool = False
    """True for a task that runs only on a worker that offers a GPU."""


def raise_error(ticket: Any, error: BaseException) -> NoReturn:
    """Raise the exception of a task."""
    raise error


class Engine(ABC):
    """Runs tasks, a bounded number at a time."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Number of tasks that may be in flight."""

    @property
    @abstractmethod
    def offers_gpu(self) -> bool:
        """True if a worker offers the resource GPU."""

    @abstractmethod
    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        """Start ``task(*arguments)``; with ``on_gpu``, on a worker that offers a GPU."""

    @abstractmethod
    def wait(self) -> list[Outcome]:
        """Return the tasks that have ended since the last call, at least one.

        Call it only while a task is in flight.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Give up all tasks in flight."""

    def close(self) -> None:
        """Give up all tasks in flight and release the workers. A second call does nothing."""
        self.cancel()

    def run_all(self, calls: deque[Call], on_error: OnError = raise_error) -> Iterator[Outcome]:
        """Run calls, a bounded number at a time, and yield their results in order of arrival.

        If the iteration ends early, the tasks in flight are cancelled.

        Parameters
        ----------
        calls : deque of Call
            Emptied from the left as tasks start. The caller may append more while the iteration runs.
        on_error : callable
            Called for each task that raised an exception. If ``on_error`` raises an exception, the iteration ends. If
            it returns, the iteration goes on. ``on_error`` may append calls. By default it raises the task's own
            exception.

        Yields
        ------
        ticket, result
            For each task that raised no exception.
        """

        def submit_next() -> bool:
            if not calls:
                return False
            call = calls.popleft()
            self.submit(call.ticket, call.task, *call.arguments, on_gpu=call.on_gpu)
            return True

        try:
            for ticket, outcome in pump(self, submit_next):
                if isinstance(outcome, BaseException):
                    on_error(ticket, outcome)
                else:
                    yield ticket, outcome
        except BaseException:
            self.cancel()
            raise

    def results_of(self, calls: Sequence[Call], on_error: OnError = raise_error) -> list[Any]:
        """Run calls and return their results in the order of the calls.

        Parameters
        ----------
        calls : sequence of Call
            Calls with different tickets.
        on_error : callable
            Called with the first exception that a task raises. It must raise an exception.
        """
        results = dict(self.run_all(deque(calls), on_error))
        return [results[call.ticket] for call in calls]


def pump(engine: Engine, submit_next: Callable[[], bool]) -> Iterator[Outcome]:
    """Keep a bounded number of tasks in flight, and yield their outcomes in order of arrival.

    Parameters
    ----------
    submit_next : callable
        Submits one more task and returns True; returns False if there is none at the moment. It is asked again after
        each outcome, so an outcome may lead to further tasks.
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


class SerialEngine(Engine):
    """Runs each task in this process when it is submitted. Results are the same as with every other engine."""

    capacity = 1
    offers_gpu = False

    def __init__(self) -> None:
        self._ended: deque[Outcome] = deque()

    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        """Run the task.

        Raises
        ------
        KeyboardInterrupt
            The command was interrupted meanwhile. Whatever the task returned or raised may be due to that.
        """
        outcome: Any
        try:
            outcome = task(*arguments)
        except Exception as error:  # an outcome like any other: the caller decides
            require_not_interrupted(error)
            outcome = error
        require_not_interrupted()
        self._ended.append((ticket, outcome))

    def wait(self) -> list[Outcome]:
        """Return the outcomes of all tasks that have run."""
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def cancel(self) -> None:
        """Forget the outcomes that nobody has waited for."""
        self._ended.clear()


class LazyEngine(Engine):
    """Starts another engine at the first task, or at the first question whether there is a GPU.

    A run that turns out to have nothing to do starts no worker and connects to no scheduler.
    """

    def __init__(self, start: Callable[[], AbstractContextManager[Engine]]) -> None:
        """Remember how to start the engine: ``start`` returns a context manager that yields it and ends it."""
        self._start = start
        self._started: Engine | None = None
        self._held = ExitStack()

    def _engine(self) -> Engine:
        if self._started is None:
            self._started = self._held.enter_context(self._start())
        return self._started

    @property
    def capacity(self) -> int:
        """Number of tasks that may be in flight; before the first task, 1."""
        return 1 if self._started is None else self._started.capacity

    @property
    def offers_gpu(self) -> bool:
        """True if a worker offers the resource GPU. Starts the engine."""
        return self._engine().offers_gpu

    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        """Start the engine unless it runs already, then the task."""
        self._engine().submit(ticket, task, *arguments, on_gpu=on_gpu)

    def wait(self) -> list[Outcome]:
        """Return the tasks that have ended since the last call, at least one."""
        return self._engine().wait()

    def cancel(self) -> None:
        """Give up all tasks in flight."""
        if self._started is not None:
            self._started.cancel()

    def close(self) -> None:
        """Give up all tasks in flight, and end the engine if it was started."""
        try:
            self.cancel()
        finally:
            self._started = None
            self._held.close()
