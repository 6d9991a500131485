"""Cause each fault many times: ``make soak``. Writes the results to OUT.jsonl as they come, and a table to OUT.md.

Tests repeat a fault :data:`TIMES` times, and record the result with :func:`note`. Long tests are cut into shards, which
are parameters of the test. Each test, or shard of one, runs in a process of its own. A soak that was stopped goes on
where it was: tests that have passed at the same commit, with the same settings, do not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SWITCH, RESULT, DAMAGED = "LOOKALIKE_SOAK", "LOOKALIKE_SOAK_RESULT", "LOOKALIKE_SOAK_DAMAGED"
IS_SOAK = SWITCH in os.environ
TIMES = int(os.environ.get(SWITCH, 5))
"""Number of times that each kind of process is killed."""
DAMAGED_FILES = int(os.environ.get(DAMAGED, 500))
REPOSITORY = Path(__file__).parents[2]
TESTS = (
    "tests/cluster/test_kills.py", "tests/cluster/test_losses.py", "tests/cluster/test_disk.py",
    "tests/cluster/test_mutations.py", "tests/cluster/test_many.py",
    "tests/integrity/test_verify.py::test_random_damage_is_found_each_time_and_mended",
    "tests/security/test_hostile_corpora.py::test_forged_corpora_are_refused_in_words",
    "tests/machine/test_machine.py::test_whatever_happens_a_corpus_holds_what_it_has_to",
)


def note(what: str, times: int, **facts: Any) -> None:
    """Record that a fault was caused a number of times and that every run survived it."""
    if RESULT in os.environ:
        with open(os.environ[RESULT], "a") as file:
            file.write(json.dumps({"what": what, "times": times, **facts}) + "\n")


def table(notes: Iterable[dict[str, Any]]) -> str:
    """Return the records as a Markdown table, with one row for all shards of a test."""
    rows: dict[str, dict[str, Any]] = {}
    for one in notes:
        row = rows.setdefault(one["what"], {"times": 0, "survived": 0})
        row["times"] += one["times"]
        row["survived"] += one.get("survived", one["times"])
        if "slowest_s" in one:
            row["slowest_s"] = max(one["slowest_s"], row.get("slowest_s", 0.0))
    lines = ["| fault | times | survived | longest recovery (s) |", "|---|---|---|---|"]
    for what, row in rows.items():
        slowest = format(row["slowest_s"], ".0f") if "slowest_s" in row else ""
        lines.append(f"| {what} | {row['times']} | {row['survived']} | {slowest} |")
    return "\n".join(lines)


def commit() -> str:
    """Return the commit of the code, and a mark if files that git knows have been changed since."""
    git = ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(git, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def collected(only: str) -> list[str]:
    """Return the ids of the tests to run, each shard with an id of its own."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-k", only, *TESTS]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if "::" in line and not line.startswith("ERROR")]
    if done.returncode != 0 or not found:
        raise SystemExit(f"{done.stdout}\n{done.stderr}")
    return found


def run(test: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Run one test in a process of its own; return the record of it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result")
        options = ["-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0"]
        status = subprocess.run([sys.executable, "-m", "pytest", *options, test], cwd=REPOSITORY, check=False,
                                env={**os.environ, RESULT: str(result)}).returncode
        notes = [json.loads(line) for line in result.read_text().splitlines()] if result.exists() else []
    return {**settings, "test": test, "passed": status == 0, "minutes": round((time.monotonic() - began) / 60, 1),
            "notes": notes}


def summary(records: Sequence[dict[str, Any]], waiting: int) -> str:
    """Say what has been done so far."""
    failed = [record["test"] for record in records if not record["passed"]]
    said = f"{len(failed)} FAILED: {', '.join(failed)}" if failed else "all passed"
    return (f"{table(one for record in records for one in record['notes'])}\n\n"
            f"Commit {', '.join(sorted({record['commit'] for record in records}))}; {os.cpu_count()} cores, "
            f"{platform.platform()}, Python {platform.python_version()}; "
            f"{sum(record['minutes'] for record in records):.0f} minutes; {len(records)} tests and shards, {said}; "
            f"{waiting} not run yet\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests of faults that have not passed yet, and say what came of it; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="kills of each kind of process")
    parser.add_argument("--files", type=int, default=10_000, help="damaged files to be read")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="records go to OUT.jsonl, the table to OUT.md")
    parser.add_argument("-k", default="", help="only tests of such names")
    given = parser.parse_args(arguments)
    os.environ |= {SWITCH: str(given.times), DAMAGED: str(given.files)}
    settings = {"commit": commit(), "times": given.times, "files": given.files}
    path = given.out.with_suffix(".jsonl")
    before = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    records = [one for one in before if one["passed"] and {key: one[key] for key in settings} == settings]
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    done = {one["test"] for one in records}
    todo = [test for test in collected(given.k) if test not in done]
    for number, test in enumerate(todo, 1):
        records.append(run(test, settings))
        with open(path, "a") as file:
            file.write(json.dumps(records[-1]) + "\n")
        given.out.with_suffix(".md").write_text(summary(records, len(todo) - number))
    sys.stdout.write(summary(records, 0))
    return int(not all(record["passed"] for record in records))


if __name__ == "__main__":
    sys.exit(main())
