"""HDF5 files that crash the HDF5 library, or make it take all memory: refused with a reason, and other files are read.

The files in ``mutants`` are generated files with altered bytes. Three have a virtual dataset: two of them crash HDF5
1.14.6 in every process, and one does so in some processes only. The data of the fourth lie in its header; the library
allocates four gigabytes for it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest

from pipeline.errors import Reason, SourceError
from pipeline.filterbank import open_filterbank, parser_client, parser_process, read_waterfall, write_filterbank
from pipeline.integrity import verify
from pipeline.run import RunReport, ingest
from pipeline.scan import scan, tiling_of
from pipeline.store import CorpusStore, source_folder
from tests.cluster import mutations
from tests.filterbank.files import GBT, attributes, in_file_order, power_of, write_h5
from tests.run.small import COARSE, SCAN, by_name, config, header, noisy_power, write_scan
from tests.run.workers import environment, wait_until

MUTANTS = sorted((Path(__file__).parent / "mutants").glob("*.h5"))
CRASHING = "01789-meta-vds.h5"
REFUSED = ("00510-meta-compact.h5", CRASHING, "04418-meta-vds.h5")
MOST_BYTES = 512 << 20
FRESH = 100
"""Number of damaged files that the test makes."""
LONGEST_S = 60


def archive(folder: Path) -> Path:
    """Write two good scans, and the mutants between them."""
    folder.mkdir()
    write_scan(folder / "00000-good.h5", 0)
    write_scan(folder / "99999-good.h5", 1)
    for path in MUTANTS:
        shutil.copyfile(path, folder / path.name)
    return folder


def assert_others_are_done(report: RunReport) -> None:
    reports = by_name(report)
    assert [reports[name].status for name in ("00000-good.h5", "99999-good.h5")] == ["done", "done"]
    for name in REFUSED:
        assert reports[name].reason is Reason.BAD_HEADER
        assert name in reports[name].message
    assert report.exit_code == 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("hostile") / "data")


@pytest.fixture(scope="module")
def root(data: Path) -> Path:
    """A corpus of these files, made in this process. A crash would end the tests."""
    root = data.parent / "corpus"
    assert_others_are_done(ingest([data], root, config=config(), serial=True))
    return root


def test_there_are_mutants() -> None:
    assert len(MUTANTS) == 4
    assert set(REFUSED) < {path.name for path in MUTANTS}


def test_hdf5_alone_crashes() -> None:
    """If this test fails, HDF5 has been mended, and the separate process for parsing is no longer needed."""
    code = "import h5py, sys; list(h5py.File(sys.argv[1])['data'].virtual_sources())"
    path = next(path for path in MUTANTS if path.name == CRASHING)
    done = subprocess.run([sys.executable, "-c", code, path], check=False, capture_output=True)
    assert done.returncode == -signal.SIGSEGV


def test_a_run_in_one_process_takes_in_the_others(root: Path) -> None:
    assert len(CorpusStore.open(root).manifest().sources) >= 2


@pytest.mark.cluster
def test_a_run_with_one_worker_takes_in_the_others(data: Path, tmp_path: Path) -> None:
    assert_others_are_done(ingest([data], tmp_path / "corpus", config=config(workers=1)))


@pytest.mark.parametrize("path", MUTANTS, ids=lambda path: path.stem)
def test_a_file_search_goes_on(root: Path, path: Path) -> None:
    words = ["search", "--corpus", root, "--file", path, "--f-start", "1534.99", "--f-stop", "1534.995"]
    done = subprocess.run([sys.executable, "-m", "pipeline", *map(str, words)], env=environment(), check=False,
                          capture_output=True, text=True)
    assert done.returncode == (2 if path.name in REFUSED else 0), done.stderr
    assert (f"BAD_HEADER: {path}" in done.stderr) == (path.name in REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_a_repair_that_reads_again_says_what_it_met(root: Path, data: Path, tmp_path: Path, name: str) -> None:
    copy, corpus = shutil.copytree(data, tmp_path / "data"), tmp_path / "corpus"
    for path in MUTANTS:
        (copy / path.name).unlink()
    assert ingest([copy], corpus, config=config(), serial=True).exit_code == 0
    victim = next(i for i, s in CorpusStore.open(corpus).manifest().sources.items() if s.path.endswith("00000-good.h5"))
    column = source_folder(corpus, victim) / "windows.npy"
    raw = bytearray(column.read_bytes())
    raw[len(raw) // 2] ^= 1
    column.write_bytes(raw)
    shutil.copyfile(next(path for path in MUTANTS if path.name == name), copy / "00000-good.h5")
    done = verify(corpus, repair=True)
    assert done.exit_code == 5
    assert any(victim in str(one) for one in done.damages)


@pytest.mark.parametrize("name", REFUSED)
def test_blimpy_is_not_shown_what_crashes_hdf5(name: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_waterfall(next(path for path in MUTANTS if path.name == name))
    assert caught.value.reason is Reason.BAD_HEADER


PROBE = """
import os, resource, sys
from pathlib import Path
from pipeline.config import ScanConfig
from pipeline.filterbank import FoundFile, parser_client
from pipeline.tasks import probe
path = Path(sys.argv[1])
print(probe(FoundFile(path, path.parent), ScanConfig()).reason)
parser_client.stop()  # so that its memory counts, and that of the processes it has started
# not what wait4 tells of this process: there Linux counts the memory of the one that started it
own_kb = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
print(max(own_kb, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


def test_a_probe_takes_little_memory() -> None:
    path = next(path for path in MUTANTS if path.name == "00510-meta-compact.h5")
    done = subprocess.run([sys.executable, "-c", PROBE, path], env=environment(), capture_output=True, text=True,
                          check=True)
    reason, used_kb = done.stdout.split()
    assert reason == "BAD_HEADER"
    assert 0 < 1024 * int(used_kb) < MOST_BYTES


@pytest.mark.parametrize(("is_sigproc", "some"), [
    (False, {"virtual.h5", "compact.h5", "whole.h5", "lz4.h5"}), (True, {"1.fil", "4.fil", "8.fil", "table.fil"})])
def test_fresh_mutants_neither_kill_nor_stop_the_reader(tmp_path: Path, is_sigproc: bool, some: set[str]) -> None:
    known = [base for base in mutations.bases(tmp_path) if base.is_sigproc is is_sigproc]
    assert some <= {base.name for base in known}
    said = []
    for number in range(FRESH):
        chance = random.Random(f"hostile {number}")
        base = known[number % len(known)]
        damaged = mutations.damage(base, chance, tmp_path)
        said.append({"number": number, "file": base.name, "how": damaged.how}
                    | mutations.verdict(damaged, tmp_path / base.name))
    wrong = [one for one in said if one["wrong"]]
    assert not wrong, json.dumps(wrong, indent=1)
    assert len({one["reason"] for one in said}) > 3, "hardly anything was damaged"


def test_a_file_that_keeps_hdf5_busy_for_ever_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parsing process gets a short limit and loops for ever instead of parsing."""
    path = write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes())
    begin = ("import sys; sys.path[:] = {path!r}; from pipeline.filterbank import parser, parser_process as p; "
             "p.MAX_CPU_S = 1; parser.describe = lambda *_: [None for _ in iter(int, 1)]; p.main()")
    monkeypatch.setattr(parser_client, "START", begin)
    parser_client.stop()
    try:
        with pytest.raises(SourceError, match="does not finish reading") as caught:
            open_filterbank(path)
        assert caught.value.reason is Reason.BAD_HEADER
    finally:
        parser_client.stop()


def test_a_parser_that_cannot_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes())
    monkeypatch.setattr(parser_client, "START", "{path!r}")
    parser_client.stop()
    try:
        with pytest.raises(SourceError, match="does not answer") as caught:
            open_filterbank(path)
        assert caught.value.reason is Reason.CRASHED
        assert caught.value.reason.may_heal
    finally:
        parser_client.stop()


def test_one_that_was_killed_is_started_again(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        path = write_h5(tmp_path / name, in_file_order(power_of(GBT), GBT), attributes())
        with open_filterbank(path) as filterbank:
            assert filterbank.header.nchans == GBT.nchans
        for child in psutil.Process().children():
            if "parser_process" in " ".join(child.cmdline()):
                child.kill()
                child.wait()


PARENT = """
import os, sys, time
from pipeline.filterbank import open_filterbank
open_filterbank(sys.argv[1])
if os.fork() == 0:  # a process that was forked asks a parser of its own
    open_filterbank(sys.argv[1])
    os._exit(0)
assert os.wait()[1] == 0
print("opened", flush=True)
time.sleep(600)
"""


def test_nothing_is_left_where_the_parent_is_killed(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes())
    with subprocess.Popen([sys.executable, "-c", PARENT, path], env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"opened\n"
        (parser,) = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    wait_until(lambda: not parser.is_running() or parser.status() == psutil.STATUS_ZOMBIE)


def test_a_parser_that_nobody_asks_ends_and_the_next_question_starts_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_h5(tmp_path / "f.h5", in_file_order(power_of(GBT), GBT), attributes())
    assert parser_process.IDLE_S > 1
    monkeypatch.setattr(parser_client, "START", parser_client.START.replace(
        "import main; main()", "import main; import pipeline.filterbank.parser_process as p; p.IDLE_S = 0.05; main()"))
    parser_client.stop()
    try:
        for _ in range(3):
            os.utime(path)  # so that the file is probed again
            with open_filterbank(path) as filterbank:
                assert filterbank.header.nchans == GBT.nchans
            time.sleep(0.3)
    finally:
        parser_client.stop()


def test_what_was_told_of_a_file_is_forgotten_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    for seed, chunks in ((1, (1, 1, 37)), (2, (2, 1, 64)), (3, (18, 1, 100))):
        write_h5(path, in_file_order(power_of(GBT, seed), GBT), attributes(), chunks=chunks)
        for _ in range(2):
            with open_filterbank(path) as filterbank:
                assert filterbank.chunk_shape == (chunks[0], chunks[2])
                np.testing.assert_array_equal(filterbank.read(0, 18, 0, 100), power_of(GBT, seed))


# --- parts of a virtual dataset that leave gaps ---------------------------------------------------------------------


@pytest.mark.parametrize("parts", [
    [((0, 16), (0, 3 * COARSE)), ((0, 16), (2 * COARSE, 3 * COARSE)), ((0, 16), (3 * COARSE, 4 * COARSE - 1100))],
    [((0, 11), (0, 4 * COARSE)), ((3, 13), (0, 4 * COARSE))],
], ids=["frequency", "time"])
def test_what_no_part_supplies_is_masked_and_counted(tmp_path: Path, parts: list[Any]) -> None:
    """The oracle is a plain file that holds no numbers there."""
    like, power = header(), noisy_power(0)
    write_filterbank(tmp_path / "whole.h5", power, like)
    stored = in_file_order(power, like)
    layout = h5py.VirtualLayout(stored.shape, np.float32)
    source, holed = h5py.VirtualSource("whole.h5", "data", stored.shape), np.full_like(stored, np.nan)
    for (first, last), (start, stop) in parts:
        layout[first:last, :, start:stop] = source[first:last, :, start:stop]
        holed[first:last, :, start:stop] = stored[first:last, :, start:stop]
    assert np.isnan(holed).any()
    with h5py.File(tmp_path / "whole.h5") as file, h5py.File(tmp_path / "virtual.h5", "w") as virtual:
        virtual.create_virtual_dataset("data", layout)
        virtual["data"].attrs.update(file["data"].attrs)
    write_filterbank(tmp_path / "holed.h5", holed[:, 0, ::-1], like)
    found, expected = _scanned(tmp_path / "virtual.h5"), _scanned(tmp_path / "holed.h5")
    assert sum(one.windows["masked"].sum() + one.exposure["windows_masked"].sum() for one in expected) > 0
    for one, other in zip(found, expected, strict=True):
        for name in one.windows:
            np.testing.assert_array_equal(one.windows[name], other.windows[name])
        for name in one.exposure:
            np.testing.assert_array_equal(one.exposure[name], other.exposure[name])


def _scanned(path: Path) -> list[Any]:
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, SCAN)
        return list(scan(filterbank, tiling, range(tiling.n_coarse), SCAN))
