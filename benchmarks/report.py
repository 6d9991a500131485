"""Print results as Markdown tables, under a heading that names machine, versions and command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

LOAD = os.getloadavg()[0]
"""Load of the machine before the measurement; later, the measurement itself is most of the load."""


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
    """Describe processor, cores, memory and load."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    memory_gb = psutil.virtual_memory().total / 1e9
    return (f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, {memory_gb:.0f} GB; "
            f"load {LOAD:.1f} when it began")


def version_of(package: str) -> str:
    """Return the version of a package, or ``absent``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
