"""A cluster on machines reached by ssh: what ``distributed.SSHCluster`` starts, and GPU workers beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.execute.cluster_file import read_cluster_file
from pipeline.execute.security import check_hosts, has_certificates

IDLE = "1 hour"
"""A scheduler that has had nothing to do for so long ends, and its workers with it: the run that started it is dead."""

_KEYS = {"scheduler": str, "workers": list, "gpu_workers": list, "connect_options": dict, "worker_options": dict,
         "scheduler_options": dict, "remote_python": str}


@contextmanager
def ssh_cluster(config: RunConfig) -> Iterator[Any]:
    """Start what ``config.cluster_config`` says (``cluster/ssh.yaml``) and end it with the block."""
    said = read_cluster_file(config, _KEYS)
    hosts = [said.get("scheduler", ""), *map(str, said.get("workers", []))]
    if not all(hosts) or len(hosts) < 2:
        raise ConfigError(f"{config.cluster_config}: name a scheduler and at least one of workers")
    is_encrypted = has_certificates()
    check_hosts(hosts, config, is_encrypted=is_encrypted)
    try:
        import asyncssh  # noqa: F401 - distributed needs it
        from distributed import SpecCluster
    except ImportError as error:
        raise ConfigError("--cluster ssh needs asyncssh: pip install 'lookalike[ssh]'") from error
    try:
        cluster = SpecCluster(_workers(said), _scheduler(said, is_encrypted), name="lookalike-ssh")
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{config.cluster_config}: the cluster cannot be started by ssh ({error})") from error
    try:
        yield cluster
    finally:
        with suppress(OSError):  # its scheduler has gone, and its workers with it
            cluster.close()


def _scheduler(said: dict[str, Any], is_encrypted: bool) -> dict[str, Any]:
    from distributed.deploy.ssh import Scheduler

    host = said["scheduler"]
    options = {"host": host, "port": 0, "protocol": "tls://" if is_encrypted else "tcp://", "dashboard": False,
               "dashboard_address": "127.0.0.1:0", "idle_timeout": IDLE, **said.get("scheduler_options", {})}
    return {"cls": Scheduler, "options": {**_reached(said, host), "kwargs": options}}


def _workers(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Describe one ssh connection a host, and one a GPU, each to a group of workers."""
    from distributed.deploy.ssh import Worker

    groups = {f"{host}-{i}": _worker_options(host, said) for i, host in enumerate(map(str, said["workers"]))}
    for gpu in said.get("gpu_workers", []):
        if not isinstance(gpu, dict) or set(gpu) != {"host", "device"}:
            raise ConfigError(f"gpu_workers: expected {{host: 10.0.0.8, device: 0}} or the like, got {gpu!r}")
        groups[f"{gpu['host']}-gpu{gpu['device']}"] = _worker_options(str(gpu["host"]), said) | {
            "n_workers": 1, "resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": str(gpu["device"])}}
    return {name: {"cls": Worker, "options": {**_reached(said, options["host"]), "kwargs": options}}
            for name, options in groups.items()}


def _worker_options(host: str, said: dict[str, Any]) -> dict[str, Any]:
    return {"host": host, "nthreads": 1, "dashboard": False, "death_timeout": 60, **said.get("worker_options", {})}


def _reached(said: dict[str, Any], host: str) -> dict[str, Any]:
    return {"address": host, "connect_options": said.get("connect_options", {}),
            "remote_python": said.get("remote_python")}
