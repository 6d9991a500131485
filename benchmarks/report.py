"""Print results as Markdown tables, under a heading that names machine, versions and command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import psutil

from pipeline.support.processor import describe

LOAD = os.getloadavg()[0]
"""Load of the machine before the measurement. It is read now, because the measurement itself is a load."""


def heading(title: str, *packages: str) -> None:
    """Print the title, the command, the machine, the versions of some packages, and the day."""
    versions = ", ".join(f"{name} {version_of(name)}" for name in packages)
    print(f"\n### {title}\n\n`{command()}`. {machine()}; Python {platform.python_version()}, {versions}; "
          f"{datetime.now(UTC):%Y-%m-%d}.\n", flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table. The first column holds words, the others numbers."""
    print(f"| {' | '.join(head)} |\n|---{'|---:' * (len(head) - 1)}|")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def command() -> str:
    """Return the command line of this process."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    program = f"-m {spec.name}" if spec else os.path.relpath(sys.argv[0])
    return shlex.join(["python", *program.split(), *sys.argv[1:]])


def machine() -> str:
    """Describe processor, instruction set, cores, memory and load."""
    memory_gb = psutil.virtual_memory().total / 1e9
    return (f"{describe()}, {os.cpu_count()} cores, {memory_gb:.0f} GB; "
            f"load {LOAD:.1f} when it began")


def version_of(package: str) -> str:
    """Return the version of a package, or ``absent``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
