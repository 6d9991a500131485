"""Start a cluster on this machine for one run. No other user of the machine can use it.

Every port asks for a certificate that only the processes of the run have. No port serves HTTP, unless the user asks for
Dask's dashboard. Then the scheduler serves it on the loopback interface, read only and without a password. Scratch
files are in a folder that only its owner can open, because Dask puts this folder first on Python's search path.
"""

from __future__ import annotations

import logging
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.execute.security import own_security
from pipeline.support.text import shown

LOOPBACK = "127.0.0.1"
DASHBOARD = f"{LOOPBACK}:8787"
"""Address of the dashboard: Dask's usual port, or any other if that is taken."""
DASHBOARD_SETTINGS = {
    "distributed.scheduler.http.routes": ["distributed.http.statics"],  # what the pages need, and no other interface
    # no page of another site may connect to it from the user's browser; Bokeh then allows localhost with its own port
    "distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin": [],
}
"""Settings of Dask for a scheduler with a dashboard."""

logger = logging.getLogger(__name__)


@contextmanager
def local_cluster(
    workers: int, memory_limit: str, env: dict[str, str], *, has_dashboard: bool = False
) -> Iterator[Any]:
    """Start a scheduler in this process and worker processes of one thread each; yield the cluster.

    Parameters
    ----------
    workers : int
        Number of worker processes.
    memory_limit : str
        Memory limit of each, such as ``2GB``.
    env : dict
        Variables to add to the environment of the workers.
    has_dashboard : bool
        True to serve Dask's dashboard. Its address is logged as a warning, because others can open it.
    """
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    security = own_security()
    with private_scratch() as scratch, _loop_without_interrupts() as loop:
        common = {"host": LOOPBACK, "protocol": "tls://", "security": security, "local_directory": scratch}
        scheduler = {
            "cls": Scheduler if has_dashboard else without_http(Scheduler),
            "options": {**common, "port": 0, "dashboard": has_dashboard, "dashboard_address": DASHBOARD},
        }
        options = {**common, "nthreads": 1, "memory_limit": memory_limit, "env": env, "dashboard": False,
                   "worker_class": worker_without_http, "silence_logs": logging.CRITICAL}
        worker = {"cls": Nanny, "options": options}
        settings = DASHBOARD_SETTINGS if has_dashboard else {}
        with dask.config.set(settings), SpecCluster(
                {name: worker for name in range(workers)}, scheduler, worker, security=security, loop=loop,
                silence_logs=logging.CRITICAL, name="lookalike") as cluster:
            if has_dashboard:
                logger.warning("dashboard: http://localhost:%d/status (every user of this machine can open it, and see "
                               "the names of files and tasks)", cluster.scheduler.http_server.port)
            yield cluster


@contextmanager
def _loop_without_interrupts() -> Iterator[Any]:
    """Start Dask's event loop in a thread that blocks Ctrl-C; yield the loop.

    Its threads and the worker processes that they start inherit that. A terminal sends Ctrl-C to every process, and a
    worker that is still importing libraries would print a traceback. This process ends the workers.
    """
    from distributed.utils import LoopRunner

    resource_tracker.ensure_running()  # would be started later, and end the blocking
    runner = LoopRunner(asynchronous=False)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        runner.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield runner.loop
    finally:
        runner.stop()


@contextmanager
def private_scratch() -> Iterator[str]:
    """Make a new folder for Dask's files that only this user can open; yield its path. Delete it after the block.

    By default, Dask uses one folder for all users. The user who made that folder can put modules and pickles into it.

    Raises
    ------
    ConfigError
        The folder cannot be made, or every user could replace it.
    """
    from dask import config

    place = Path(config.get("temporary-directory", None) or tempfile.gettempdir())
    advice = "set TMPDIR, or temporary-directory in Dask's configuration, to a folder of your own"
    try:
        place.mkdir(parents=True, exist_ok=True)
        mode = place.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise ConfigError(f"{shown(place)}: every user can replace the files of others there (mode "
                              f"{stat.S_IMODE(mode):o}); {advice}")
        held = tempfile.TemporaryDirectory(prefix="lookalike-", dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(f"{shown(place)}: no folder for scratch files can be made there ({error.strerror}); "
                          f"{advice}") from error
    with held as folder:
        yield folder


def without_http(kind: Any) -> Any:
    """Return a subclass of one of Dask's servers that opens no HTTP port. Dask opens one even if it serves no page."""

    class WithoutHttp(kind):  # type: ignore[misc]
        """A server without an HTTP port."""

        def start_http_server(self, *_: Any, **__: Any) -> None:
            """Do nothing."""

    WithoutHttp.__name__ = WithoutHttp.__qualname__ = kind.__name__  # Dask names folders and logs by it
    return WithoutHttp


def worker_without_http(*arguments: Any, **options: Any) -> Any:
    """Make a worker without HTTP in its own process. A class made by :func:`without_http` could not be sent there."""
    from distributed import Worker

    return without_http(Worker)(*arguments, **options)
