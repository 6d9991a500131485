"""Dask's settings on the clusters that a run starts, here and elsewhere."""

from __future__ import annotations

from typing import Any

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": 32 * 2**20, "MALLOC_TRIM_THRESHOLD_": 256 * 2**20}
"""glibc keeps so much freed memory of a worker for its next arrays. By Dask's own setting it gives back all of it, and
most of a scan's time goes into having empty pages handed out again."""
LONGEST_RESTART_S = 300.0
"""A worker that its nanny has not started again by then is waited for no longer."""
WORKER_PRELOAD, SCHEDULER_PRELOAD = "pipeline.run.preload", "pipeline.run.preload_scheduler"


def cluster_settings() -> dict[str, Any]:
    """What scheduler and workers of a run are set to, whatever this machine's own configuration says."""
    from dask import config

    def preloads(of: str, own: str) -> list[str]:
        others = config.get(f"distributed.{of}.preload", [])
        return [*([others] if isinstance(others, str) else others), own]

    return {
        "distributed.worker.preload": preloads("worker", WORKER_PRELOAD),
        "distributed.scheduler.preload": preloads("scheduler", SCHEDULER_PRELOAD),
        "distributed.worker.profile.enabled": False,
        **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in ALLOCATOR.items()},
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        # logs of every step and event, for Dask's developers
        "distributed.admin.low-level-log-length": 100,
        "distributed.admin.log-length": 1000,
        "distributed.admin.system-monitor.log-length": 60,
        # how often it looks at the clock, at memory and at who has work: by Dask's own settings so often that it takes
        # a twentieth of a core that a worker shares with its scheduler
        "distributed.admin.tick.interval": "500ms",
        "distributed.admin.system-monitor.interval": "2s",
        "distributed.worker.memory.monitor-interval": "500ms",
        "distributed.scheduler.work-stealing-interval": "1s",
        # Dask's cluster objects give up a worker for good that is away for 15 s; on a busy machine it only starts again
        "distributed.deploy.lost-worker-timeout": f"{LONGEST_RESTART_S:g}s",
        "distributed.scheduler.allowed-failures": 1,  # a task blamed twice is tried alone
    }
