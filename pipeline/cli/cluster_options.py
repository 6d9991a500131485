"""Where a command's tasks run: options that all commands with tasks share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from pipeline.config import ClusterKind
from pipeline.user_settings import PATHS

_CLUSTER_OPTIONS = (
    click.option("--scheduler", metavar="ADDR",
                 help="Address of a running Dask scheduler (tls://HOST:PORT; tcp:// takes --insecure)."),
    click.option("--cluster", type=click.Choice(get_args(ClusterKind)),
                 help="Start workers for this run: here, or where --cluster-config says. Default: here (local)."),
    click.option("--cluster-config", type=click.Path(path_type=Path), metavar="FILE",
                 help="What to start, as in cluster/ssh.yaml, slurm.yaml or kubernetes.yaml."),
    click.option("--tls-ca", type=click.Path(path_type=Path), metavar="FILE",
                 help="Authority whose certificates are trusted; default: as Dask is configured."),
    click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="Own certificate, for TLS."),
    click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="Its key."),
    click.option("--insecure", is_flag=True, default=None,
                 help="Allow a scheduler without TLS, here or elsewhere: who reaches it can run code on its workers."),
)
_HERE_OPTIONS = (
    click.option("--workers", type=click.IntRange(1), metavar="N",
                 help="Worker processes on this machine; default: one a core."),
    click.option("--serial", is_flag=True, help="Run every task in this process, without Dask."),
)
_KEYS = ("scheduler", "cluster", "cluster_config", "tls_ca", "tls_cert", "tls_key", "insecure", "workers")

Command = Callable[..., Any]


def cluster_options(command: Command) -> Command:
    """Add the options that name a cluster. The command gets them as ``place``, what beats the user's ``[run]``."""
    return _with_options(command, _CLUSTER_OPTIONS)


def place_options(command: Command) -> Command:
    """Add these, and ``--workers`` and ``--serial``. The command gets ``place`` and ``serial``."""
    return _with_options(command, (*_CLUSTER_OPTIONS, *_HERE_OPTIONS))


def _with_options(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    @wraps(command)
    def gathered(**flags: Any) -> Any:
        place = {key: flags.pop(key) for key in _KEYS if key in flags}
        return command(**flags, place=_place(place, flags.get("serial", False)))

    completed: Command = gathered
    for option in reversed(options):
        completed = option(completed)
    return completed


def _place(given: dict[str, Any], serial: bool) -> dict[str, Any]:
    """Refuse a run in several places at once; let the place that is named beat what the user's settings name."""
    workers, cluster, scheduler = given.get("workers"), given["cluster"], given["scheduler"]
    places = {"--serial": serial, "--workers": workers and cluster != "local", "--scheduler": scheduler,
              "--cluster": cluster}
    named = [name for name, value in places.items() if value]
    if len(named) > 1:
        raise click.UsageError(f"choose one of {' and '.join(named)}")
    place = {key: str(value.absolute()) if key in PATHS and value is not None else value
             for key, value in given.items()}
    if workers:
        place["cluster"] = "local"
    if place["cluster"]:
        place["scheduler"] = ""
    return place
