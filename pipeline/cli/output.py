"""Write results to standard output, and remarks about the work to standard error."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from io import TextIOBase, TextIOWrapper
from pathlib import Path
from typing import Any

import click

from pipeline.errors import ConfigError, RunError
from pipeline.support.disk_faults import cause_of, words_of

UNREAD = "lookalike: the rest of the output is not printed, because its reader has closed it"


class ClosedOutput(TextIOBase):
    """Stands for a standard output that the shell has closed (``>&-``). Python's own is None, which loses all text."""

    def write(self, text: str) -> int:
        """Raise the error that the system raises for a closed file."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def put(text: str, *, newline: bool = True) -> None:
    """Write a result to standard output. When the reader has closed it (``… | head``), say so and discard the rest.

    Raises
    ------
    RunError
        Standard output is closed, or cannot be written: its disk is full.
    """
    try:
        click.echo(text, nl=newline)
    except BrokenPipeError:
        discard_output()
        remark(UNREAD)
    except OSError as error:
        raise output_error(error) from error


def output_error(error: OSError) -> RunError:
    """Return the error that says that standard output cannot be written. All further output is discarded."""
    discard_output()
    return RunError(f"standard output: cannot be written ({cause_of(error)}); the work itself is done, but its "
                    "result is not printed; write to another file or disk and run the command again")


def disk_error(error: OSError) -> OSError | RunError:
    """Return an error in words for a fault of a disk or of permissions; any other error as it is."""
    words = words_of(error)
    return error if words is None else RunError(words)


def discard_output() -> None:
    """Discard what standard output holds and what is written to it from now on. Python writes the rest at its end."""
    if isinstance(sys.stdout, ClosedOutput):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it is open as long as the process
    else:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_output_at_fault(error: OSError) -> bool:
    """Return True if an error is one of standard output: what could not be written is tried again."""
    if isinstance(sys.stdout, ClosedOutput):
        return error.errno == errno.EBADF
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def put_json(record: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output."""
    put(json.dumps(record, indent=1, allow_nan=False))


def remark(text: str) -> None:
    """Write a line to standard error. Ignore the failure when it is closed."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def prepare_output() -> None:
    """Make standard output and standard error fit to be written.

    Characters that the encoding of standard output lacks are escaped: file names that are not UTF-8, dashes in ASCII.
    If the shell has closed a standard stream, its number is taken. Otherwise the next file that is opened would get it,
    and with it the messages of libraries.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = ClosedOutput()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it is open as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def name_unwritable(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a :class:`ConfigError` that names the file or folder ``path``."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({cause_of(error)}); choose another file or folder") from error
