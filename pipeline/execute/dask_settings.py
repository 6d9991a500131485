"""Settings of Dask on the clusters that a run starts, on this machine or on others."""

from __future__ import annotations

from typing import Any

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": 32 * 2**20, "MALLOC_TRIM_THRESHOLD_": 256 * 2**20}
"""Environment of workers: limits in bytes up to which glibc keeps freed memory for the next arrays.

With Dask's own settings, glibc returns all freed memory to the system. Most of the time of a scan then goes into
getting empty pages back."""
LONGEST_RESTART_S = 300.0
"""Longest wait for a nanny to restart its worker."""
WORKER_PRELOAD, SCHEDULER_PRELOAD = "pipeline.execute.preload_worker", "pipeline.execute.preload_scheduler"


def cluster_settings() -> dict[str, Any]:
    """Return Dask's settings for scheduler and workers, key → value. They override this machine's configuration."""
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
        # short logs: the full ones record every step and event for Dask's developers
        "distributed.admin.low-level-log-length": 100,
        "distributed.admin.log-length": 1000,
        "distributed.admin.system-monitor.log-length": 60,
        # longer intervals between checks of clock, memory and work: with Dask's own intervals, these checks take a
        # twentieth of a core that a worker shares with its scheduler
        "distributed.admin.tick.interval": "500ms",
        "distributed.admin.system-monitor.interval": "2s",
        "distributed.worker.memory.monitor-interval": "500ms",
        "distributed.scheduler.work-stealing-interval": "1s",
        # Dask's cluster objects drop a worker that is away for 15 s; on a busy machine, a restart takes longer
        "distributed.deploy.lost-worker-timeout": f"{LONGEST_RESTART_S:g}s",
        "distributed.scheduler.allowed-failures": 1,  # a task during which two workers died is run once more, alone
    }
