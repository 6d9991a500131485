"""Connect to a running cluster, or start one for the duration of a run."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from typing import Any

from pipeline.config import RunConfig
from pipeline.encoders import gpu_devices, gpu_names
from pipeline.errors import ConfigError
from pipeline.execute.dask_engine import DaskEngine
from pipeline.execute.dask_settings import cluster_settings
from pipeline.execute.engine import Engine, LazyEngine, SerialEngine
from pipeline.execute.local import local_cluster
from pipeline.execute.security import check_address, tls_settings
from pipeline.execute.workers import workers_of

logger = logging.getLogger(__name__)

MAX_WORKER_SILENCE_S = 60.0
"""A worker that a run starts on its own machine is restarted if its scheduler hears nothing from it for this time."""

GPU_WORKER_MEMORY = "8GB"
"""Memory limit of a GPU worker that a run starts on its own machine. The GPU libraries alone take more than other
workers need."""

RECONNECT_INTERVAL_S = 0.2
"""Time between two attempts to connect to a scheduler that closes the connection."""


@contextmanager
def engine_for(config: RunConfig, client: Any = None) -> Iterator[Engine]:
    """Yield the engine for the tasks of a run. After the block, cancel its tasks and close it.

    The engine starts nothing and connects to nothing before the first task (:class:`LazyEngine`). The first task raises
    the errors of :func:`dask_engine`.

    Parameters
    ----------
    config : RunConfig
        Names the cluster. If ``config.serial`` is true, every task runs in this process.
    client : distributed.Client, optional
        Client of the cluster to use. None: the cluster that ``config`` names.
    """
    engine = SerialEngine() if config.serial else LazyEngine(lambda: dask_engine(config, client))
    try:
        yield engine
    finally:
        engine.close()


def runs_on_this_machine(config: RunConfig, client: Any = None) -> bool:
    """Return True if every task runs on this machine: in this process, or on workers that the run starts here."""
    return config.serial or (client is None and not config.scheduler and config.cluster == "local")


@contextmanager
def dask_engine(config: RunConfig, client: Any = None) -> Iterator[DaskEngine]:
    """Yield an engine on the cluster of ``client``, or on the cluster that ``config`` names (:func:`connected`).

    If the scheduler goes away, the engine connects again: to the same address, or to a new cluster if the run had
    started its own.

    A ``client`` is used as it is, with or without TLS, because its user has decided whom to trust. On a shared machine
    or network, a scheduler without TLS lets other people run code as the user of its workers.

    Raises
    ------
    ConfigError
        As :func:`connected` and :class:`DaskEngine` raise it.
    """
    with ExitStack() as connection:
        address, security = (client.scheduler.address, client.security) if client is not None else ("", None)

        def connect() -> Any:
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # the engine logs losses itself
            with suppress(Exception):  # a scheduler that has gone cannot be told
                connection.close()
            return connection.enter_context(connected(config) if client is None else _client(address, config, security))

        yield DaskEngine(client or connect(), config, connect)


@contextmanager
def connected(config: RunConfig) -> Iterator[Any]:
    """Yield a client of the cluster at ``config.scheduler``, or of a cluster that is started for the block.

    Raises
    ------
    ConfigError
        No scheduler answers, the cluster cannot be started, or it would accept connections from anyone.
    """
    import dask
    from distributed import Client

    _check_dashboard(config)
    if not config.scheduler and config.cluster == "local":
        with embedded_cluster(config) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    with dask.config.set(tls_settings(config)):
        if config.scheduler:
            with _client(config.scheduler, config) as client:
                yield client
            return
        with dask.config.set(cluster_settings()), _started(config) as cluster, _client(cluster, config) as client:
            yield client


def _check_dashboard(config: RunConfig) -> None:
    """Raise :class:`ConfigError` if a dashboard is asked for, but the cluster is elsewhere or Bokeh is missing."""
    if not config.dashboard:
        return
    if config.scheduler or config.cluster != "local":
        raise ConfigError("dashboard is for workers that the run starts on this machine, not for "
                          f"{config.scheduler or config.cluster}: a scheduler elsewhere decides itself whether it "
                          "serves one; leave dashboard out")
    if find_spec("bokeh") is None:
        raise ConfigError("the dashboard needs Bokeh, which is not installed; install it with: "
                          "pip install 'lookalike[dashboard]'")


def _client(address: Any, config: RunConfig, security: Any = None) -> Any:
    """Return a client of ``address``, which is a text or a cluster object of Dask.

    Raises
    ------
    ConfigError
        The address cannot be used, or no scheduler answers there.
    """
    from distributed.comm import get_address_host_port

    try:
        if isinstance(address, str):
            get_address_host_port(address)  # with a text that is no address, a client would hang for a minute
            if security is None:  # otherwise the user has connected to this address before
                check_address(address, config)
        return _connect_within(address, config.resource_wait_s, security)
    except ConfigError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"no Dask scheduler answers at {address} ({error})") from error


def _connect_within(address: Any, wait_s: float, security: Any) -> Any:
    """Return a client. A scheduler that closes the connection may be restarting: try again for ``wait_s`` seconds."""
    from distributed import Client
    from distributed.comm import CommClosedError

    deadline = time.monotonic() + wait_s
    while True:
        try:
            return Client(address, timeout=wait_s, security=security, set_as_default=False)
        except CommClosedError:
            if time.monotonic() > deadline:
                raise
        time.sleep(RECONNECT_INTERVAL_S)


def _started(config: RunConfig) -> Any:
    """Return a context manager that starts a cluster on other machines. It yields the cluster or its address."""
    if config.cluster == "ssh":
        from pipeline.execute.ssh import ssh_cluster

        return ssh_cluster(config)
    if config.cluster == "slurm":
        from pipeline.execute.slurm import slurm_cluster

        return slurm_cluster(config)
    from pipeline.execute.kubernetes import kubernetes_cluster

    return kubernetes_cluster(config)


@contextmanager
def embedded_cluster(config: RunConfig) -> Iterator[Any]:
    """Start a cluster on this machine that only this process and its workers can use; yield the cluster.

    It has ``config.workers`` worker processes, by default one per core. In addition, each GPU of the machine has a
    worker of its own, and no other process sees that GPU. If ``config.embed_on`` is ``cpu``, no worker sees a GPU.
    """
    import dask
    import distributed  # noqa: F401 - defines the settings that are changed below

    # the run reports a worker that dies; the log of distributed about it is for developers
    for library in ("distributed", "tornado.application", "bokeh"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    own = {"distributed.scheduler.worker-ttl": MAX_WORKER_SILENCE_S}
    gpus = gpu_names()
    no_gpu = {"CUDA_VISIBLE_DEVICES": ""} if gpus else {}
    with dask.config.set({**cluster_settings(), **own}), _script_hidden(), local_cluster(
            config.workers or os.cpu_count() or 1, f"{config.worker_memory_gb}GB", no_gpu,
            has_dashboard=config.dashboard) as cluster:
        if gpus and config.embed_on != "cpu":
            _add_gpu_workers(cluster, gpus)
        yield cluster


def _add_gpu_workers(cluster: Any, gpus: list[str]) -> None:
    """Start a worker for each GPU, which sees no other GPU. Stop the workers on which Keras cannot use the GPU."""
    from distributed import Client

    plain = cluster.new_spec
    for name in gpus:
        own = {"env": {"CUDA_VISIBLE_DEVICES": name}, "resources": {"GPU": 1}, "memory_limit": GPU_WORKER_MEMORY}
        cluster.worker_spec[f"gpu-{name}"] = {**plain, "options": {**plain["options"], **own}}
    cluster.scale(len(cluster.worker_spec))
    cluster.wait_for_workers(len(cluster.worker_spec))
    with Client(cluster, set_as_default=False) as client:
        workers = workers_of(client)
        names = {address: worker["name"] for address, worker in workers.items() if worker["resources"]}
        seen = client.run(gpu_devices, workers=list(names), on_error="return")  # also loads Keras
        unusable = [address for address, devices in seen.items() if not isinstance(devices, list) or not devices]
        if not unusable:
            return
        why = next((f" ({one!r})" for one in seen.values() if isinstance(one, BaseException)), "")
        logger.warning("Keras can use %d of the %d GPUs of this machine%s; if it can use none, CPUs compute vectors. "
                       "Install lookalike[gpu], or use --embed-on cpu", len(gpus) - len(unusable), len(gpus), why)
        for address in unusable:
            del cluster.worker_spec[names[address]]
        client.retire_workers(unusable)  # waits, so that no task is sent to them
    cluster.scale(len(cluster.worker_spec))


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Prevent workers from running the user's script when they start: it may lack ``if __name__ == "__main__"``."""
    main = vars(sys.modules["__main__"])
    kept: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    main.pop("__file__", None)
    try:
        yield
    finally:
        main.update(kept)
