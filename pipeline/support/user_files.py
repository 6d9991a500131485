"""Reads files that the user wrote: settings and tables. What is wrong with one is a ConfigError that names it."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.support.regular_files import read_file

MAX_USER_FILE_BYTES = 1 << 20
"""Largest size of such a file."""


def read_user_file(path: Path, most: int = MAX_USER_FILE_BYTES) -> bytes | None:
    """Return the content of a file of at most ``most`` bytes; None if there is no such file.

    Raises
    ------
    ConfigError
        The file cannot be read or is too large, or something else is in its place, such as a pipe.
    """
    try:
        return read_file(path, most)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error


def read_user_table(path: Path, most: int = MAX_USER_FILE_BYTES) -> list[str]:
    """Return the lines of a CSV file of at most ``most`` bytes, without a byte order mark.

    A file that does not exist has no lines.

    Raises
    ------
    ConfigError
        As :func:`read_user_file` says, or the file is not UTF-8.
    """
    try:
        return (read_user_file(path, most) or b"").decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
