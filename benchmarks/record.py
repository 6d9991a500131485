"""Run benchmarks, write their tables into the pages of this folder, and print what has changed.

    python -m benchmarks.record scan gate "index --sizes 100000" …

Each job is the name of a program ``bench_NAME`` in this folder, followed by its arguments. What the program prints
replaces the text between ``<!-- JOB on INSTRUCTION SET -->`` and ``<!-- /JOB on INSTRUCTION SET -->`` in the page of
its topic. The same job with the same arguments, on the same instruction set, is compared with this text the next time.
Tables of other instruction sets stay as they are. AVX-512 does not speed up two programs alike, so ratios differ.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import table
from pipeline.support.processor import LIMITING_VARIABLES, instruction_set

FOLDER = Path(__file__).parent
PAGES = {"scan": "scan.md", "gate": "gate.md", "index": "index.md", "cells": "index.md", "search": "search.md",
         "answers": "search.md", "hits": "search.md", "gpu": "encoders.md", "driver": "driver.md",
         "memory": "driver.md", "small": "driver.md", "families": "families.md", "family_ids": "families.md",
         "reranked_chance": "search.md", "web": "web.md"}
"""Name of a program, without ``bench_`` → the page that holds its tables."""
MOVED = 0.1
"""Smallest relative change that is printed. Machines are never quite idle."""
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


def main() -> None:
    for job in sys.argv[1:]:
        name, *arguments = shlex.split(job)
        text = run(name, arguments)
        marker, page = marker_of(name, arguments), FOLDER / PAGES[name]
        before = section(page.read_text(), marker)
        print(f"\n## {marker}\n")
        if before is None:
            print("Nothing was recorded before.")
        else:
            table(("what moved", "column", "before", "now", "now / before"), moved(before, text))
        page.write_text(with_section(page.read_text(), marker, text))


def marker_of(name: str, arguments: list[str]) -> str:
    """Name a section: by the benchmark and by the instruction set that this machine has, or to which it is limited."""
    held = [f"{variable}={os.environ[variable]}" for variable in LIMITING_VARIABLES if os.environ.get(variable)]
    return " ".join([name, *arguments, "on", instruction_set(), *held])


def run(name: str, arguments: list[str]) -> str:
    """Run a benchmark to its end; return what it wrote to standard output."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", *arguments]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=FOLDER.parent) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}, so nothing is recorded")
    return "".join(lines).strip()


def section(text: str, marker: str) -> str | None:
    """Return the text between a marker and its end; None if the text has no such marker."""
    start, stop = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    return text.split(start, 1)[1].split(stop, 1)[0].strip() if start in text and stop in text else None


def with_section(text: str, marker: str, content: str) -> str:
    """Return the text with the content of a section replaced; a section that is missing is added at the end."""
    start, stop = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    new = f"{start}\n{content}\n{stop}"
    if section(text, marker) is None:
        return f"{text.rstrip()}\n\n{new}\n"
    return text.split(start, 1)[0] + new + text.split(stop, 1)[1]


def moved(before: str, now: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield row, column, both values and their ratio of each number that changed, then the rows that are new."""
    old, new = cells(before), cells(now)
    for (row, column), value in new.items():
        earlier = old.get((row, column))
        if earlier is None or len(earlier) != len(value):
            continue
        for a, b in zip(earlier, value, strict=True):
            if abs(b - a) > MOVED * abs(a):
                yield row, column, f"{a:,g}", f"{b:,g}", f"{b / a:.2f}" if a else "–"
    for row in sorted({row for row, _ in new} - {row for row, _ in old}):
        yield row, "", "not there", "new", "–"


def cells(text: str) -> dict[tuple[str, str], list[float]]:
    """Return the numbers of every cell of every table, by row and column. First columns name rows."""
    found: dict[tuple[str, str], list[float]] = {}
    head: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            head = []
            continue
        row = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not head:
            head = row
        elif not set(line) <= set("|-: "):
            for column, cell in zip(head[1:], row[1:], strict=False):
                found[row[0], column] = [float(number.replace(",", "")) for number in _NUMBER.findall(cell)]
    return found


if __name__ == "__main__":
    main()
