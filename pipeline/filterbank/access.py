"""Errors before the first byte of a file is read: names, links and permissions."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from pipeline.errors import Reason, SourceError
from pipeline.support.text import shown


def refusal(reason: Reason, path: str | Path, fault: str) -> SourceError:
    """Return the error for a file that is refused. Its message begins with the path of the file."""
    return SourceError(reason, f"{shown(path)}: {fault}")


def access_error(error: OSError, path: Path) -> SourceError:
    """Translate an error of the operating system in listing or opening ``path``.

    Errors that are not about links (no permission, an I/O error, a stale handle) become PERMISSION, because
    their cause may pass.
    """
    if error.errno == errno.ELOOP:
        return refusal(Reason.BAD_LINK, path, "a symbolic link that leads to itself; remove or mend it")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        with suppress(OSError):  # it is no link, or is gone by now
            target = shown(os.readlink(path))
            return refusal(Reason.BAD_LINK, path, f"links to {target}, which does not exist; mend it")
        return refusal(Reason.GONE, path, "is gone: it was moved or removed since it was listed, or its disk was "
                       "unmounted; run again when it is back")
    return refusal(Reason.PERMISSION, path, f"cannot be read ({error.strerror}); correct the cause and try again")


def open_regular(path: Path) -> int:
    """Open a regular file for reading and return its descriptor. It never waits for a pipe or device.

    Raises
    ------
    SourceError
        PERMISSION; BAD_LINK; GONE; NOT_FILTERBANK if it is no regular file.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise refusal(Reason.NOT_FILTERBANK, path, "not a regular file")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise access_error(error, path) from error
