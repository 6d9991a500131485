"""How the benchmarks say what they measured: Markdown tables, under the machine, the versions and the command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import psutil

from pipeline.processor import described

LOAD = os.getloadavg()[0]
"""Of the machine, before anything is measured: some tables are printed at the end, when the load is their own."""


def heading(title: str, *packages: str) -> None:
    """Print what was measured, on what, with which versions, and by which command."""
    versions = ", ".join(f"{name} {version_of(name)}" for name in packages)
    print(f"\n### {title}\n\n`{command()}`. {machine()}; Python {platform.python_version()}, {versions}; "
          f"{datetime.now(UTC):%Y-%m-%d}.\n", flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; its first column is words, the others are numbers."""
    print(f"| {' | '.join(head)} |\n|---{'|---:' * (len(head) - 1)}|")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def command() -> str:
    """The command line that runs this again."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    program = f"-m {spec.name}" if spec else os.path.relpath(sys.argv[0])
    return shlex.join(["python", *program.split(), *sys.argv[1:]])


def machine() -> str:
    """Processor, its instruction set, cores, memory, load."""
    memory_gb = psutil.virtual_memory().total / 1e9
    return (f"{described()}, {os.cpu_count()} cores, {memory_gb:.0f} GB; "
            f"load {LOAD:.1f} when it began")


def version_of(package: str) -> str:
    """Of an installed package, or that it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
