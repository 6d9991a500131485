from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig
from pipeline.errors import ConfigError, RunError
from pipeline.execute.cluster import dask_engine, embedded_cluster, engine_for, runs_on_this_machine
from pipeline.execute.dask_engine import DaskEngine, WorkersDied
from pipeline.execute.engine import Call, Engine, LazyEngine, SerialEngine, pump
from pipeline.execute.time_limit import bounded
from tests.run import jobs
from tests.run.workers import LOOPBACK, drain, environment, gpu_worker, wait_until


@pytest.fixture(params=["serial", "dask"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made: Engine = (SerialEngine() if request.param == "serial"
                    else DaskEngine(request.getfixturevalue("client"), RunConfig(retries=0)))
    yield made
    made.cancel()


# --- any engine ----------------------------------------------------------------------------------------------------


def test_a_pumped_engine_is_kept_busy_within_its_capacity_and_outcomes_lead_to_more(engine: Engine) -> None:
    waiting, in_flight, most = list(range(30)), 0, 0

    def submit_next() -> bool:
        nonlocal in_flight, most
        if not waiting:
            return False
        number = waiting.pop()
        engine.submit(number, jobs.double, number)
        in_flight += 1
        most = max(most, in_flight)
        return True

    done = {}
    for number, outcome in pump(engine, submit_next):
        in_flight -= 1
        done[number] = outcome
        if number < 10:
            waiting.append(100 + number)
    assert done == {n: 2 * n for n in (*range(30), *range(100, 110))}
    assert most == engine.capacity


def test_each_ticket_comes_back_once_with_its_result(engine: Engine) -> None:
    for x in range(engine.capacity):
        engine.submit(("double", x), jobs.double, x)
    assert drain(engine, engine.capacity) == {("double", x): 2 * x for x in range(engine.capacity)}


def test_an_exception_is_an_outcome(engine: Engine, tmp_path: Path) -> None:
    engine.submit("bad", jobs.attempt, tmp_path / "counter", 1)
    (outcome,) = drain(engine, 1).values()
    assert isinstance(outcome, OSError)
    assert str(outcome) == "attempt 1"


def test_what_is_cancelled_does_not_come_back(engine: Engine) -> None:
    engine.submit("old", jobs.double, 1)
    engine.cancel()
    engine.submit("new", jobs.double, 2)
    assert drain(engine, 1) == {"new": 4}


def test_without_a_gpu_tasks_for_one_are_not_asked_for(engine: Engine) -> None:
    assert not engine.offers_gpu
    engine.submit("cpu", jobs.double, 3, on_gpu=False)
    assert drain(engine, 1) == {"cpu": 6}


def test_calls_may_be_added_while_others_run_and_errors_may_lead_to_more(engine: Engine, tmp_path: Path) -> None:
    calls = deque([Call("bad", jobs.attempt, (tmp_path / "bad", 1)), *(Call(n, jobs.double, (n,)) for n in range(5))])
    errors = []

    def on_error(ticket: Any, error: BaseException) -> None:
        errors.append((ticket, str(error)))
        calls.append(Call("again", jobs.attempt, (tmp_path / "bad", 1)))

    results = {}
    for ticket, result in engine.run_all(calls, on_error):
        results[ticket] = result
        if ticket == 4:
            calls.append(Call("added", jobs.double, (21,)))
    assert results == {0: 0, 1: 2, 2: 4, 3: 6, 4: 8, "again": 2, "added": 42}
    assert errors == [("bad", "attempt 1")]


def test_an_error_ends_the_calls_and_leaves_nothing_in_flight(engine: Engine, tmp_path: Path) -> None:
    calls = deque([Call("bad", jobs.attempt, (tmp_path / "bad", 1)), *(Call(n, jobs.double, (n,)) for n in range(5))])
    with pytest.raises(OSError, match="attempt 1"):
        list(engine.run_all(calls))
    engine.submit("new", jobs.double, 2)
    assert drain(engine, 1) == {"new": 4}


def test_results_come_in_the_order_of_the_calls(engine: Engine) -> None:
    assert engine.results_of([Call(n, jobs.sleep, (0.1 / (n + 1),)) for n in range(4)]) == [
        0.1 / (n + 1) for n in range(4)]
    assert engine.results_of([]) == []


# --- an engine that starts at its first task -----------------------------------------------------------------------


class Started:
    """Counts how often an engine is started and ended."""

    def __init__(self) -> None:
        self.started = self.ended = 0

    @contextmanager
    def __call__(self) -> Iterator[Engine]:
        self.started += 1
        yield SerialEngine()
        self.ended += 1


def test_nothing_is_started_before_the_first_task() -> None:
    started = Started()
    engine = LazyEngine(started)
    assert list(engine.run_all(deque())) == []
    assert engine.capacity == 1
    engine.cancel()
    engine.close()
    assert started.started == 0
    assert engine.results_of([Call(n, jobs.double, (n,)) for n in range(3)]) == [0, 2, 4]
    assert (started.started, started.ended) == (1, 0)
    engine.submit("forgotten", jobs.double, 1)
    for _ in range(2):
        engine.close()
        assert (started.started, started.ended) == (1, 1)


def test_the_question_for_a_gpu_starts_it_too() -> None:
    started = Started()
    assert LazyEngine(started).offers_gpu is False
    assert started.started == 1


def test_one_configuration_says_where_tasks_run(client: Any) -> None:
    nowhere = RunConfig(scheduler=f"tcp://{LOOPBACK}:1", insecure=True, resource_wait_s=0.1)
    with engine_for(nowhere) as engine:
        assert engine.results_of([]) == []
        with pytest.raises(ConfigError, match="no Dask scheduler answers"):
            engine.submit("pid", jobs.worker_pid)
    serial = RunConfig(serial=True)
    for config, given in ((RunConfig(serial=True, scheduler=nowhere.scheduler), None), (serial, client)):
        with engine_for(config, given) as engine:
            assert engine.results_of([Call(0, jobs.worker_pid)]) == [os.getpid()]
        assert runs_on_this_machine(config, given)
    with engine_for(RunConfig(), client) as engine:
        assert engine.results_of([Call(0, jobs.worker_pid)]) != [os.getpid()]
    assert runs_on_this_machine(RunConfig())
    assert not any((runs_on_this_machine(RunConfig(), client), runs_on_this_machine(nowhere),
                    runs_on_this_machine(RunConfig(cluster="ssh"))))


# --- Dask ----------------------------------------------------------------------------------------------------------


def test_capacity_follows_the_threads_of_the_cluster(client: Any) -> None:
    assert DaskEngine(client, RunConfig(in_flight=5)).capacity == 10


@pytest.mark.timeout(400)  # longer than the test waits for the scheduler
def test_an_endless_list_of_work_never_fills_the_scheduler(client: Any, cluster: Any) -> None:
    others = set(cluster.scheduler.tasks)  # tasks of earlier tests, whose futures are not collected yet
    engine = DaskEngine(client, RunConfig(in_flight=2))
    known: list[int] = []
    endless, in_flight, done = itertools.count(), 0, 0
    while done < 60:
        while in_flight < engine.capacity:
            engine.submit(next(endless), jobs.double, 1)
            in_flight += 1
        known.append(len(set(cluster.scheduler.tasks) - others))
        ended = len(engine.wait())
        in_flight -= ended
        done += ended
    engine.cancel()
    # the scheduler forgets an ended task after one or two more messages
    assert max(known) <= 3 * engine.capacity
    wait_until(lambda: set(cluster.scheduler.tasks) <= others, seconds=300)


def test_a_task_that_fails_for_no_fault_of_its_own_is_retried_a_bounded_number_of_times(
    client: Any, tmp_path: Path
) -> None:
    engine = DaskEngine(client, RunConfig(retries=2))
    engine.submit("heals", jobs.attempt, tmp_path / "heals", 2)
    engine.submit("never", jobs.attempt, tmp_path / "never", 9)
    outcomes = drain(engine, 2)
    assert outcomes["heals"] == 3
    assert isinstance(outcomes["never"], OSError)
    assert (tmp_path / "never").stat().st_size == 3


def test_tasks_for_a_gpu_run_on_the_workers_that_have_one(client: Any, cluster: Any) -> None:
    with gpu_worker(cluster) as worker:
        engine = DaskEngine(client, RunConfig(embed_on="gpu"))
        assert engine.offers_gpu
        for n in range(5):
            engine.submit(("gpu", n), jobs.worker_pid, on_gpu=True)
            engine.submit(("cpu", n), jobs.worker_pid)
        outcomes = drain(engine, 10)
        assert {pid for (kind, _), pid in outcomes.items() if kind == "gpu"} == {worker.pid}
        assert {pid for (kind, _), pid in outcomes.items() if kind == "cpu"} != {worker.pid}


def test_a_gpu_that_nobody_offers_is_an_error_after_a_bounded_wait(client: Any) -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"after 0\.5 s no worker offers the resource GPU, but embed_on is gpu; "):
        DaskEngine(client, RunConfig(embed_on="gpu", resource_wait_s=0.5))
    assert 0.5 <= time.monotonic() - began < 10


def test_a_gpu_that_vanishes_is_an_error_after_a_bounded_wait_not_silence(client: Any, cluster: Any) -> None:
    with gpu_worker(cluster) as worker:
        engine = DaskEngine(client, RunConfig(embed_on="gpu", resource_wait_s=1.0))
        engine.submit("long", jobs.sleep, 600.0, on_gpu=True)
        engine.submit("short", jobs.double, 1)
        assert drain(engine, 1) == {"short": 2}
        worker.kill()
        with pytest.raises(RunError, match=r"for 1 s no worker could run what is left to do \(1 tasks\); start"):
            engine.wait()
        engine.cancel()


def test_a_result_that_dies_with_its_worker_is_made_again_or_missed_aloud(client: Any, cluster: Any) -> None:
    engine = DaskEngine(client, RunConfig(resource_wait_s=1.0))
    with gpu_worker(cluster) as worker:
        engine.submit("pid", jobs.worker_pid, on_gpu=True)
        (future,) = engine._calls
        wait_until(lambda: future.done())
        worker.kill()
        worker.wait()
        with pytest.raises(RunError, match=r"for 1 s no worker could run what is left to do \(1 tasks\)"):
            engine.wait()
    with gpu_worker(cluster) as other:
        assert engine.wait() == [("pid", other.pid)]


def test_a_gpu_that_comes_back_in_time_finishes_the_work(client: Any, cluster: Any) -> None:
    with gpu_worker(cluster) as worker:
        engine = DaskEngine(client, RunConfig(embed_on="gpu", resource_wait_s=30.0))
        engine.submit("pid", jobs.worker_pid, on_gpu=True)
        (first,) = drain(engine, 1).values()
        assert first == worker.pid
        worker.kill()
        worker.wait()
        engine.submit("pid", jobs.worker_pid, on_gpu=True)
    with gpu_worker(cluster) as other:
        assert drain(engine, 1) == {"pid": other.pid}


def test_a_scheduler_without_workers_is_an_error_after_a_bounded_wait() -> None:
    from distributed import Client, LocalCluster

    with (LocalCluster(n_workers=0, host=LOOPBACK, dashboard_address=f"{LOOPBACK}:0") as empty,
          Client(empty, set_as_default=False) as client,
          pytest.raises(ConfigError, match=r"after 0\.5 s no worker has joined the cluster")):
        DaskEngine(client, RunConfig(resource_wait_s=0.5))


def test_a_scheduler_that_dies_is_an_error_not_silence() -> None:
    command = [sys.executable, "-c", SCHEDULER_AND_WORKER]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True,
                               env=environment(DASK_LOGGING__DISTRIBUTED="critical"))
    assert process.stdout is not None
    try:
        config = RunConfig(scheduler=process.stdout.readline().strip(), insecure=True, resource_wait_s=2.0,
                           scheduler_wait_s=3.0)
        with dask_engine(config) as engine:
            engine.submit("long", jobs.sleep, 600.0)
            os.killpg(process.pid, signal.SIGKILL)
            with pytest.raises(RunError, match=r"has not come back for 3 s; start it and run again"):
                engine.wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


