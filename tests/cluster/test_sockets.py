"""Ports that a run opens by default, as ``ss -ltn`` lists them. No other machine can reach any of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.run.small import COARSE, ENCODER, assert_same_corpus
from tests.run.workers import LOOPBACK, command, slowly, started

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300),
              pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss (Debian: iproute2)")]


def addresses(pids: set[int]) -> set[str]:
    """Return address and port of each socket at which one of these processes listens."""
    told = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    return {line.split()[3] for line in told.splitlines()
            if pids & {int(pid) for pid in re.findall(r"\bpid=(\d+)", line)}}


def test_a_run_of_its_own_cluster_listens_on_loopback_alone(data: Path, reference: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    ingest = command("ingest", data, "--corpus", root, "--coarse-width", str(COARSE), "--views", "none", "--encoder",
                     ENCODER.name)
    slow = {"DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([slowly(tmp_path, 1.0)])}
    seen: set[str] = set()
    with started(ingest, tmp_path, **slow) as process:
        run = psutil.Process(process.pid)
        while process.poll() is None:
            seen |= addresses({one.pid for one in [run, *run.children(recursive=True)]})
        assert process.returncode == 0, process.communicate()
    assert len(seen) >= 3, "a scheduler, and a worker with its nanny at least"
    assert {address.rpartition(":")[0] for address in seen} == {LOOPBACK}, seen
    assert_same_corpus(root, reference)
