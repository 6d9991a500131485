"""Nightly runs as processes: two at the same time, and one while a file is being written.

Of two runs at the same time, one refuses and names the other.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from pipeline.run import ingest
from tests.cluster.places import wait_for
from tests.run.small import COARSE, N_COARSE, assert_same_corpus, config, contents, write_scan
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
    slow = {"DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([slowly(tmp_path, 2.0)])}  # both start before one ends
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


GROW = """
import sys, time
from pathlib import Path
path, end, spectrum_bytes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with open(path, "r+b", buffering=0) as file:
    spectrum = file.read()[-spectrum_bytes:]
    while not end.exists():
        file.write(spectrum)
        time.sleep(0.05)
"""


def test_a_file_that_grows_during_the_scan_is_left_and_taken_the_next_night(tmp_path: Path) -> None:
    data, root, alone, end = tmp_path / "data", tmp_path / "corpus", tmp_path / "alone", tmp_path / "end"
    data.mkdir()
    write_scan(data / "scan0.h5", nchans=COARSE)
    assert ingest([data], root, config=config(), serial=True).exit_code == 0
    write_scan(data / "scan1.h5", 1, nchans=COARSE)
    growing = write_scan(data / "scan2.fil", 2)
    before = growing.stat().st_size

    nightly = command("nightly", data, "--corpus", root, "--min-age", "0s", "--workers", "1", "--json")
    slow = {"DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([slowly(tmp_path, 1.0)])}
    with started(nightly, tmp_path, **slow) as night:
        wait_for(lambda: any((root / "staging").glob("*/*")), "a scan")  # the growing file has been found
        with started([sys.executable, "-c", GROW, str(growing), str(end), str(4 * COARSE * N_COARSE)], tmp_path):
            output, errors = night.communicate(timeout=200)
            end.touch()
    assert growing.stat().st_size > before
    assert json.loads(output)["done"] == [str(data / "scan1.h5")], errors
    assert contents(root)["files"][str(growing)][1] == "BUSY"

    with started(nightly, tmp_path) as night:
        output, errors = night.communicate(timeout=200)
    assert (night.returncode, json.loads(output)["done"]) == (0, [str(growing)]), errors
    assert ingest([data], alone, config=config(), serial=True).exit_code == 0
    assert_same_corpus(root, alone)
