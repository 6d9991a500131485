"""Memory that a process has freed, back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Have the C library return what is free: glibc keeps the room of large tables, as a manifest's, for others."""
    with suppress(AttributeError, OSError):  # other libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
