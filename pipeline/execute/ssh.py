"""Start a cluster by ssh: the processes that ``distributed.SSHCluster`` starts, and GPU workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.execute.cluster_file import read_cluster_file
from pipeline.execute.security import check_hosts, has_certificates

MAX_IDLE_TIME = "1 hour"
"""A scheduler that has no task for this time ends, and so do its workers. This happens if the run has died."""

_KEYS = {"scheduler": str, "workers": list, "gpu_workers": list, "connect_options": dict, "worker_options": dict,
         "scheduler_options": dict, "remote_python": str}


@contextmanager
def ssh_cluster(config: RunConfig) -> Iterator[Any]:
    """Start the cluster of the file ``config.cluster_config`` (``cluster/ssh.yaml``); yield it. End it after the block.

    Raises
    ------
    ConfigError
        The file cannot be used, asyncssh is missing, a machine cannot be reached, or the scheduler would accept
        connections without TLS.
    """
    table = read_cluster_file(config, _KEYS)
    hosts = [table.get("scheduler", ""), *map(str, table.get("workers", []))]
    if not all(hosts) or len(hosts) < 2:
        raise ConfigError(f"{config.cluster_config}: name a scheduler, and at least one machine under workers")
    is_encrypted = has_certificates()
    check_hosts(hosts, config, is_encrypted=is_encrypted)
    try:
        import asyncssh  # noqa: F401 - distributed imports it later
        from distributed import SpecCluster
    except ImportError as error:
        raise ConfigError("--cluster ssh needs asyncssh: pip install 'lookalike[ssh]'") from error
    try:
        cluster = SpecCluster(_workers(table), _scheduler(table, is_encrypted), name="lookalike-ssh")
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{config.cluster_config}: the cluster cannot be started by ssh ({error})") from error
    try:
        yield cluster
    finally:
        with suppress(OSError):  # the scheduler and its workers may have gone
            cluster.close()


def _scheduler(table: dict[str, Any], is_encrypted: bool) -> dict[str, Any]:
    from distributed.deploy.ssh import Scheduler

    host = table["scheduler"]
    options = {"host": host, "port": 0, "protocol": "tls://" if is_encrypted else "tcp://", "dashboard": False,
               "dashboard_address": "127.0.0.1:0", "idle_timeout": MAX_IDLE_TIME, **table.get("scheduler_options", {})}
    return {"cls": Scheduler, "options": {**_connection(table, host), "kwargs": options}}


def _workers(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return name → description of each group of workers: one group per host, and one per GPU."""
    from distributed.deploy.ssh import Worker

    groups = {f"{host}-{i}": _worker_options(host, table) for i, host in enumerate(map(str, table["workers"]))}
    for gpu in table.get("gpu_workers", []):
        if not isinstance(gpu, dict) or set(gpu) != {"host", "device"}:
            raise ConfigError("gpu_workers: expected a host and a device, as in {host: 10.0.0.8, device: 0}, got "
                              f"{gpu!r}")
        groups[f"{gpu['host']}-gpu{gpu['device']}"] = _worker_options(str(gpu["host"]), table) | {
            "n_workers": 1, "resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": str(gpu["device"])}}
    return {name: {"cls": Worker, "options": {**_connection(table, options["host"]), "kwargs": options}}
            for name, options in groups.items()}


def _worker_options(host: str, table: dict[str, Any]) -> dict[str, Any]:
    return {"host": host, "nthreads": 1, "dashboard": False, "death_timeout": 60, **table.get("worker_options", {})}


def _connection(table: dict[str, Any], host: str) -> dict[str, Any]:
    return {"address": host, "connect_options": table.get("connect_options", {}),
            "remote_python": table.get("remote_python")}
