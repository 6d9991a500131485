"""The cluster a run uses: the user's own, or one it starts for its own length, here or elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from pipeline.config import RunConfig
from pipeline.encoders import gpu_devices, gpu_names
from pipeline.errors import ConfigError
from pipeline.run.clusters.local import local_cluster
from pipeline.run.clusters.security import check_address, tls_settings
from pipeline.run.clusters.settings import cluster_settings
from pipeline.run.on_dask import DaskEngine

logger = logging.getLogger(__name__)

SILENT_S = 60.0
"""A worker of an embedded cluster that gives no sign of life for so long is started anew."""

GPU_WORKER_MEMORY = "8GB"
"""Of an embedded cluster's: the libraries of a GPU alone take some of the 2 GB that others have."""

GREETING_S = 0.2
"""So long after a scheduler went as it was greeted, it is greeted again."""


@contextmanager
def dask_engine(config: RunConfig, client: Any = None) -> Iterator[DaskEngine]:
    """Give an engine on ``client``, or on the cluster that ``config`` says (:func:`connected`).

    Where the scheduler goes, the engine connects again in the same way: to the same address, or to a cluster started
    anew where the run had started its own.

    A ``client`` is used as it is, over TLS or not: whoever connected it has decided whom to trust. On a shared machine
    or network, a scheduler without TLS lets other people run code as the user of its workers.
    """
    with ExitStack() as held:
        address, security = (client.scheduler.address, client.security) if client is not None else ("", None)

        def connect() -> Any:
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # the engine says what there is to say
            with suppress(Exception):  # what has gone need not say goodbye
                held.close()
            return held.enter_context(connected(config) if client is None else _client(address, config, security))

        yield DaskEngine(client or connect(), config, connect)


@contextmanager
def connected(config: RunConfig) -> Iterator[Any]:
    """Give a client of the running cluster of ``config.scheduler``, else of one started for the length of the block.

    Raises
    ------
    ConfigError
        Nobody answers, the cluster cannot be started, or it would be open to anybody.
    """
    import dask
    from distributed import Client

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


def _client(address: Any, config: RunConfig, security: Any = None) -> Any:
    """Return a client of an address, or of a cluster."""
    from distributed.comm import get_address_host_port

    try:
        if isinstance(address, str):
            get_address_host_port(address)  # a client of what is no address would not let go for a minute
            if security is None:  # else it is the user's own client, made anew
                check_address(address, config)
        return _greeted(address, config.resource_wait_s, security)
    except ConfigError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"no Dask scheduler answers at {address} ({error})") from error


def _greeted(address: Any, wait_s: float, security: Any) -> Any:
    """Return a client; a scheduler that went as it was greeted may be back soon, and is greeted again."""
    from distributed import Client
    from distributed.comm import CommClosedError

    deadline = time.monotonic() + wait_s
    while True:
        try:
            return Client(address, timeout=wait_s, security=security, set_as_default=False)
        except CommClosedError:
            if time.monotonic() > deadline:
                raise
        time.sleep(GREETING_S)


def _started(config: RunConfig) -> Any:
    """Start a cluster elsewhere; a context manager of it, or of its address."""
    if config.cluster == "ssh":
        from pipeline.run.clusters.ssh import ssh_cluster

        return ssh_cluster(config)
    if config.cluster == "slurm":
        from pipeline.run.clusters.slurm import slurm_cluster

        return slurm_cluster(config)
    from pipeline.run.clusters.kubernetes import kubernetes_cluster

    return kubernetes_cluster(config)


@contextmanager
def embedded_cluster(config: RunConfig) -> Iterator[Any]:
    """Start one worker process a core (or ``config.workers``) on this machine, for this process and its workers alone.

    Of a machine with GPUs each has a worker besides, which alone sees it; with ``embed_on`` ``cpu`` nobody does.
    """
    import dask
    import distributed  # noqa: F401 - its settings must be there before some are changed

    # what dies here comes back as a report; distributed's own account of it is for its developers
    for library in ("distributed", "tornado.application"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    own = {"distributed.scheduler.worker-ttl": SILENT_S}
    gpus = gpu_names()
    unseen = {"CUDA_VISIBLE_DEVICES": ""} if gpus else {}
    with dask.config.set({**cluster_settings(), **own}), _script_hidden(), local_cluster(
            config.workers or os.cpu_count() or 1, f"{config.worker_memory_gb}GB", unseen) as cluster:
        if gpus and config.embed_on != "cpu":
            _add_gpu_workers(cluster, gpus)
        yield cluster


def _add_gpu_workers(cluster: Any, gpus: list[str]) -> None:
    """Start a worker for each GPU, in whose way no other's memory or queue is; end those on which Keras sees none."""
    from distributed import Client

    plain = cluster.new_spec
    for name in gpus:
        own = {"env": {"CUDA_VISIBLE_DEVICES": name}, "resources": {"GPU": 1}, "memory_limit": GPU_WORKER_MEMORY}
        cluster.worker_spec[f"gpu-{name}"] = {**plain, "options": {**plain["options"], **own}}
    cluster.scale(len(cluster.worker_spec))
    cluster.wait_for_workers(len(cluster.worker_spec))
    with Client(cluster, set_as_default=False) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        names = {address: worker["name"] for address, worker in workers.items() if worker["resources"]}
        seen = client.run(gpu_devices, workers=list(names), on_error="return")  # by which Keras is loaded, too
        unusable = [address for address, devices in seen.items() if not isinstance(devices, list) or not devices]
        if not unusable:
            return
        why = next((f" ({one!r})" for one in seen.values() if isinstance(one, BaseException)), "")
        logger.warning("Keras can use %d of the %d GPUs of this machine%s; without any, processors make vectors. "
                       "Install lookalike[gpu], or say --embed-on cpu", len(gpus) - len(unusable), len(gpus), why)
        for address in unusable:
            del cluster.worker_spec[names[address]]
        client.retire_workers(unusable)  # and waits: no task is to count on them
    cluster.scale(len(cluster.worker_spec))


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
