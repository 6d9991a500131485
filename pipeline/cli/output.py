"""Write results to standard output, and remarks about the work to standard error."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from pipeline.errors import ConfigError, RunError
from pipeline.support.disk_faults import cause_of, words_of
from pipeline.support.text import csv_text

if TYPE_CHECKING:
    from pipeline.export import Table


class GuardedStream:
    """A standard stream that never raises an error. It remembers the first one, and loses the text from then on.

    So a run whose output cannot be written still ends its work, and says so at its end.

    Parameters
    ----------
    stream : text file or None
        None if the shell has closed it (``>&-``).
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.fault: OSError | None = None
        """Why text was lost; None if none was."""

    def write(self, text: str) -> int:
        """Write text, or lose it."""
        if self._stream is None:
            self.fault = OSError(errno.EBADF, os.strerror(errno.EBADF))
        elif self.fault is None:
            with self._noting():
                return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or lose it."""
        if self._stream is not None and self.fault is None:
            with self._noting():
                self._stream.flush()

    def isatty(self) -> bool:
        """Return True for a terminal."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        if self._stream is None:
            raise AttributeError(name)
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.fault = error
            # what is left in its buffer is written when Python ends, which would be another error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


@contextlib.contextmanager
def guarded_output() -> Iterator[GuardedStream]:
    """Make the standard streams safe to write to within the block; yield standard output.

    Characters that the encoding of standard output lacks are escaped: bytes of file names that are not UTF-8, and
    dashes if the encoding is ASCII.
    If the shell has closed a standard stream, its number is given to ``/dev/null``. Otherwise the next file that is
    opened would get this number, and libraries would write their messages into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = cast(TextIO, GuardedStream(None))
    before = sys.stdout
    if isinstance(before, TextIOWrapper):
        before.reconfigure(errors="backslashreplace")
    output = GuardedStream(before)
    sys.stdout = cast(TextIO, output)
    try:
        yield output
    finally:
        sys.stdout = before


def code_with_output(code: int | str | None, fault: OSError | None) -> int | str | None:
    """Say that standard output could not be written, if so; return the exit code of the command.

    The code stays as it is if the reader has closed the output (``… | head``), because readers may stop when they like.
    """
    if isinstance(fault, BrokenPipeError):
        remark("lookalike: the rest of the output is not printed, because its reader has closed it")
    elif fault is not None:
        remark(f"lookalike: standard output: cannot be written ({cause_of(fault)}); the work itself is done, but its "
               "result is not printed; write to another file or disk and run the command again")
        return code or 1
    return code


def put(text: str, *, newline: bool = True) -> None:
    """Write a result to standard output."""
    click.echo(text, nl=newline)


def disk_error(error: OSError) -> OSError | RunError:
    """Return an error in words for a fault of a disk or of permissions; any other error as it is."""
    words = words_of(error)
    return error if words is None else RunError(words)


def put_json(record: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output."""
    put(json.dumps(record, indent=1, allow_nan=False))


def put_csv(table: Table) -> None:
    """Write a table to standard output as CSV."""
    put(csv_text(tuple(table.columns), table.rows), newline=False)


def remark(text: str) -> None:
    """Write a line to standard error. Ignore the failure when it is closed."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


@contextlib.contextmanager
def name_unwritable(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a :class:`ConfigError` that names the file or folder ``path``."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({cause_of(error)}); choose another file or folder") from error
