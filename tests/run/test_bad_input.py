"""Every kind of bad input, in both formats: the reason is right, no worker dies, and all other files are done."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.run import ingest
from pipeline.store import CorpusStore, SourceGroup, VectorGroup
from tests.run.bad import bad_archive, good_but_odd
from tests.run.small import COARSE, archive, by_name, config, contents, write_scan
from tests.run.workers import environment


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[Callable[[Path], threading.Event]]:
    """Change the time of a file all the time, as if it were still being written. The event stops this."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def touch(path: Path) -> None:
        moment = 10**18
        while not stop.wait(0.002):
            moment += 1
            os.utime(path, ns=(moment, moment))

    def start(path: Path) -> threading.Event:
        threads.append(threading.Thread(target=touch, args=(path,)))
        threads[-1].start()
        return stop

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def test_every_kind_of_bad_input_is_told_apart_and_harms_nobody_else(
    tmp_path: Path, client: Any, restless: Callable[[Path], threading.Event]
) -> None:
    data, root = tmp_path / "data", tmp_path / "corpus"
    expected: dict[str, Reason | None] = dict(bad_archive(data))
    names = good_but_odd(data)
    write_scan(data / "busy.h5", 99)
    expected |= dict.fromkeys(names) | {"busy.h5": Reason.BUSY}
    stop = restless(data / "busy.h5")
    pids = set(client.run(os.getpid).values())

    report = ingest([data], root, client, config=config())
    found = by_name(report)
    assert {name: r.reason for name, r in found.items()} == expected
    assert {name for name, r in found.items() if r.status == "done"} == names
    assert (found["busy.h5"].status, report.exit_code) == ("busy", 3)
    assert set(client.run(os.getpid).values()) == pids, "a worker died"
    for name, r in found.items():
        if r.reason is not None:
            assert r.message.startswith(str(data)), "says which file"
            is_wrong = r.reason not in ("NOT_FILTERBANK", "DUPLICATE") and name != "up"  # no file is lost by that link
            assert r.status == ("skipped" if not is_wrong else "busy" if name == "busy.h5" else "failed")
    manifest = CorpusStore.open(root).manifest()
    for source_id in manifest.sources:
        assert np.isfinite(VectorGroup.open(root, "power-spectrum-v1", source_id).vectors()).all()
    dead = SourceGroup.open(root, found["dead pixels.h5"].source_id)
    assert dead.exposure("windows_masked").sum() == found["dead pixels.h5"].windows_masked > 0

    # second run: files that may heal are tried again, all others are known
    stop.set()
    write_scan(data / "truncated.fil", 77)
    report = ingest([data], root, client, config=config())
    again = by_name(report)
    names |= {"busy.h5", "truncated.fil"}
    assert {name for name, r in again.items() if r.status == "done"} == {"busy.h5", "truncated.fil"}
    assert {name: r.reason for name, r in again.items()} == expected | {"busy.h5": None, "truncated.fil": None}
    files = CorpusStore.open(root).manifest().files
    tries = {Path(path).name: entry.tries for path, entry in files.items()}
    assert {name for name, count in tries.items() if count > 1} == {"truncated.h5"}
    assert tries["truncated.h5"] == 2

    # third run: it probes the only file that may still heal
    report = ingest([data], root, client, config=config())
    assert (report.tasks, report.exit_code) == (1, 3)
    assert by_name(report)["truncated.h5"].reason is Reason.TRUNCATED
    (data / "truncated.h5").unlink()
    before = CorpusStore.open(root).manifest().generation
    assert ingest([data], root, client, config=config()).tasks == 0
    assert CorpusStore.open(root).manifest().generation == before
    assert len(contents(root)["files"]) == len(expected) - 1, "links that lead nowhere are known again, too"


DROP_PRIVILEGES = """
import ctypes, sys
libc = ctypes.CDLL(None)
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: root would read what nobody may
    libc.prctl(24, capability, 0, 0, 0)
import os
os.execv(sys.executable, [sys.executable, "-m", "pipeline", *sys.argv[1:]])
"""


def test_what_may_not_be_read_is_reported_by_the_command_and_taken_when_it_may(tmp_path: Path) -> None:
    data = archive(tmp_path / "data", 2)
    (data / "closed").mkdir()
    (data / "scan0.h5").chmod(0)
    (data / "closed").chmod(0)
    command = [sys.executable, "-c", DROP_PRIVILEGES, "ingest", str(data), "--corpus", str(tmp_path / "corpus"),
               "--coarse-width", str(COARSE), "--views", "none", "--serial", "--encoder", "power-spectrum"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment())
    assert done.returncode == 3, done.stderr
    assert "3 files: 1 done, 0 skipped, 2 failed" in done.stdout
    assert "2 PERMISSION" in done.stdout
    (data / "scan0.h5").chmod(0o644)
    (data / "closed").chmod(0o755)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 files: 1 done, 1 skipped, 0 failed" in done.stdout
