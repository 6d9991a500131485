"""Options of ``lookalike search`` that describe a signal to be simulated."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from pipeline.errors import QueryError

Command = Callable[..., Any]
MAX_DESCRIPTION_BYTES = 1 << 20
"""Largest size of a description of a signal."""

_SHORT: tuple[tuple[str, type, str, str], ...] = (
    ("--drift-hz-per-s", float, "HZ_PER_S", "Drift of the simulated signal, in Hz/s."),
    ("--width-hz", float, "HZ", "Width of each of its lines, in Hz. Default: 3."),
    ("--lines", int, "N", "Number of its lines, as strong as each other. Needs --spacing-hz. Default: 1."),
    ("--spacing-hz", float, "HZ", "Distance between neighbouring lines, in Hz."),
    ("--period-s", float, "S", "Time from pulse to pulse, in s. The signal is on for half of it. Default: steady."),
    ("--snr", float, "SNR", "Its signal-to-noise ratio per bin. Default: 20."),
)
"""Flag, type, metavar and help of the options for the usual properties."""
SIGNAL_FLAGS = ("--signal", *(flag for flag, *_ in _SHORT))


def signal_options(command: Command) -> Command:
    """Add the options to a command, which gets a description of a signal as ``signal``, or None without any."""
    names = [flag.removeprefix("--").replace("-", "_") for flag, *_ in _SHORT]

    @wraps(command)
    def with_signal(*, signal: str | None, **values: Any) -> Any:
        given = {name: value for name in names if (value := values.pop(name)) is not None}
        if signal is not None:
            given = {**_read(signal), **given}
        if (period_s := given.pop("period_s", None)) is not None:
            given["envelope"] = {"kind": "pulsed", "period_s": period_s, "duty": 0.5}
        return command(signal=given or None, **values)

    completed: Command = with_signal
    for flag, kind, metavar, text in reversed(_SHORT):
        completed = click.option(flag, type=kind, metavar=metavar, help=text)(completed)
    return click.option(
        "--signal", metavar="FILE|-",
        help="Search for a simulated signal, which this JSON file describes by the fields of pipeline.simulate.Signal; "
             "- for standard input. \"family\" names a signal to begin with. The options below are short for the usual "
             "fields, with or without a file.")(completed)


def _read(path: str) -> dict[str, Any]:
    """Read a description of a signal.

    Raises
    ------
    QueryError
        It cannot be read, or is no JSON object.
    """
    from pipeline.support.regular_files import read_file

    name = "standard input" if path == "-" else path
    try:
        text = sys.stdin.read(MAX_DESCRIPTION_BYTES) if path == "-" else read_file(Path(path), MAX_DESCRIPTION_BYTES)
        record = json.loads(text)
    except OSError as error:
        raise QueryError(f"{name}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise QueryError(f"{name}: is no JSON ({error})") from error
    if not isinstance(record, dict):
        raise QueryError(f"{name}: describes no signal: it must hold one JSON object, such as "
                         '{"drift_hz_per_s": 0.4}')
    return record
