"""Which workers a cluster has."""

from __future__ import annotations

from typing import Any


def workers_of(client: Any) -> dict[str, dict[str, Any]]:
    """Ask the scheduler for its workers.

    ``Client.scheduler_info`` is not asked: it returns what the client received last, and every few seconds the client
    itself asks for a summary without workers. A thread that reads between the two sees a cluster without workers.

    Parameters
    ----------
    client : distributed.Client
        Client of the cluster.

    Returns
    -------
    dict
        Address of each worker → what the scheduler knows of it: ``name``, ``resources``, ``memory_limit`` and others.
    """
    found: dict[str, dict[str, Any]] = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
    return found
