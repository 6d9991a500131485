"""A cluster on this machine for one run, which no other user of the machine can use.

Every port asks for a certificate that only the processes of the run have, and no port serves HTTP. Scratch files are in
a folder that only its owner can open: Dask puts it first on Python's search path.
"""

from __future__ import annotations

import logging
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.run.clusters.security import own_security
from pipeline.text import shown

LOOPBACK = "127.0.0.1"


@contextmanager
def local_cluster(workers: int, memory_limit: str, env: dict[str, str]) -> Iterator[Any]:
    """Start a scheduler in this process, and so many worker processes of one thread each with ``env`` added."""
    from distributed import Nanny, Scheduler, SpecCluster

    security = own_security()
    with private_scratch() as scratch:
        common = {"host": LOOPBACK, "protocol": "tls://", "security": security, "local_directory": scratch}
        scheduler = {"cls": without_http(Scheduler), "options": {**common, "port": 0, "dashboard": False}}
        options = {**common, "nthreads": 1, "memory_limit": memory_limit, "env": env, "dashboard": False,
                   "worker_class": worker_without_http, "silence_logs": logging.CRITICAL}
        worker = {"cls": Nanny, "options": options}
        with SpecCluster({name: worker for name in range(workers)}, scheduler, worker, security=security,
                         silence_logs=logging.CRITICAL, name="lookalike") as cluster:
            yield cluster


@contextmanager
def private_scratch() -> Iterator[str]:
    """Give a new folder for Dask's files that only this user can open; delete it after the block.

    By its own settings Dask uses one folder for all users, and whoever made it can put modules and pickles there.

    Raises
    ------
    ConfigError
        No folder can be made, or every user could put another one in its place.
    """
    from dask import config

    place = Path(config.get("temporary-directory", None) or tempfile.gettempdir())
    advice = "set TMPDIR, or temporary-directory in Dask's configuration, to a folder of your own"
    try:
        place.mkdir(parents=True, exist_ok=True)
        mode = place.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise ConfigError(f"{shown(place)}: every user can replace what others put there (mode "
                              f"{stat.S_IMODE(mode):o}); {advice}")
        held = tempfile.TemporaryDirectory(prefix="lookalike-", dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(f"{shown(place)}: no folder for scratch files can be made there ({error.strerror}); "
                          f"{advice}") from error
    with held as folder:
        yield folder


def without_http(kind: Any) -> Any:
    """Return a class of Dask's servers that opens no port for HTTP; by itself, Dask opens one even to serve nothing."""

    class Quiet(kind):  # type: ignore[misc]
        """Talks to its peers alone."""

        def start_http_server(self, *_: Any, **__: Any) -> None:
            """Start none."""

    Quiet.__name__ = Quiet.__qualname__ = kind.__name__  # by which Dask names folders and logs
    return Quiet


def worker_without_http(*arguments: Any, **options: Any) -> Any:
    """Make a worker in its process; a function, as a class of :func:`without_http` cannot be sent there."""
    from distributed import Worker

    return without_http(Worker)(*arguments, **options)
