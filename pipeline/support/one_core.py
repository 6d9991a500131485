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

_ONE_AT_A_TIME = threading.RLock()
"""Lock for the limit, which is that of the whole process. The thread that sets it has to take it back."""


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def blas_on_one_core() -> Iterator[None]:
    """Let BLAS compute with one thread. Another thread that wants the same waits, so this is for short work."""
    with _ONE_AT_A_TIME, _blas().limit(limits=1):
        yield
