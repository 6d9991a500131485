"""The cluster a run uses: the one that is named, or one of its own on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.run.cluster import dask_engine
from tests.run import jobs
from tests.run.workers import LOOPBACK, drain, environment


def test_a_scheduler_nobody_answers_at_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        address = f"tcp://{LOOPBACK}:{listening.getsockname()[1]}"
    for scheduler in (address, "nonsense://nowhere"):
        config = RunConfig(scheduler=scheduler, resource_wait_s=0.5)
        with pytest.raises(ConfigError, match=f"no Dask scheduler answers at {scheduler}"), dask_engine(config):
            pass


def test_a_running_scheduler_is_used_by_its_address(cluster: Any, client: Any) -> None:
    with dask_engine(RunConfig(scheduler=cluster.scheduler_address)) as engine:
        engine.submit("pid", jobs.worker_pid)
        (pid,) = drain(engine, 1).values()
    assert pid in client.run(os.getpid).values()
    assert client.submit(jobs.double, 4, pure=False).result() == 8, "leaving the engine leaves the cluster"


def listening_addresses(process: psutil.Process) -> set[str]:
    everyone = [process, *process.children(recursive=True)]
    return {c.laddr.ip for one in everyone for c in one.net_connections() if c.status == psutil.CONN_LISTEN}


def test_nothing_of_the_embedded_cluster_listens_beyond_this_machine(cluster: Any) -> None:
    assert listening_addresses(psutil.Process()) == {LOOPBACK}


def test_embedded_workers_take_one_core_and_a_bounded_memory_each(client: Any) -> None:
    (one, two) = client.scheduler_info(n_workers=-1)["workers"].values()
    assert (one["nthreads"], one["memory_limit"]) == (two["nthreads"], two["memory_limit"]) == (1, 2_000_000_000)
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        assert set(client.run(jobs.environment_of_worker, name).values()) == {"1"}, name


def test_a_script_without_a_main_guard_may_use_the_embedded_cluster(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from pipeline.config import RunConfig\n"
        "from pipeline.run.cluster import dask_engine\n"
        "from tests.run import jobs\n"
        "print('script runs', flush=True)\n"
        "with dask_engine(RunConfig(workers=1)) as engine:\n"
        "    engine.submit('one', jobs.double, 21)\n"
        "    print(engine.wait())\n"
        "print(__file__)\n"
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["script runs", "[('one', 42)]", str(script)], done.stderr
    assert done.stderr == ""
