"""Cause each fault fifty times: ``make soak``. Prints a table of the results, and writes it beside the records.

Tests repeat a fault :data:`TIMES` times, and record the result with :func:`note`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SWITCH, RESULT, DAMAGED = "LOOKALIKE_SOAK", "LOOKALIKE_SOAK_RESULT", "LOOKALIKE_SOAK_DAMAGED"
IS_SOAK = SWITCH in os.environ
TIMES = int(os.environ.get(SWITCH, 5))
"""Number of times that each kind of process is killed."""
DAMAGED_FILES = int(os.environ.get(DAMAGED, 500))
"""Number of damaged files that are read."""
FILES = ("test_kills.py", "test_losses.py", "test_disk.py", "test_mutations.py", "test_many.py",
         "../security/test_hostile_corpora.py::test_forged_corpora_are_refused_in_words",
         "../run/test_verify.py::test_random_damage_is_found_each_time_and_mended")


def note(what: str, times: int, **facts: Any) -> None:
    """Record that a fault was caused a number of times and that every run survived it."""
    if RESULT in os.environ:
        with open(os.environ[RESULT], "a") as file:
            file.write(json.dumps({"what": what, "times": times, **facts}) + "\n")


def table(records: Sequence[dict[str, Any]]) -> str:
    """Return the records as a Markdown table."""
    lines = ["| fault | times | survived | longest recovery (s) |", "|---|---|---|---|"]
    for record in records:
        slowest = record.get("slowest_s")
        lines.append(f"| {record['what']} | {record['times']} | {record.get('survived', record['times'])} | "
                     f"{'' if slowest is None else format(slowest, '.0f')} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests of faults and print the results; return 0 if all passed."""
    import pytest

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="kills of each kind of process")
    parser.add_argument("--files", type=int, default=10_000, help="damaged files to be read")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="records go to OUT.jsonl, the table to OUT.md")
    parser.add_argument("-k", default="", help="only tests of such names")
    given = parser.parse_args(arguments)
    records = given.out.with_suffix(".jsonl")
    records.unlink(missing_ok=True)
    os.environ |= {SWITCH: str(given.times), DAMAGED: str(given.files), RESULT: str(records.absolute())}
    began = time.monotonic()
    here = Path(__file__).parent
    files = [str(here / name) for name in FILES]
    status = int(pytest.main(["-q", "-o", "faulthandler_timeout=0", "-k", given.k, *files]))
    lines = records.read_text().splitlines() if records.exists() else []
    said = (f"{table([json.loads(line) for line in lines])}\n\n"
            f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}; "
            f"{(time.monotonic() - began) / 60:.0f} minutes; {'all passed' if status == 0 else 'NOT all passed'}\n")
    given.out.with_suffix(".md").write_text(said)
    sys.stdout.write(said)
    return status


if __name__ == "__main__":
    sys.exit(main())
