"""Dask's settings on the clusters that a run starts, here and elsewhere."""

from __future__ import annotations

from typing import Any

PRELOAD = "pipeline.run.preload"


def cluster_settings() -> dict[str, Any]:
    """What scheduler and workers of a run are set to, whatever this machine's own configuration says."""
    from dask import config

    preload = config.get("distributed.worker.preload", [])
    return {
        "distributed.worker.preload": [*([preload] if isinstance(preload, str) else preload), PRELOAD],
        "distributed.worker.profile.enabled": False,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.scheduler.allowed-failures": 1,  # a task blamed twice is tried alone
    }
