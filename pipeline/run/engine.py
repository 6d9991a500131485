"""Where tasks run: here and now, or on a Dask cluster.

A driver submits as many tasks as ``capacity`` allows and waits for some to end; what they return is small, because
everything large goes through the corpus folder, which all workers see.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pipeline.config import RunConfig
from pipeline.errors import ConfigError, RunError

logger = logging.getLogger(__name__)

Outcome = tuple[Any, Any]
"""A task's ticket, and what it returned or the exception it raised."""

POLL_S = 1.0
"""How often a waiting driver looks whether the cluster can still do its tasks."""


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


class WorkersDied(RuntimeError):
    """Each worker that ran a task died of it: it needs more memory than there is, or crashes a library."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A task in flight."""

    ticket: Any
    task: Callable[..., Any]
    arguments: tuple[Any, ...]
    on_gpu: bool
    is_alone: bool = False
    """True where nothing runs beside it."""


class DaskEngine:
    """Runs tasks on the cluster of a ``distributed.Client``.

    Dask blames the death of a worker on every task that was there. A task so blamed is run once more, alone, when
    nothing else is in flight: so one that kills its worker takes no other with it.
    """

    def __init__(self, client: Any, config: RunConfig) -> None:
        self._client = client
        self._config = config
        self._calls: dict[Any, _Call] = {}
        """By future."""
        self._suspects: deque[_Call] = deque()
        self._workers: dict[str, Any] = {}
        self._looked = -float("inf")
        self._await(lambda: bool(self._look(fresh=True)), "no worker has joined the cluster; start workers, "
                    "or raise resource_wait_s")
        if config.embed_on == "gpu":
            self._await(lambda: self._gpu_workers(fresh=True) > 0, "embed_on is gpu, but no worker offers the resource "
                        "GPU; start workers with --resources GPU=1, or use embed_on = auto")

    @property
    def capacity(self) -> int:
        """``in_flight`` tasks for each worker thread; none beside one that is to run alone."""
        if any(call.is_alone for call in self._calls.values()):
            return 0
        threads: int = sum(worker["nthreads"] for worker in self._look().values())
        return max(1, threads) * self._config.in_flight

    @property
    def offers_gpu(self) -> bool:
        """True where a worker offers the resource GPU."""
        return self._gpu_workers() > 0

    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        """Submit one task. Every task is idempotent, so Dask may retry it."""
        self._start(_Call(ticket, task, arguments, on_gpu))

    def wait(self) -> list[Outcome]:
        """Wait for at least one task, as long as the cluster has workers that can run one of them."""
        outcomes: list[Outcome] = []
        stuck_since = time.monotonic()
        while not outcomes:
            if not self._calls:
                self._start(replace(self._suspects.popleft(), is_alone=True))
            for call, result in self._ended():
                if isinstance(result, WorkersDied) and not call.is_alone:
                    self._suspects.append(call)
                else:
                    outcomes.append((call.ticket, result))
            if outcomes or self._can_go_on():
                stuck_since = time.monotonic()
            elif time.monotonic() - stuck_since > self._config.resource_wait_s:
                raise RunError(f"for {self._config.resource_wait_s:g} s no worker could run what is left to do "
                               f"({len(self._calls)} tasks); start workers and run again")
        return outcomes

    def cancel(self) -> None:
        """Cancel what is in flight."""
        if self._calls:
            self._client.cancel(list(self._calls), force=True)
        self._calls.clear()
        self._suspects.clear()

    def _start(self, call: _Call) -> None:
        resources = {"GPU": 1} if call.on_gpu else None
        future = self._client.submit(call.task, *call.arguments, pure=False, retries=self._config.retries,
                                     resources=resources)
        self._calls[future] = call

    def _ended(self) -> list[tuple[_Call, Any]]:
        """Wait a moment for tasks to end; return those that have, and what they returned or raised."""
        from distributed import wait

        ended = []
        try:
            with self._client.as_current():
                done = wait(list(self._calls), timeout=POLL_S, return_when="FIRST_COMPLETED").done
            for future in done:
                if future.status == "lost":  # with the worker that had its result: it runs again
                    continue
                result = self._result(future)
                ended.append((self._calls.pop(future), result))
            if not ended:  # lost results count as done: without a rest, the next call would come at once
                time.sleep(POLL_S / 10)
        except TimeoutError:  # nothing has ended, or a worker died with what a task had returned: it runs again
            pass
        except CancelledError as error:
            raise RunError(f"the scheduler has gone, or has dropped this run's tasks ({error}); start it and run "
                           "again") from error
        return ended

    def _result(self, future: Any) -> Any:
        from distributed import KilledWorker

        error = future.exception(timeout=POLL_S)
        if isinstance(error, KilledWorker):
            return WorkersDied("every worker that ran it died: it needs more memory than worker_memory_gb, or "
                               "crashes a library")
        return future.result(timeout=POLL_S) if error is None else error

    def _can_go_on(self) -> bool:
        """Tell whether a worker is at one of the tasks in flight, or will be when it is done with other people's."""
        workers = self._look(fresh=True)
        gpu_only = all(call.on_gpu for call in self._calls.values())
        able = [address for address in workers if not gpu_only or _offers_gpu(workers[address])]
        if not able:
            return False
        try:
            processing = self._client.processing()
        except OSError:
            return False
        ours = {future.key for future in self._calls}
        # where a worker is idle and yet none is at ours, they wait for what nobody will bring
        return any(ours & set(keys) for keys in processing.values()) or all(processing.get(one) for one in able)

    def _gpu_workers(self, *, fresh: bool = False) -> int:
        return sum(map(_offers_gpu, self._look(fresh=fresh).values()))

    def _look(self, *, fresh: bool = False) -> dict[str, Any]:
        """Return the workers, asked for anew when what is known has become old."""
        if fresh or time.monotonic() - self._looked > 5 * POLL_S:
            try:
                self._workers = self._client.scheduler_info(n_workers=-1)["workers"]
            except OSError:  # the client is trying to reach its scheduler again
                self._workers = {}
            self._looked = time.monotonic()
        return self._workers

    def _await(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + self._config.resource_wait_s
        while not condition():
            if time.monotonic() > deadline:
                raise ConfigError(f"after {self._config.resource_wait_s:g} s {otherwise}")
            time.sleep(min(POLL_S, self._config.resource_wait_s))


def _offers_gpu(worker: dict[str, Any]) -> bool:
    return bool(worker.get("resources", {}).get("GPU", 0) >= 1)
