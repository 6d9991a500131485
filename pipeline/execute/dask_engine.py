"""Runs tasks on a Dask cluster. Survives the loss of workers, of the scheduler, and of the connection to it."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from pipeline.config import RunConfig
from pipeline.errors import ConfigError, RunError
from pipeline.execute.dask_settings import LONGEST_RESTART_S
from pipeline.execute.engine import Call, Engine, Outcome
from pipeline.execute.time_limit import bounded

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""Seconds between two checks whether the cluster can still run the tasks in flight."""
ANSWER_S = 15.0
"""Seconds after which a scheduler that does not answer is considered gone."""
MAX_LOSSES = 10
"""Number of times that the scheduler may be lost before one task ends."""
STALLED_TIMEOUTS = 5
"""If no task ends for this many times ``task_timeout_s``, a worker hangs and cannot be ended."""


class WorkersDied(RuntimeError):
    """Every worker that ran a task died: the task crashes a library, takes too long, or needs too much memory."""


@dataclass(frozen=True, slots=True)
class _Call(Call):
    """A task in flight."""

    is_alone: bool = False
    """True if nothing runs beside it."""


class DaskEngine(Engine):
    """Runs tasks on the cluster of a ``distributed.Client``.

    Dask blames the death of a worker on every task that was on it. A blamed task is run once more, alone, when nothing
    else is in flight, so that a task that kills its worker fails no other task.

    If the scheduler goes away, the engine waits for it and starts the tasks in flight again. That is safe: workers end
    with their scheduler, and every task is idempotent.
    """

    def __init__(self, client: Any, config: RunConfig, connect: Callable[[], Any] | None = None) -> None:
        """Run tasks on the cluster of ``client``.

        Parameters
        ----------
        connect : callable, optional
            Returns a new client of the cluster after its scheduler has gone. Raises an ``OSError`` or a
            :class:`ConfigError` while there is no scheduler. Default: a lost scheduler ends the run.

        Raises
        ------
        ConfigError
            No worker joins within ``resource_wait_s``, or none offers a GPU though ``embed_on`` is ``gpu``.
        """
        self._client = client
        self._config = config
        self._connect = connect
        self._losses = 0
        """Number of times that the scheduler was lost since a task ended."""
        self._patient_until = -math.inf
        """Time until which a cluster without workers is no error. Workers join some time after a scheduler is back."""
        self._calls: dict[Any, _Call] = {}
        """Future → task in flight."""
        self._anchors: dict[str, Any] = {}
        """Task name → a task of this name that does nothing and is kept.

        Dask's scheduler groups tasks by name. It never frees a group that has become empty, and the next task of the
        name would make another group."""
        self._suspects: deque[_Call] = deque()
        """Tasks whose workers died, to be run alone."""
        self._workers: dict[str, Any] = {}
        self._lost: dict[str, tuple[float, bool]] = {}
        """Address of a nanny → time at which its worker went, and whether the worker offered a GPU."""
        self._looked = -math.inf
        self._await(lambda: bool(self._look(fresh=True)), "no worker has joined the cluster; start workers, "
                    "or raise resource_wait_s")
        if config.embed_on == "gpu":
            self._await(lambda: self._gpu_workers(fresh=True) > 0, "no worker offers the resource GPU, but embed_on is "
                        "gpu; start workers with --resources GPU=1, or use embed_on = auto")

    @property
    def capacity(self) -> int:
        """Number of tasks that may be in flight: ``in_flight`` for each worker thread; 0 while a task runs alone."""
        if any(call.is_alone for call in self._calls.values()):
            return 0
        threads: int = sum(worker["nthreads"] for worker in self._look().values())
        return max(1, threads) * self._config.in_flight

    @property
    def offers_gpu(self) -> bool:
        """True if a worker offers the resource GPU."""
        return self._gpu_workers() > 0

    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        """Submit one task. Every task is idempotent, so Dask may retry it."""
        self._start(_Call(ticket, task, arguments, on_gpu))

    def wait(self) -> list[Outcome]:
        """Wait until at least one task ends, and return those that have ended.

        Raises
        ------
        RunError
            For a long time, no worker could run any of the tasks, no task has ended, or there was no scheduler.
        """
        outcomes: list[Outcome] = []
        stuck_since = ended = time.monotonic()
        while not outcomes:
            if not self._calls:
                self._start(replace(self._suspects.popleft(), is_alone=True))
            for call, result in self._ended():
                stuck_since = ended = time.monotonic()
                self._losses = 0
                if isinstance(result, WorkersDied) and not call.is_alone:
                    self._suspects.append(call)
                else:
                    outcomes.append((call.ticket, result))
            if not outcomes and (self._can_go_on() or self._is_restarting() or self._restart_paused()):
                stuck_since = time.monotonic()
            self._require_progress(stuck_since, ended)
        return outcomes

    def _require_progress(self, stuck_since: float, ended: float) -> None:
        """Raise :class:`RunError` if no worker could run a task for long, or no task has ended for very long."""
        now, wait_s = time.monotonic(), self._config.resource_wait_s
        limit_s = STALLED_TIMEOUTS * self._config.task_timeout_s
        if now - stuck_since > wait_s and now > self._patient_until:
            raise RunError(f"for {wait_s:g} s no worker could run what is left to do ({len(self._calls)} tasks); start "
                           "workers and run again")
        if limit_s and now - ended > limit_s:
            raise RunError(f"for {limit_s:g} s none of {len(self._calls)} tasks has ended, though task_timeout_s is "
                           f"{self._config.task_timeout_s:g} s: a worker hangs; restart the workers and run again")

    def cancel(self) -> None:
        """Cancel all tasks in flight."""
        from distributed.client import ClosedClientError

        if self._calls:
            with suppress(OSError, ClosedClientError):  # a scheduler that has gone has no tasks
                self._client.cancel(list(self._calls), force=True)
        self._calls.clear()
        self._anchors.clear()
        self._suspects.clear()

    def _start(self, call: _Call) -> None:
        from distributed.client import ClosedClientError

        resources = {"GPU": 1} if call.on_gpu else None
        name = call.task.__name__  # Dask remembers how long tasks of one name take
        limited = (bounded, self._config.task_timeout_s) if self._config.task_timeout_s else ()
        try:
            if name not in self._anchors:
                self._anchors[name] = self._client.submit(bool, key=f"{name}-{uuid4().hex}", retries=MAX_LOSSES)
            future = self._client.submit(*limited, call.task, *call.arguments, key=f"{name}-{uuid4().hex}",
                                         retries=self._config.retries, resources=resources)
        except ClosedClientError as error:
            self._reconnect(error)
            self._start(call)
        else:
            self._calls[future] = call

    def _ended(self) -> list[tuple[_Call, Any]]:
        """Wait a moment for tasks to end; return those that have ended, each with its result or exception."""
        from distributed import wait

        ended: list[tuple[_Call, Any]] = []
        try:
            with self._client.as_current():
                done = wait(list(self._calls), timeout=POLL_S, return_when="FIRST_COMPLETED").done
            for future in done:
                if future.status == "lost":  # its worker died with the result: the task runs again
                    continue
                result = self._result(future)
                ended.append((self._calls.pop(future), result))
            if not ended:  # lost results count as done: without a pause, this would be a busy loop
                time.sleep(POLL_S / 10)
        except TimeoutError:  # no task has ended, or a worker died with a result: that task runs again
            pass
        except OSError:  # the connection broke; if the scheduler has gone, the tasks come back as cancelled
            time.sleep(POLL_S / 10)
        except CancelledError as error:
            if not ended:  # otherwise, the next call reconnects
                self._reconnect(error)
        return ended

    def _reconnect(self, error: BaseException) -> None:
        """Connect to the scheduler as soon as it is back, and start the tasks in flight again.

        Raises
        ------
        RunError
            The scheduler does not come back within ``scheduler_wait_s``, or is lost again and again.
        """
        lost, self._calls, self._anchors = list(self._calls.values()), {}, {}
        self._losses += 1
        wait_s = self._config.scheduler_wait_s
        deadline = time.monotonic() + wait_s
        gone = f"the scheduler has gone, or has dropped this run's tasks ({error})"
        if self._connect is None or self._losses > MAX_LOSSES:
            raise RunError(f"{gone}; start it and run again") from error
        logger.warning("%s; waiting for it", gone)
        while True:
            try:
                self._client = self._connect()
                break
            except (OSError, ConfigError) as refusal:
                if time.monotonic() > deadline:
                    raise RunError(f"{gone}, and has not come back for {wait_s:g} s; start it and run "
                                   "again") from refusal
                time.sleep(POLL_S)
        self._patient_until = time.monotonic() + wait_s
        for call in lost:
            self._start(call)
        logger.warning("the scheduler is back: started %d tasks again", len(lost))

    def _result(self, future: Any) -> Any:
        from distributed import KilledWorker

        error = future.exception(timeout=POLL_S)
        if isinstance(error, KilledWorker):
            return WorkersDied("every worker that ran it died: it needs more memory than worker_memory_gb, takes "
                               f"longer than task_timeout_s ({self._config.task_timeout_s:g} s), or crashes a library")
        return future.result(timeout=POLL_S) if error is None else error

    def _can_go_on(self) -> bool:
        """Return True if a worker runs one of the tasks in flight, or will do so after tasks of other users."""
        workers = self._look(fresh=True)
        gpu_only = all(call.on_gpu for call in self._calls.values())
        able = [address for address in workers if not gpu_only or _offers_gpu(workers[address])]
        if not able:
            return False
        processing = self._ask("processing")
        if processing is None:
            return False
        ours = {future.key for future in self._calls}
        # if a worker is idle and none runs our tasks, they wait for a resource that nobody offers
        return any(ours & set(keys) for keys in processing.values()) or all(processing.get(one) for one in able)

    def _is_restarting(self) -> bool:
        """Return True if a worker that could run one of the tasks has died, and its nanny is about to start another."""
        now, gpu_only = time.monotonic(), all(call.on_gpu for call in self._calls.values())
        return any(now - since < LONGEST_RESTART_S and (offers_gpu or not gpu_only) and self._tell(nanny, "identity")
                   for nanny, (since, offers_gpu) in self._lost.items())

    def _restart_paused(self) -> bool:
        """End the workers that Dask has paused and that run nothing; return True if there are any.

        Dask sends no task to a worker whose memory is nearly full. Freed memory may never return to the system. A nanny
        whose worker ends starts another by itself; a nanny that was told to restart its worker has been seen to hang.
        """
        running = self._ask("processing") or {}
        paused = [worker["nanny"] for address, worker in self._workers.items()
                  if worker["status"] == "paused" and worker.get("nanny") and not running.get(address)]
        if paused:
            logger.warning("restarting %d workers: they run nothing, but their memory is nearly full", len(paused))
            for nanny in paused:
                self._tell(nanny, "kill")
        return bool(paused)

    def _tell(self, nanny: str, call: str) -> Any:
        """Return a nanny's answer; None if it does not answer. The scheduler forgets it together with its worker."""
        with suppress(OSError):
            return self._client.sync(getattr(self._client.rpc(nanny), call), callback_timeout=ANSWER_S)

    def _gpu_workers(self, *, fresh: bool = False) -> int:
        return sum(map(_offers_gpu, self._look(fresh=fresh).values()))

    def _look(self, *, fresh: bool = False) -> dict[str, Any]:
        """Return the workers; ask the scheduler for them if the last answer is old."""
        if fresh or time.monotonic() - self._looked > 5 * POLL_S:
            answer = self._ask("identity", n_workers=-1)
            if answer:
                self._note_lost(answer["workers"])
            self._workers = answer["workers"] if answer else {}
            self._looked = time.monotonic()
        return self._workers

    def _note_lost(self, found: dict[str, Any]) -> None:
        """Note nannies whose workers are gone, and forget nannies that have a worker again."""
        for address, worker in self._workers.items():
            if address not in found and worker.get("nanny"):
                self._lost[worker["nanny"]] = time.monotonic(), _offers_gpu(worker)
        for worker in found.values():
            self._lost.pop(worker.get("nanny"), None)

    def _ask(self, question: str, **details: Any) -> Any:
        """Return the scheduler's answer; None if it does not answer while the client tries to reach it again."""
        scheduler = self._client.scheduler
        if scheduler is None:
            return None
        try:
            return self._client.sync(getattr(scheduler, question), **details, callback_timeout=ANSWER_S)
        except OSError:
            return None

    def _await(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + self._config.resource_wait_s
        while not condition():
            if time.monotonic() > deadline:
                raise ConfigError(f"after {self._config.resource_wait_s:g} s {otherwise}")
            time.sleep(min(POLL_S, self._config.resource_wait_s))


def _offers_gpu(worker: dict[str, Any]) -> bool:
    return bool(worker.get("resources", {}).get("GPU", 0) >= 1)
