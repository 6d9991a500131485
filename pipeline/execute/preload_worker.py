"""Prepare a worker when it starts: ``dask worker … --preload pipeline.execute.preload_worker``.

The imports of this module register the HDF5 plugins.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pipeline.tasks  # noqa: F401 - a worker that lacks a library fails now, not at its first task
from pipeline.encoders import gpu_names
from pipeline.support.simd import obey_environment

_THREADS = ("NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
            "ZARR_THREADING__MAX_WORKERS", "ZARR_ASYNC__CONCURRENCY")
"""Variables that limit the threads of a library. Dask itself limits only those of OpenMP and BLAS.

Without a limit, these libraries use every core. Zarr starts many more threads than there are cores, and its threads
wait for one another. With two workers on two cores, this took a third of the time of a commit."""


def dask_setup(worker: Any) -> None:
    """Limit the threads of libraries and check the GPU.

    A worker with a nanny ignores Ctrl-C: the run receives it, too, and ends its workers.

    Raises
    ------
    SystemExit
        The worker offers one GPU but sees several. Two such workers would compete for the memory of the same GPUs.
    """
    for name in _THREADS:
        os.environ.setdefault(name, str(worker.state.nthreads))
    obey_environment()  # numba is already imported and has read its variables
    if worker.nanny:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if worker.state.total_resources.get("GPU"):
        check_pinned()


def check_pinned() -> None:
    """Raise :class:`SystemExit` if this process sees more than one GPU."""
    seen = len(gpu_names())
    if seen > 1:
        raise SystemExit(f"a worker that offers GPU=1 sees {seen} GPUs; start one worker for each, with "
                         "CUDA_VISIBLE_DEVICES=0, =1 … in its environment")
