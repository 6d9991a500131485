"""Empty the page cache, so that the next reads come from the disk."""

from __future__ import annotations

import os
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")


def drop_caches() -> str:
    """Empty the page cache; return the reason if that is not allowed, else an empty text."""
    os.sync()
    try:
        DROP.write_text("3\n")
    except OSError as error:
        return f"{DROP}: {error.strerror}"
    return ""
