"""A scheduler and workers, each started again whenever it ends, as systemd does."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.run.workers import LOOPBACK, environment

RESTART_S = 1.0


class Service:
    """A command that is started again whenever it ends."""

    def __init__(self, command: Sequence[str], log: Path, **changes: str) -> None:
        self._command, self._log, self._changes = command, log, changes
        self._is_over = threading.Event()
        self.starts = 0
        self._start()
        self._watch = threading.Thread(target=self._keep_up)
        self._watch.start()

    def _start(self) -> None:
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(self._command, env=environment(**self._changes), stdout=log, stderr=log)
        self.starts += 1

    def _keep_up(self) -> None:
        while not self._is_over.is_set():
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            if not self._is_over.wait(RESTART_S):
                self._start()

    def close(self) -> None:
        self._is_over.set()
        self._watch.join()
        self.process.kill()
        self.process.wait()


class Services:
    """A scheduler, two workers, and a worker that offers a GPU."""

    def __init__(self, folder: Path, preload: str) -> None:
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            port = free.getsockname()[1]
        self.address = f"tcp://{LOOPBACK}:{port}"
        dask = [sys.executable, "-m"]
        worker = [*dask, "distributed.cli.dask_worker", self.address, "--host", LOOPBACK, "--no-dashboard",
                  "--no-nanny", "--nthreads", "1", "--local-directory", str(folder),
                  "--preload", "pipeline.execute.preload_worker", "--preload", preload]
        commands = {
            "scheduler": [*dask, "distributed.cli.dask_scheduler", "--host", LOOPBACK, "--port", str(port),
                          "--no-dashboard", "--no-show"],
            "worker": worker, "other worker": worker, "GPU worker": [*worker, "--resources", "GPU=1"],
        }
        self.services = {name: Service(command, folder / f"{name}.log", OMP_NUM_THREADS="1",
                                       DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1",  # as cluster/dask.yaml has it
                                       DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="15s")
                         for name, command in commands.items()}

    def wait_for_workers(self, seconds: float = 90.0) -> None:
        from distributed import Client

        deadline = time.monotonic() + seconds
        while True:
            try:
                with Client(self.address, timeout=5, set_as_default=False) as client:
                    client.wait_for_workers(len(self.services) - 1, timeout=max(1.0, deadline - time.monotonic()))
                    return
            except OSError:
                if time.monotonic() > deadline:
                    raise

    def close(self) -> None:
        for service in self.services.values():
            service.close()


@contextmanager
def supervised(folder: Path, preload: str) -> Iterator[Services]:
    services = Services(folder, preload)
    try:
        services.wait_for_workers()
        yield services
    finally:
        services.close()
