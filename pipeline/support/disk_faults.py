"""Errors of a disk in words: which file, what is wrong, and what the user can do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room, or ask for a larger quota",
    errno.EROFS: "its disk is read-only; choose another one",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or choose another disk",
    errno.EACCES: "ask its owner for permission",
    errno.EPERM: "ask its owner for permission",
    errno.EIO: "check its disk",
    errno.ESTALE: "check its disk, which was mounted again meanwhile",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "end other programs, which have too many files open",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""Number of an error that the user can remove → what to do."""


def cause_of(error: OSError) -> str:
    """Return what is wrong, without file and number."""
    return os.strerror(error.errno) if error.errno else str(error)


def words_of(error: OSError) -> str | None:
    """Return file, cause and remedy; None for an error that is no fault of a disk or of permissions."""
    if error.errno is None or error.errno not in REMEDIES:
        return None
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "a file"
    return f"{place}: cannot be read or written ({cause_of(error)}); {REMEDIES[error.errno]}"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the name of a file to an ``OSError`` that has none: the errors of a write or flush do not name the file."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
