"""Clusters for an engine: the user's own, or worker processes on this machine for the length of a run."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.run.engine import DaskEngine


@contextmanager
def dask_engine(config: RunConfig, client: Any = None) -> Iterator[DaskEngine]:
    """Give an engine on ``client``, else on the running cluster of ``config.scheduler``, else on an embedded one."""
    if client is not None:
        yield DaskEngine(client, config)
        return
    from distributed import Client
    from distributed.comm import get_address_host_port

    if config.scheduler:
        try:
            get_address_host_port(config.scheduler)  # a client of what is no address would not let go for a minute
            client = Client(config.scheduler, timeout=config.resource_wait_s, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigError(f"no Dask scheduler answers at {config.scheduler} ({error})") from error
        with client:
            yield DaskEngine(client, config)
        return
    with embedded_cluster(config) as cluster, Client(cluster, set_as_default=False) as client:
        _ignore_interrupts(client)
        yield DaskEngine(client, config)


@contextmanager
def embedded_cluster(config: RunConfig) -> Iterator[Any]:
    """Start one worker process a core (or ``config.workers``) on this machine, listening on loopback only."""
    import dask
    from distributed import LocalCluster

    # what dies here comes back as a report; distributed's own account of it is for its developers
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set(_settings()), _script_hidden(), LocalCluster(
        n_workers=config.workers or os.cpu_count() or 1,
        threads_per_worker=1,
        memory_limit=f"{config.worker_memory_gb}GB",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # a port is opened even where there is no dashboard: any free one
        scheduler_kwargs={"dashboard": False},
        worker_dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster


def _settings() -> dict[str, Any]:
    """Dask's settings for the embedded cluster."""
    one_thread = ("NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return {
        # not pre-spawn-environ, which Dask sets in this process, too: numba would take offence
        "distributed.nanny.environ": dict.fromkeys(one_thread, "1"),
        "distributed.worker.profile.enabled": False,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.scheduler.allowed-failures": 1,  # a task blamed twice is tried alone
    }


def _ignore_interrupts(client: Any) -> None:
    """Let a terminal's Ctrl-C, which all processes get, end only the run, which then ends its workers."""
    from distributed import WorkerPlugin

    class IgnoreInterrupts(WorkerPlugin):  # type: ignore[misc]
        """Set up in each worker process as it starts."""

        def setup(self, worker: Any) -> None:
            """Ignore SIGINT."""
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    client.register_plugin(IgnoreInterrupts())


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Keep workers from running the user's script as they start: it may lack ``if __name__ == "__main__"``."""
    main = vars(sys.modules["__main__"])
    kept: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    main.pop("__file__", None)
    try:
        yield
    finally:
        main.update(kept)
