"""A run that dies at any write leaves the last generation whole, and a rerun completes it.

By default, the run dies at some of its calls: the first, the last, and some at even distances between them. In a soak,
it dies at each.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.cluster.cases import Case, assert_completed, assert_opens, case, server, spread
from tests.cluster.deaths import CALLS, Server
from tests.cluster.soak import IS_SOAK, note

__all__ = ["case", "server"]  # fixtures

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600 if IS_SOAK else 400)]

SAMPLE = None if IS_SOAK else 12
ERRORS = ("EIO", "ENOSPC")


@pytest.mark.parametrize("call", CALLS)
def test_a_run_killed_at_any_write_leaves_what_was_and_a_rerun_completes_it(
    call: str, case: Case, server: Server, tmp_path: Path
) -> None:
    numbers = spread(case.calls[call], SAMPLE)
    assert len(numbers) >= 5
    for when in numbers:
        root = Path(shutil.copytree(case.before, tmp_path / f"{when}"))
        assert case.run(server, root, call=call, when=when, effect="KILL")["status"] == -9, when
        assert_opens(root, case)
        assert_completed(root, case, server)
        shutil.rmtree(root)
    note(f"{case.work}: SIGKILL at a {call} ({case.calls[call]} calls)", len(numbers))


@pytest.mark.parametrize("error", ERRORS)
def test_a_run_whose_disk_fails_at_any_flush_says_so_and_a_rerun_completes_it(
    error: str, case: Case, server: Server, tmp_path: Path
) -> None:
    numbers = spread(case.calls["fsync"], SAMPLE)
    for when in numbers:
        root = Path(shutil.copytree(case.before, tmp_path / f"{when}"))
        ended = case.run(server, root, call="fsync", when=when, effect=error)
        assert ended["status"] == 1, when
        assert os.strerror(getattr(errno, error)) in ended["error"]
        # the error is that of one source if its task may be the cause; else it is that of the run
        assert ended["error"].startswith("RunError: ") or (error == "EIO" and "scan" in ended["error"])
        assert_opens(root, case)
        assert_completed(root, case, server)
        shutil.rmtree(root)
    note(f"{case.work}: {error} at an fsync ({case.calls['fsync']} calls)", len(numbers))


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(("call", "effect"), [("fsync", "KILL"), ("rename", "KILL"), ("fsync", "EIO")])
def test_what_the_kernel_does_at_a_call_is_survived_as_well(
    call: str, effect: str, case: Case, server: Server, tmp_path: Path
) -> None:
    # strace counts the calls of each thread separately, so no thread may reach the highest numbers
    ended = 0
    for when in spread(case.calls[call] // 2, 20 if IS_SOAK else 4):
        root = Path(shutil.copytree(case.before, tmp_path / f"{when}"))
        status = case.run(server, root, by="strace", call=call, when=when, effect=effect)["status"]
        assert status in {0, -9 if effect == "KILL" else 1}
        ended += status != 0
        assert_opens(root, case)
        assert_completed(root, case, server)
        shutil.rmtree(root)
    assert ended
    note(f"{case.work}: {effect} by the kernel at a {call}", ended)
