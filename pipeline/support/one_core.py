"""Keeps linear algebra on few cores. The only importer of threadpoolctl.

BLAS computes a product with all cores, and its threads wait for one another in loops. On a machine whose cores are
busy, small products then take up to a hundred times as long.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_ONE_AT_A_TIME = threading.RLock()
"""Lock for the limit, which is that of the whole process. The thread that sets it has to take it back."""


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def blas_on_cores(count: int) -> Iterator[None]:
    """Let BLAS compute with ``count`` threads in the whole process."""
    with _blas().limit(limits=count):
        yield


@contextmanager
def blas_on_one_core() -> Iterator[None]:
    """Let BLAS compute with one thread. Another thread that wants the same waits, so this is for short work.

    While another thread is within :func:`blas_on_cores`, as that of a server is, its number stays.
    """
    with _ONE_AT_A_TIME, blas_on_cores(1):
        yield
