"""Two nightly runs at once, as processes: one does the work, the other says who is at it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from pipeline.run import ingest
from tests.run.small import COARSE, assert_same_corpus, config, write_scan
from tests.run.workers import command, slowly, started

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def test_of_two_nights_at_once_one_is_done_and_the_other_names_it(tmp_path: Path) -> None:
    data, root, alone = tmp_path / "data", tmp_path / "corpus", tmp_path / "alone"
    data.mkdir()
    write_scan(data / "scan0.h5", nchans=COARSE)
    assert ingest([data], root, config=config(), serial=True).exit_code == 0
    for scan_no in range(1, 5):
        write_scan(data / f"scan{scan_no}.h5", scan_no, nchans=COARSE)
    assert ingest([data], alone, config=config(), serial=True).exit_code == 0

    nightly = command("nightly", data, "--corpus", root, "--min-age", "0s", "--workers", "1", "--json")
    slow = {"DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([slowly(tmp_path, 2.0)])}  # both are up before one is done
    with started(nightly, tmp_path, **slow) as one, started(nightly, tmp_path, **slow) as other:
        said = {process: process.communicate(timeout=200) for process in (one, other)}
        refused, done = sorted((one, other), key=lambda process: -process.returncode)
    assert (refused.returncode, done.returncode) == (4, 0), said
    message = said[refused][1]
    assert socket.gethostname() in message
    assert str(done.pid) in message
    assert len(json.loads(said[done][0])["done"]) == 4
    assert_same_corpus(root, alone)

    with started(nightly, tmp_path) as third:
        output, _ = third.communicate(timeout=100)
    assert (third.returncode, json.loads(output)["done"]) == (0, [])
