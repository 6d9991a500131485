"""Tasks on a Dask cluster, whatever becomes of its workers, of its scheduler, and of the connection to it."""

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
from pipeline.run.bounded import bounded
from pipeline.run.clusters.settings import LONGEST_RESTART_S
from pipeline.run.engine import Outcome

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""How often a waiting driver looks whether the cluster can still do its tasks."""
ANSWER_S = 15.0
"""A scheduler that takes longer to answer is taken for gone."""
LOSSES = 10
"""So many times may the scheduler be lost before a task ends."""
STALLED = 5
"""Where no task has ended for so many times ``task_timeout_s``, a worker hangs that cannot be ended."""


class WorkersDied(RuntimeError):
    """Each worker that ran a task died of it: it crashes a library, takes too long, or more memory than there is."""


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

    A scheduler that has gone is waited for, and what was in flight is started anew: workers do not outlive theirs, and
    every task is idempotent.
    """

    def __init__(self, client: Any, config: RunConfig, connect: Callable[[], Any] | None = None) -> None:
        """Run tasks on the cluster of ``client``; ``connect`` gives another client of it once its scheduler has gone.

        ``connect`` raises an ``OSError`` or a :class:`ConfigError` where there is none (yet).
        """
        self._client = client
        self._config = config
        self._connect = connect
        self._losses = 0
        """Since a task ended."""
        self._patient_until = -math.inf
        """Workers join later than a scheduler that is back."""
        self._calls: dict[Any, _Call] = {}
        """By future."""
        self._anchors: dict[str, Any] = {}
        """One task of each name that did nothing and is kept: Dask's scheduler counts tasks in groups of one name, and
        never lets go of a group that has become empty; the next task of this name would begin another."""
        self._suspects: deque[_Call] = deque()
        self._workers: dict[str, Any] = {}
        self._lost: dict[str, tuple[float, bool]] = {}
        """By nanny: when its worker went, and whether that offered a GPU."""
        self._looked = -math.inf
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
            if not outcomes and (self._can_go_on() or self._is_restarting()):
                stuck_since = time.monotonic()
            self._require_progress(stuck_since, ended)
        return outcomes

    def _require_progress(self, stuck_since: float, ended: float) -> None:
        """Raise :class:`RunError` if nobody has been able to run a task for long, or none has ended for very long."""
        now, wait_s, limit_s = time.monotonic(), self._config.resource_wait_s, STALLED * self._config.task_timeout_s
        if now - stuck_since > wait_s and now > self._patient_until:
            raise RunError(f"for {wait_s:g} s no worker could run what is left to do ({len(self._calls)} tasks); start "
                           "workers and run again")
        if limit_s and now - ended > limit_s:
            raise RunError(f"for {limit_s:g} s none of {len(self._calls)} tasks has ended, though task_timeout_s is "
                           f"{self._config.task_timeout_s:g} s: a worker hangs; restart the workers and run again")

    def cancel(self) -> None:
        """Cancel what is in flight."""
        from distributed.client import ClosedClientError

        if self._calls:
            with suppress(OSError, ClosedClientError):  # what a scheduler that has gone had to do has gone with it
                self._client.cancel(list(self._calls), force=True)
        self._calls.clear()
        self._anchors.clear()
        self._suspects.clear()

    def _start(self, call: _Call) -> None:
        from distributed.client import ClosedClientError

        resources = {"GPU": 1} if call.on_gpu else None
        name = call.task.__name__  # by it, Dask remembers how long such tasks take
        limited = (bounded, self._config.task_timeout_s) if self._config.task_timeout_s else ()
        try:
            if name not in self._anchors:
                self._anchors[name] = self._client.submit(bool, key=f"{name}-{uuid4().hex}", retries=LOSSES)
            future = self._client.submit(*limited, call.task, *call.arguments, key=f"{name}-{uuid4().hex}",
                                         retries=self._config.retries, resources=resources)
        except ClosedClientError as error:
            self._reconnect(error)
            self._start(call)
        else:
            self._calls[future] = call

    def _ended(self) -> list[tuple[_Call, Any]]:
        """Wait a moment for tasks to end; return those that have, and what they returned or raised."""
        from distributed import wait

        ended: list[tuple[_Call, Any]] = []
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
        except OSError:  # the connection broke while a result came: if the scheduler has gone, its tasks are cancelled
            time.sleep(POLL_S / 10)
        except CancelledError as error:
            if not ended:  # else the next call comes here
                self._reconnect(error)
        return ended

    def _reconnect(self, error: BaseException) -> None:
        """Connect to the scheduler as soon as it is back, and start what was in flight anew.

        Raises
        ------
        RunError
            It does not come back within ``scheduler_wait_s``, or is lost again and again.
        """
        lost, self._calls, self._anchors = list(self._calls.values()), {}, {}
        self._losses += 1
        wait_s = self._config.scheduler_wait_s
        deadline = time.monotonic() + wait_s
        gone = f"the scheduler has gone, or has dropped this run's tasks ({error})"
        if self._connect is None or self._losses > LOSSES:
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
        logger.warning("the scheduler is back: started %d tasks anew", len(lost))

    def _result(self, future: Any) -> Any:
        from distributed import KilledWorker

        error = future.exception(timeout=POLL_S)
        if isinstance(error, KilledWorker):
            return WorkersDied("every worker that ran it died: it needs more memory than worker_memory_gb, takes "
                               f"longer than task_timeout_s ({self._config.task_timeout_s:g} s), or crashes a library")
        return future.result(timeout=POLL_S) if error is None else error

    def _can_go_on(self) -> bool:
        """Tell whether a worker is at one of the tasks in flight, or will be when it is done with other people's."""
        workers = self._look(fresh=True)
        gpu_only = all(call.on_gpu for call in self._calls.values())
        able = [address for address in workers if not gpu_only or _offers_gpu(workers[address])]
        if not able:
            return False
        processing = self._ask("processing")
        if processing is None:
            return False
        ours = {future.key for future in self._calls}
        # where a worker is idle and yet none is at ours, they wait for what nobody will bring
        return any(ours & set(keys) for keys in processing.values()) or all(processing.get(one) for one in able)

    def _is_restarting(self) -> bool:
        """Tell whether a worker that could do one of the tasks has died, and its nanny is there to start another."""
        gpu_only = all(call.on_gpu for call in self._calls.values())
        return any(
            time.monotonic() - since < LONGEST_RESTART_S and (offers_gpu or not gpu_only) and self._answers(nanny)
            for nanny, (since, offers_gpu) in self._lost.items()
        )

    def _answers(self, nanny: str) -> bool:
        """Tell whether a nanny lives; the scheduler forgets it with its worker, so it is asked from here."""
        try:
            return bool(self._client.sync(self._client.rpc(nanny).identity, callback_timeout=ANSWER_S))
        except OSError:
            return False

    def _gpu_workers(self, *, fresh: bool = False) -> int:
        return sum(map(_offers_gpu, self._look(fresh=fresh).values()))

    def _look(self, *, fresh: bool = False) -> dict[str, Any]:
        """Return the workers, asked for anew when what is known has become old."""
        if fresh or time.monotonic() - self._looked > 5 * POLL_S:
            told = self._ask("identity", n_workers=-1)
            if told:
                self._note_lost(told["workers"])
            self._workers = told["workers"] if told else {}
            self._looked = time.monotonic()
        return self._workers

    def _note_lost(self, found: dict[str, Any]) -> None:
        """Note the nannies whose workers are not among those found, and forget those that have one again."""
        for address, worker in self._workers.items():
            if address not in found and worker.get("nanny"):
                self._lost[worker["nanny"]] = time.monotonic(), _offers_gpu(worker)
        for worker in found.values():
            self._lost.pop(worker.get("nanny"), None)

    def _ask(self, question: str, **details: Any) -> Any:
        """Return the scheduler's answer; None where it gives none, as its client is trying to reach it again."""
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
