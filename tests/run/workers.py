"""Real processes for tests: workers, commands, and checks of which processes are still alive."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from pipeline.execute.engine import Engine
from tests.run.small import COARSE

LOOPBACK = "127.0.0.1"


def environment(**changes: str) -> dict[str, str]:
    """Return an environment in which a process finds this package and these tests from any folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **changes}


def wait_until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@contextmanager
def credentials(cluster: Any) -> Iterator[Path]:
    """A folder with the certificate of an embedded cluster, as ``make certs`` makes one."""
    own = cluster.security
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("ca", own.tls_ca_file), ("cert", own.tls_client_cert), ("key", own.tls_client_key)):
            (Path(folder) / f"{name}.pem").write_text(text)
        yield Path(folder)


def tls_flags(certificates: Path) -> list[str]:
    """Return the flags of ``lookalike`` that name the certificates."""
    return ["--tls-ca", str(certificates / "ca.pem"), "--tls-cert", str(certificates / "cert.pem"),
            "--tls-key", str(certificates / "key.pem")]


def dask_flags(certificates: Path) -> list[str]:
    """Return the flags of Dask's own commands that name the certificates."""
    return ["--tls-ca-file", *tls_flags(certificates)[1:]]


def tls_config(certificates: Path) -> dict[str, str]:
    """Return the values of a :class:`RunConfig` that name the certificates."""
    return {f"tls_{name}": str(certificates / f"{name}.pem") for name in ("ca", "cert", "key")}


@contextmanager
def gpu_worker(cluster: Any, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start another worker, which offers a GPU, with the command that an operator uses and a changed environment."""
    with credentials(cluster) as certificates:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--host", LOOPBACK,
                   "--no-dashboard", "--no-nanny", "--nthreads", "1", "--resources", "GPU=1", *dask_flags(certificates)]
        workers = cluster.scheduler.workers
        before = len(workers)
        process = subprocess.Popen(command, env=environment(DASK_LOGGING__DISTRIBUTED="critical", **changes))
        try:
            wait_until(lambda: len(workers) == before + 1, seconds=90)  # on a busy machine, a process starts late
            yield process
        finally:
            process.kill()
            process.wait()
            wait_until(lambda: len(workers) == before)


def worker_processes(parent: psutil.Process) -> set[psutil.Process]:
    """Return the living processes of an embedded cluster."""
    found = set()
    for child in parent.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just ended; a zombie counts as such
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child)
    return found


def preload(folder: Path, name: str, *body: str) -> str:
    """Write a module that workers load when they start; return its path.

    The function of this name, in a module of ``pipeline.tasks``, gets a new body, in which ``really(*a, **k)`` is the
    old function.
    """
    path = folder / f"preload_{name}.py"
    path.write_text("\n".join([
        "import os, time",
        "from pipeline.tasks import embed, index, scan",
        f"home = next(one for one in (scan, embed, index) if hasattr(one, {name!r}))",
        f"really = getattr(home.{name}, 'really', home.{name})",  # Dask loads it more than once
        f"def {name}(*a, **k):",
        *(f"    {line}" for line in body),
        "    return really(*a, **k)",
        f"{name}.really = really",
        f"home.{name} = {name}",
        "",
    ]))
    return str(path)


@contextmanager
def preloaded(*paths: str) -> Iterator[None]:
    """Let the workers of clusters that start within the block load modules."""
    import distributed  # noqa: F401 - its settings must be there before one is changed
    from dask import config

    with config.set({"distributed.worker.preload": [*paths]}):
        yield


def slowly(folder: Path, seconds: float) -> str:
    """Write a module that makes each scan task take longer, so that something can happen to it; return its path."""
    return preload(folder, "_scan_part", f"time.sleep({seconds})")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def ingest_command(data: Path, root: Path, *, serial: bool = False, workers: int = 2) -> list[str]:
    where = ["--serial"] if serial else ["--workers", str(workers)]
    return command("ingest", data, "--corpus", root, "--coarse-width", str(COARSE), "--views", "none", "--json", *where,
                   "--encoder", "power-spectrum")


@contextmanager
def started(arguments: list[str], folder: Path, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command in its own process group, as a shell does. All its processes are ended after the block."""
    process = subprocess.Popen(arguments, cwd=folder, env=environment(**changes), text=True, start_new_session=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    family = [psutil.Process(process.pid)]
    try:
        yield process
    finally:
        family += family[0].children(recursive=True) if family[0].is_running() else []
        for one in family:
            if one.is_running():
                one.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()


def are_gone(processes: set[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def drain(engine: Engine, count: int) -> dict[Any, Any]:
    outcomes: dict[Any, Any] = {}
    while len(outcomes) < count:
        ended = engine.wait()
        assert ended, "wait returns at least one"
        outcomes.update(ended)
    return outcomes
