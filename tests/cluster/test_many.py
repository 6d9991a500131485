"""One source among two hundred crashes every process that reads it. All others are done, and few tasks run twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.errors import Reason
from pipeline.integrity import verify
from pipeline.run import ingest
from pipeline.run.task_sizes import SHARED_SOURCES
from tests.cluster.supervised import supervised
from tests.run.small import COARSE, by_name, config, write_scan
from tests.run.workers import preload

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

GOOD = 200
RECOVERY_S = 60.0
"""Time for a dead worker to come back. On a busy machine it needs more than the 10 s of other tests."""


def test_one_of_many_sources_that_aborts_its_reader_fails_alone(tmp_path: Path) -> None:
    data, tries, folder = tmp_path / "data", tmp_path / "tries", tmp_path / "services"
    data.mkdir()
    folder.mkdir()
    for scan_no in range(GOOD):
        write_scan(data / f"scan{scan_no}.h5", scan_no, nchans=COARSE)
    write_scan(data / "crashes.h5", GOOD, nchans=COARSE)
    crashing = preload(
        folder, "_scan_part",
        f"with open({str(tries)!r}, 'a') as file: file.write(os.path.basename(a[0].source.path) + '\\n')",
        "if a[0].source.path.endswith('crashes.h5'): os.abort()",
    )
    with supervised(folder, crashing) as services:
        where = config(scheduler=services.address, insecure=True, resource_wait_s=RECOVERY_S)
        report = ingest([data], tmp_path / "corpus", config=where)
    found = by_name(report)
    crashed = found.pop("crashes.h5")
    assert (crashed.status, crashed.reason, report.exit_code) == ("failed", Reason.CRASHED, 3)
    assert len(found) == GOOD
    assert {(one.status, one.message) for one in found.values()} == {("done", "")}
    begun = Counter(tries.read_text().split())
    tries_of_a_task = 4  # two beside others, and a round of two alone
    assert begun.pop("crashes.h5") <= 2 * tries_of_a_task, "in a task that it shares, and then in one of its own"
    assert begun.keys() == found.keys()
    again = sum(begun.values()) - GOOD
    assert again <= tries_of_a_task * SHARED_SOURCES, "what shared its task or worker is done again"
    assert verify(tmp_path / "corpus").damages == ()
