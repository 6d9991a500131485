"""Measure several things in turn, round by round, each in a process of its own.

A shared machine can be twice as fast in one minute as in the next. So the ratio of two times is taken within each
round, and the median over the rounds counts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from pipeline.execute.dask_settings import ALLOCATOR

Measure = Callable[[], list[float]]
"""A measurement: the seconds that it took, then anything else that it counted."""


def in_turn(measures: Mapping[str, Measure], rounds: int) -> dict[str, list[list[float]]]:
    """Measure each in turn, ``rounds`` times. The first round fills caches and does not count.

    Returns
    -------
    dict of str to list
        Name → what was measured, one entry a round.
    """
    found: dict[str, list[list[float]]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            one = measure()
            if number:
                found[name].append(one)
    return found


def ratios(found: Sequence[Sequence[float]], to: Sequence[Sequence[float]]) -> list[float]:
    """Return the ratio of the seconds of two measurements in each round."""
    return [one[0] / other[0] for one, other in zip(found, to, strict=True)]


def described(values: Sequence[float]) -> str:
    """Return median and range of ratios as text."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


@contextmanager
def measured_in_processes(
    module: str, commands: Mapping[str, Sequence[str]], *, default_allocator: Sequence[str] = ()
) -> Iterator[dict[str, Measure]]:
    """Start a process for each measurement, and stop them at the end.

    Each process must call :func:`answer` with its measurement. A process that waits takes no time of the others.

    Parameters
    ----------
    module : str
        Program to run.
    commands : mapping of str to sequence of str
        Name → arguments.
    default_allocator : sequence of str
        Names that run with the allocator's default settings; the others keep freed memory, as workers do.
    """
    with ExitStack() as stack:
        yield {name: _measure_in(stack, [sys.executable, "-m", module, *arguments], name not in default_allocator)
               for name, arguments in commands.items()}


def _measure_in(stack: ExitStack, command: Sequence[str], keeps_memory: bool) -> Measure:
    environment = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
    if keeps_memory:
        environment |= {name: str(value) for name, value in ALLOCATOR.items()}
    process = stack.enter_context(subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    asked, answers = process.stdin, process.stdout
    assert asked is not None
    assert answers is not None
    stack.callback(asked.close)

    def measure() -> list[float]:
        print(file=asked, flush=True)
        line = answers.readline()
        if not line:
            raise SystemExit(f"a measurement ended early: {' '.join(command)}")
        found: list[float] = json.loads(line)
        return found

    return measure


def answer(measure: Callable[[], Any]) -> None:
    """Measure once for each line of standard input; print each result as a line of JSON."""
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)
