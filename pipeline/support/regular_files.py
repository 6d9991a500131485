"""Reads regular files only. A pipe, a device, a socket or a folder in the place of a file is refused at once.

Opening a pipe waits until another program writes to it, and reading a device may never end. A corpus may come from a
stranger. So each file of a corpus that is read whole is read here, and has a size limit.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_BLOCK_BYTES = 1 << 20
_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
          (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))


def unlike_a_file(mode: int) -> str:
    """Return words that say what is there instead of a regular file; an empty text for a regular file.

    Parameters
    ----------
    mode : int
        ``st_mode`` of the path.
    """
    if stat.S_ISREG(mode):
        return ""
    return f"is {next((name for test, name in _KINDS if test(mode)), 'of an unknown kind')}, not a file"


def lacks_folder(path: Path) -> bool:
    """Return True if there is no such folder. A folder that this user may not look at raises a ``PermissionError``."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True


def file_size(path: Path) -> int:
    """Return the size of a regular file in bytes.

    Raises
    ------
    OSError
        There is no such file, or something else is in its place. ``strerror`` says what.
    """
    status = os.stat(path)
    if message := unlike_a_file(status.st_mode):
        raise _refused(path, message)
    return status.st_size


def read_file(path: Path, most: int, *, is_text: bool = True, start: int = 0) -> bytes:
    """Read a regular file, whole or from some byte on.

    Parameters
    ----------
    path : Path
    most : int
        Maximum size in bytes. A larger file is refused, and not read.
    is_text : bool
        Refuse a file with a zero byte, as soon as one is read. A huge file without content, which consists of zeros,
        then takes no memory.
    start : int
        Number of bytes at the beginning that are not read.

    Raises
    ------
    OSError
        There is no such file, it cannot be read, something else is in its place, or its content is refused.
        ``strerror`` says what.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise _refused(path, "is a socket or a device, not a file") from error
        raise
    try:
        status = os.fstat(descriptor)
        if message := unlike_a_file(status.st_mode):
            raise _refused(path, message)
        if status.st_size > most:
            raise _refused(path, f"has {status.st_size:,} bytes, more than {most:,}")
        os.lseek(descriptor, start, os.SEEK_SET)
        blocks = []
        while block := os.read(descriptor, _BLOCK_BYTES):
            if is_text and 0 in block:
                raise _refused(path, "holds zero bytes, which no text has")
            blocks.append(block)
        return b"".join(blocks)
    finally:
        os.close(descriptor)


def _refused(path: Path, message: str) -> OSError:
    return OSError(errno.EINVAL, message, str(path))
