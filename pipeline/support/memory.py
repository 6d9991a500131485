"""Returns freed memory to the operating system."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Make the C library return its free memory to the operating system.

    glibc keeps the memory of large freed tables, such as a manifest's, for later allocations of this process. Other
    processes cannot use it until it is returned. Other C libraries have no such function; nothing happens there.
    """
    with suppress(AttributeError, OSError):  # C libraries other than glibc have no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)
