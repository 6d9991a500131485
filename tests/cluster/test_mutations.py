"""Damaged headers and chunks: the reader neither dies nor hangs, and gives a reason wherever damage can be detected."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.soak import DAMAGED_FILES, IS_SOAK, note
from tests.run.workers import environment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600 if IS_SOAK else 300)]

LONGEST_S = 60.0
"""A reader that takes longer than this for a file of some kilobytes hangs."""


def test_damaged_files_neither_kill_nor_stop_the_reader(tmp_path: Path) -> None:
    read = list(_read(tmp_path, DAMAGED_FILES))
    assert [one["number"] for one in read] == list(range(DAMAGED_FILES))
    wrong = [one for one in read if one["wrong"]]
    assert not wrong, f"{len(wrong)} of {DAMAGED_FILES}: {json.dumps(wrong[:20], indent=1)}"
    reasons = Counter(one["reason"] or "read" for one in read)
    assert {"TRUNCATED", "BAD_HEADER", "CORRUPT_CHUNK", "BAD_AXIS", "HEADER_INCONSISTENT", "read"} <= reasons.keys()
    counts = ", ".join(f"{why} {n}" for why, n in reasons.most_common())
    note(f"damaged headers and chunks read ({counts})", DAMAGED_FILES)


def _read(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """Let a process read damaged files. If it dies or hangs, yield that for its file, and start another process."""
    number = 0
    while number < count:
        words = [sys.executable, "-X", "faulthandler", "-m", "tests.cluster.mutations", folder, number, count]
        begun: dict[str, Any] = {}
        with open(folder / "log", "w") as log, subprocess.Popen(
            list(map(str, words)), env=environment(), bufsize=0, stdout=subprocess.PIPE, stderr=log
        ) as process:
            while line := _line(process):
                said = json.loads(line)
                if "wrong" in said:
                    yield said
                    number, begun = said["number"] + 1, {}
                else:
                    begun = said
            process.kill()
        if number < count:
            told = (folder / "log").read_text()
            assert begun, f"it never began: {told}"
            yield begun | {"reason": "", "wrong": f"died or hung ({process.returncode}): {told[-600:]}"}
            number = begun["number"] + 1


def _line(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for a line; return an empty one if the process has ended or no line comes."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], LONGEST_S)
    return process.stdout.readline() if ready else b""
