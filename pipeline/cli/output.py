"""Write results to standard output, and remarks about the work to standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import click

from pipeline.errors import ConfigError


def put(text: str, *, newline: bool = True) -> None:
    """Write a result to standard output. When the reader has closed it (``… | head``), discard the rest."""
    try:
        click.echo(text, nl=newline)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def put_json(record: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output."""
    put(json.dumps(record, indent=1, allow_nan=False))


def remark(text: str) -> None:
    """Write a line to standard error. Ignore the failure when it is closed."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def escape_unencodable_output() -> None:
    """Escape characters that the encoding of standard output lacks: file names that are not UTF-8, dashes in ASCII."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def name_unwritable(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a :class:`ConfigError` that names the file or folder ``path``."""
    try:
        yield
    except OSError as error:
        fault = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(f"{path}: cannot be written ({fault}); choose another file or folder") from error
