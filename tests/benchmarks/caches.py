"""The page cache, emptied where that is allowed: what is read next comes from the disk."""

from __future__ import annotations

import os
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")


def drop_caches() -> str:
    """Empty the page cache; return why that could not be done, or nothing."""
    os.sync()
    try:
        DROP.write_text("3\n")
    except OSError as error:
        return f"{DROP}: {error.strerror}"
    return ""
