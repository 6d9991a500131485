"""Keeps linear algebra on one core.

BLAS computes a product with all cores, and its threads wait for one another in loops. On a machine whose cores are
busy, small products then take up to a hundred times as long.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_LOCK = threading.Lock()
_within: list[Any] = []
"""The limit, once for each thread that is within :func:`blas_on_one_core`. The limit is that of the whole process."""


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def blas_on_one_core() -> Iterator[None]:
    """Let BLAS compute with one thread. It may use all cores again once no thread of the process is within."""
    with _LOCK:
        _within.append(_within[0] if _within else _blas().limit(limits=1))
    try:
        yield
    finally:
        with _LOCK:
            limit = _within.pop()
            if not _within:
                limit.restore_original_limits()
