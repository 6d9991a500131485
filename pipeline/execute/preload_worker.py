"""What a worker does as it starts: ``dask worker … --preload pipeline.execute.preload_worker``.

The HDF5 plugins are registered by what is imported here, and files are opened without HDF5's locks, which network file
systems often lack: nothing else is needed for these.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pipeline.tasks  # noqa: F401 - before the first task, so that a worker that lacks a library says so at once
from pipeline.encoders import gpu_names
from pipeline.support.simd import obey_environment

_THREADS = ("NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
            "ZARR_THREADING__MAX_WORKERS", "ZARR_ASYNC__CONCURRENCY")
"""These libraries take every core otherwise; Dask sees to OpenMP's and BLAS' alone. Zarr's threads, many more than
cores, besides wait for one another: with two workers on two cores, a third of a commit's time."""


def dask_setup(worker: Any) -> None:
    """Bound the threads of libraries, see to the GPU, and leave a terminal's Ctrl-C to the run, which ends its workers.

    Raises
    ------
    SystemExit
        The worker offers a GPU, yet sees several: with memory and queues shared, they would be in each other's way.
    """
    for name in _THREADS:
        os.environ.setdefault(name, str(worker.state.nthreads))
    obey_environment()  # numba has been imported with the package
    if worker.nanny:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if worker.state.total_resources.get("GPU"):
        check_pinned()


def check_pinned() -> None:
    """Raise :class:`SystemExit` unless this process sees one GPU at most."""
    seen = len(gpu_names())
    if seen > 1:
        raise SystemExit(f"a worker that offers GPU=1 sees {seen} GPUs; start one worker for each, with "
                         "CUDA_VISIBLE_DEVICES=0, =1 … in its environment")
