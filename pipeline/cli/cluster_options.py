"""Options that say where the tasks of a command run. All commands with tasks share them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from pipeline.config import ClusterKind
from pipeline.user_settings import PATHS

Command = Callable[..., Any]

_PATH = click.Path(path_type=Path)


def _cluster_option(default: str) -> Callable[[Command], Command]:
    """Make the option ``--cluster``. Its default differs between commands."""
    return click.option("--cluster", type=click.Choice(get_args(ClusterKind)),
                        help="Start a cluster for this run. local starts workers on this machine; the other kinds "
                             f"need --cluster-config. Default: {default}.")


_SCHEDULER_OPTION = click.option(
    "--scheduler", metavar="ADDRESS",
    help="Use the running Dask scheduler at this address, such as tls://10.0.0.5:8786. An address with tcp:// also "
         "needs --insecure.")
_INSECURE_OPTION = click.option(
    "--insecure", is_flag=True, default=None,
    help="Allow a scheduler without TLS, on this machine or on another one. Anyone who can reach it can then run code "
         "on its workers.")
_CONNECTION_OPTIONS = (
    click.option("--cluster-config", type=_PATH, metavar="FILE",
                 help="File that describes the cluster to start: an edited copy of cluster/ssh.yaml, "
                      "cluster/slurm.yaml or cluster/kubernetes.yaml."),
    click.option("--tls-ca", type=_PATH, metavar="FILE",
                 help="Certificate (PEM) of the authority that signed the certificates of the cluster. Default: as "
                      "Dask is configured."),
    click.option("--tls-cert", type=_PATH, metavar="FILE", help="Certificate (PEM) of this machine."),
    click.option("--tls-key", type=_PATH, metavar="FILE", help="Private key (PEM) that belongs to --tls-cert."),
    _INSECURE_OPTION,
)
_LOCAL_OPTIONS = (
    click.option("--serial", is_flag=True, default=None,
                 help="Run every task in this process, one after the other, without Dask."),
    click.option("--workers", type=click.IntRange(1), metavar="N",
                 help="Number of worker processes on this machine. Default: one per core."),
    click.option("--dashboard", is_flag=True, default=None,
                 help="Serve Dask's dashboard at a port of localhost while workers on this machine run. Every user of "
                      "this machine can open it, and see the names of files and tasks. Needs lookalike[dashboard]."),
)
_CLUSTER_OPTIONS = (_SCHEDULER_OPTION, _cluster_option("none, this process does the work"), *_CONNECTION_OPTIONS)
_PLACE_OPTIONS = (*_LOCAL_OPTIONS, _SCHEDULER_OPTION, _cluster_option("local"), *_CONNECTION_OPTIONS)
_KEYS = ("serial", "scheduler", "cluster", "cluster_config", "tls_ca", "tls_cert", "tls_key", "insecure", "workers",
         "dashboard")


def cluster_options(command: Command) -> Command:
    """Add the options that name a cluster.

    The command receives their values as ``place``: key of ``[run]`` → value. They override the user's own settings.
    """
    return _with_options(command, _CLUSTER_OPTIONS)


def place_options(command: Command) -> Command:
    """Add the options that name a cluster, and ``--serial``, ``--workers`` and ``--dashboard``.

    The command receives ``place``, as with :func:`cluster_options`.
    """
    return _with_options(command, _PLACE_OPTIONS)


def scheduler_options(command: Command) -> Command:
    """Add ``--scheduler`` and ``--insecure`` alone, for a command that has a ``--tls-cert`` of another meaning.

    The command receives ``place``, as with :func:`cluster_options`.
    """
    return _with_options(command, (_SCHEDULER_OPTION, _INSECURE_OPTION), ("scheduler", "insecure"))


def _with_options(
    command: Command, options: tuple[Callable[[Command], Command], ...], keys: Sequence[str] = _KEYS
) -> Command:
    @wraps(command)
    def gathered(**flags: Any) -> Any:
        place = {key: flags.pop(key) for key in keys if key in flags}
        return command(**flags, place=_place(place))

    completed: Command = gathered
    for option in reversed(options):
        completed = option(completed)
    return completed


def _place(given: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of ``[run]`` that the flags set; refuse flags that name more than one place.

    ``--workers`` implies ``--cluster local``.
    """
    workers, cluster, scheduler = given.get("workers"), given.get("cluster"), given["scheduler"]
    places = {"--serial": given.get("serial"), "--workers": workers and cluster != "local", "--scheduler": scheduler,
              "--cluster": cluster}
    named = [name for name, value in places.items() if value]
    if len(named) > 1:
        raise click.UsageError(f"choose one of {' and '.join(named)}")
    if given.get("dashboard") and named not in ([], ["--workers"], ["--cluster"]):
        raise click.UsageError(f"--dashboard is for workers that the run starts on this machine, not for {named[0]}")
    place = {key: str(value.absolute()) if key in PATHS and value is not None else value
             for key, value in given.items()}
    if workers:
        place["cluster"] = "local"
    return place
