"""Thousands of sources, whose tasks do nothing, with the driver and a real scheduler. Memory does not grow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.run.workers import environment

SOURCES = 2000
"""Each has two parts: sources of one part would share tasks."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_stays_flat_and_the_scheduler_is_never_filled(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_driver", "--sources", str(SOURCES), "--parts", "2",
         "--folder", str(tmp_path), "--json"], stdout=subprocess.PIPE, text=True, check=True, env=environment(),
        cwd=Path(__file__).parents[2])
    measured: dict[str, Any] = json.loads(done.stdout)
    assert 4 * SOURCES < measured["tasks"] <= 5 * SOURCES  # each part is a task; commits that wait share one
    assert measured["most_in_flight"] == measured["slots"] * measured["in_flight"]
    known = [mark["scheduler_tasks"] for mark in measured["marks"]]
    assert len(known) == 10
    assert max(known) <= 3 * measured["most_in_flight"], "what has ended is forgotten, with a delay of a message or two"
    assert abs(measured["client_growth"]) <= 0.1
    assert abs(measured["scheduler_growth"]) <= 0.1
