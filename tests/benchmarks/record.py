"""Run benchmarks, put their tables into BENCHMARKS.md, and say what has moved since those that stood there.

    python -m tests.benchmarks.record scan gate "index --sizes 100000" …

Each name is a module ``bench_NAME`` beside this one, with its arguments. What it prints takes the place of what stands
between ``<!-- NAME on INSTRUCTION SET -->`` and ``<!-- /NAME on INSTRUCTION SET -->``; another benchmark of the same
arguments compares with it in turn. Where another instruction set was measured, its tables stay as they are: a ratio of
two times is another one where one of the two gains more by AVX-512.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.processor import HELD_DOWN, instruction_set
from tests.benchmarks.report import table

BENCHMARKS = Path(__file__).parents[2] / "BENCHMARKS.md"
MOVED = 0.1
"""Numbers that differ by a smaller share are left out: machines are never quite idle."""
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


def main() -> None:
    for job in sys.argv[1:]:
        name, *arguments = shlex.split(job)
        text = run(name, arguments)
        marker = marker_of(name, arguments)
        before = section(BENCHMARKS.read_text(), marker)
        print(f"\n## {marker}\n")
        if before is None:
            print("Nothing was recorded before.")
        else:
            table(("what moved", "column", "before", "now", "now / before"), moved(before, text))
        BENCHMARKS.write_text(with_section(BENCHMARKS.read_text(), marker, text))


def marker_of(name: str, arguments: list[str]) -> str:
    """Name a section: by the benchmark and by the instruction set that this machine has, or is held down to."""
    held = [f"{variable}={os.environ[variable]}" for variable in HELD_DOWN if os.environ.get(variable)]
    return " ".join([name, *arguments, "on", instruction_set(), *held])


def run(name: str, arguments: list[str]) -> str:
    """Run a benchmark to its end and return what it printed; its errors go where ours do."""
    command = [sys.executable, "-m", f"tests.benchmarks.bench_{name}", *arguments]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=BENCHMARKS.parent) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}; nothing is recorded of it")
    return "".join(lines).strip()


def section(text: str, marker: str) -> str | None:
    """Return what stands between a marker and its end, None where there is none."""
    start, stop = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    return text.split(start, 1)[1].split(stop, 1)[0].strip() if start in text and stop in text else None


def with_section(text: str, marker: str, content: str) -> str:
    """Return the text with a section's content replaced, or appended where it had none."""
    start, stop = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    new = f"{start}\n{content}\n{stop}"
    if section(text, marker) is None:
        return f"{text.rstrip()}\n\n{new}\n"
    return text.split(start, 1)[0] + new + text.split(stop, 1)[1]


def moved(before: str, now: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Give each number that differs: its row, its column, both values and their ratio. Rows of other names are new."""
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
    """Return the numbers of every cell of every table, by row and column; a table's first column names its rows."""
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
