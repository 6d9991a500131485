"""The disk becomes full at any moment of a run. A message says so, nothing is lost, and a rerun with room completes it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cases import Case, assert_completed, assert_opens, case, server
from tests.cluster.deaths import Server
from tests.cluster.soak import IS_SOAK, note

__all__ = ["case", "server"]  # fixtures

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600 if IS_SOAK else 400)]

STEP = 4 if IS_SOAK else 16
"""KiB by which the free space grows from run to run."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        pytest.skip(f"needs a small file system, and none may be mounted here: {done.stderr.strip()}")
    yield disk
    # this process may still have arrays of the corpus mapped; the mount goes when the last of them is freed
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_disk_that_is_full_at_any_moment_stops_the_run_with_a_message(
    case: Case, server: Server, disk: Path
) -> None:
    ballast, runs, status = disk / "ballast", 0, 1
    for room_kib in range(0, 3 * 1024, STEP):
        root = Path(shutil.copytree(case.before, disk / "corpus"))
        ballast.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - room_kib * 1024)))
        ended = case.run(server, root)
        status = ended["status"]
        if status == 0:
            ballast.unlink()
            break
        assert ended["error"].startswith(f"RunError: {root}: cannot be written ("), room_kib
        assert "No space left on device" in ended["error"]
        assert "make room" in ended["error"]
        assert_opens(root, case)
        ballast.unlink()
        assert_completed(root, case, server)
        shutil.rmtree(root)
        runs += 1
    assert runs > 1
    assert status == 0, "at some time there is room enough"
    note(f"{case.work}: disk full, another {STEP} KiB each time", runs)
