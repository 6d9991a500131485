"""What is written where: results to standard output, words about the work to standard error."""

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
    """Write a result to standard output. Where nobody reads on (``… | head``), the rest goes nowhere."""
    try:
        click.echo(text, nl=newline)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def put_json(record: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output."""
    put(json.dumps(record, indent=1, allow_nan=False))


def remark(text: str) -> None:
    """Write a line to standard error, if anybody listens."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def escape_what_cannot_be_written() -> None:
    """Let standard output escape what its encoding lacks: names that are no UTF-8, dashes on an ASCII terminal."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say which file or folder it is that cannot be written."""
    try:
        yield
    except OSError as error:
        fault = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(f"{path}: cannot be written ({fault}); name another place") from error
