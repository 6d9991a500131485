"""Tasks for engine tests: workers import them by name."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil


def double(x: int) -> int:
    return 2 * x


def worker_pid() -> int:
    return os.getpid()


def one_gpu() -> list[str]:
    return ["gpu:0"]


def no_gpu() -> list[str]:
    return []


def no_library() -> list[str]:
    raise ModuleNotFoundError("No module named 'tensorflow'")


def environment_of_worker(name: str) -> str | None:
    return os.environ.get(name)


def has_loaded(module: str) -> bool:
    return module in sys.modules


def encoders_loaded() -> int:
    """Return the number of encoders that this process keeps."""
    from pipeline.encoders import _load

    return _load.cache_info().currsize


def metadata_of_spans(dask_scheduler: Any) -> list[Any]:
    """Return the metadata that a scheduler keeps for its spans of tasks."""
    return [span._metadata for span in dask_scheduler.extensions["spans"].spans.values()]


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def attempt(counter: Path, failures: int) -> int:
    """Fail the first ``failures`` times. A file counts the attempts of all processes."""
    with open(counter, "a") as file:
        file.write("x")
    attempts = counter.stat().st_size
    if attempts <= failures:
        raise OSError(f"attempt {attempts}")
    return attempts


def die(counter: Path, deaths: int) -> int:
    """End the worker process the first ``deaths`` times, as a crash in a library would."""
    with open(counter, "a") as file:
        file.write("x")
    attempts = counter.stat().st_size
    if attempts <= deaths:
        os._exit(11)
    return attempts


def zarr_settings() -> tuple[int, int]:
    """Return the number of Zarr's threads, and of its concurrent operations."""
    import zarr

    return zarr.config.get("threading.max_workers"), zarr.config.get("async.concurrency")


def requires_encryption() -> bool:
    """Return whether Dask in this process accepts only TLS."""
    from dask import config

    return bool(config.get("distributed.comm.require-encryption"))


_kept: list[bytearray] = []


def fill_memory(share: float) -> int:
    """Allocate memory until the worker uses ``share`` of its limit, and keep it; return the worker's process number."""
    from distributed import get_worker

    limit = get_worker().memory_manager.memory_limit
    missing = share * limit - psutil.Process().memory_info().rss
    kept = bytearray(int(missing))
    kept[::4096] = b"x" * len(range(0, len(kept), 4096))  # pages that are never written take no memory
    _kept.append(kept)
    return os.getpid()