SCHEDULER_AND_WORKER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    local = dict(protocol="tcp", host="127.0.0.1", dashboard_address="127.0.0.1:0")
    cluster = LocalCluster(n_workers=1, processes=False, **local)
    print(cluster.scheduler_address, flush=True)
    time.sleep(600)
"""


def test_a_task_that_kills_its_workers_fails_alone_and_takes_no_neighbour_with_it(tmp_path: Path) -> None:
    with embedded_cluster(RunConfig(workers=2)) as cluster:
        from distributed import Client

        with Client(cluster, set_as_default=False) as client:
            engine = DaskEngine(client, RunConfig())
            engine.submit("killer", jobs.die, tmp_path / "killer", 99)
            engine.submit("unlucky", jobs.die, tmp_path / "unlucky", 1)
            for n in range(engine.capacity - 2):
                engine.submit(("good", n), jobs.sleep, 0.1)
            outcomes = drain(engine, engine.capacity)
            assert engine.capacity > 0, "what ran alone has ended"
    assert isinstance(outcomes.pop("killer"), WorkersDied)
    assert outcomes.pop("unlucky") >= 2, "tried again; and once more if its result died with a worker of the killer"
    assert set(outcomes.values()) == {0.1}
    assert 2 <= (tmp_path / "killer").stat().st_size <= 4


def test_a_worker_that_stays_full_is_restarted() -> None:
    """Dask pauses a worker whose memory is nearly full, also if no task runs there."""
    from distributed import Client

    config = RunConfig(workers=1, worker_memory_gb=0.7, resource_wait_s=30.0)
    with embedded_cluster(config) as cluster, Client(cluster, set_as_default=False) as client:
        engine = DaskEngine(client, config)
        engine.submit("fill", jobs.fill_memory, 0.83)  # above 0.8 Dask pauses, above 0.95 the nanny ends it
        (full,) = drain(engine, 1).values()
        wait_until(lambda: {one["status"] for one in engine._look(fresh=True).values()} == {"paused"})
        engine.submit("pid", jobs.worker_pid)
        (other,) = drain(engine, 1).values()
    assert full != other


def test_a_worker_that_is_being_restarted_is_no_standstill(tmp_path: Path) -> None:
    """The only worker takes longer to start than a run waits for workers."""
    from distributed import Client

    with embedded_cluster(RunConfig(workers=1)) as cluster, Client(cluster, set_as_default=False) as client:
        engine = DaskEngine(client, RunConfig(workers=1, resource_wait_s=0.1))
        engine.submit("unlucky", jobs.die, tmp_path / "unlucky", 1)
        for n in range(4):
            engine.submit(("good", n), jobs.sleep, 0.1)
        outcomes = drain(engine, 5)
        assert outcomes.pop("unlucky") >= 2, "tried again; and once more if its result died with a worker of the killer"
        assert set(outcomes.values()) == {0.1}
        engine.submit("late", jobs.sleep, 60.0)
        cluster.scale(0)  # ends the worker and its nanny, which therefore starts no other
        with pytest.raises(RunError, match="no worker could run what is left to do"):
            engine.wait()


def test_where_a_worker_that_cannot_be_ended_hangs_the_wait_is_bounded() -> None:
    """A task that takes too long is not ended if it runs in the user's own process, together with the scheduler."""
    from distributed import Client, LocalCluster

    local = {"protocol": "tcp", "host": LOOPBACK, "dashboard_address": f"{LOOPBACK}:0", "n_workers": 1,
             "processes": False}
    with LocalCluster(**local) as cluster, Client(cluster, set_as_default=False) as client:
        engine = DaskEngine(client, RunConfig(task_timeout_s=0.2))
        engine.submit("hangs", jobs.sleep, 5.0)
        with pytest.raises(RunError, match=r"for 1 s none of 1 tasks has ended, though task_timeout_s is 0\.2 s"):
            engine.wait()
        engine.cancel()


def test_a_task_within_its_time_is_left_alone() -> None:
    assert bounded(60.0, jobs.double, 4) == 8
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer) and thread.is_alive()
                and not thread.finished.is_set()]
