"""Tasks that take too long end their process, whether or not they let go of the interpreter."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from pipeline.run.bounded import EXIT_STATUS, bounded
from tests.run.workers import environment

HANGS = {"in Python": "time.sleep(600)", "with the interpreter held": "ctypes.PyDLL(None).sleep(600)"}


@pytest.mark.parametrize("how", HANGS)
def test_a_task_that_hangs_ends_its_process(how: str) -> None:
    code = f"""
import ctypes, time
from pipeline.run import bounded as module
module.GRACE_S = 1.0
assert module.bounded(1.0, int, "7") == 7
print(module.bounded(1.0, lambda: {HANGS[how]}))
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode in (EXIT_STATUS, 1)
    assert done.stdout == ""
    if how == "in Python":
        assert "longer than task_timeout_s = 1 s" in done.stderr
    else:
        assert "Timeout" in done.stderr


def test_a_task_in_time_leaves_no_clock_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.run.bounded.GRACE_S", 0.1)
    assert bounded(0.4, int, "7") == 7
    with pytest.raises(ValueError, match="seven"):
        bounded(0.4, int, "seven")
    time.sleep(0.8)  # a clock left behind would end this process
