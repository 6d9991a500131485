"""Ingest where nothing dies: both engines, what is skipped, what is tried again, bad input of every kind."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pipeline import plan, run
from pipeline.config import Config, EncoderConfig
from pipeline.errors import ConfigError, CorpusLocked, CorpusMismatch, EncoderError, Reason
from pipeline.filterbank import write_filterbank
from pipeline.model import SourceReport
from pipeline.run import Progress, RunReport, engine, ingest
from pipeline.run.engine import SerialEngine
from pipeline.store import CorpusStore, SourceGroup, VectorGroup
from tests.run.small import (
    COARSE,
    N_COARSE,
    SCAN,
    archive,
    assert_same_corpus,
    config,
    contents,
    header,
    noisy_power,
    write_scan,
)
from tests.run.workers import environment


def by_name(report: RunReport) -> dict[str, SourceReport]:
    return {Path(r.path).name: r for r in report.reports}


def generation(root: Path) -> int:
    return CorpusStore.open(root).manifest().generation


# --- the same corpus -----------------------------------------------------------------------------------------------


def test_both_engines_make_the_same_corpus(
    good: Path, undisturbed: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART_CHANNELS", COARSE)  # as many parts as there are coarse channels
    serial = ingest([good], tmp_path / "serial", config=config(), serial=True)
    cluster = ingest([good], tmp_path / "dask", client, config=config())
    assert serial.tasks == cluster.tasks == 1 + 6 * (2 * N_COARSE + 1)
    for report in (serial, cluster):
        assert (report.windows_seen, report.exit_code) == (6 * 64, 0)
        assert report.windows_kept == sum(r.windows_kept for r in report.reports) > 0
        assert report.bytes_decoded == 6 * 16 * N_COARSE * COARSE * 4
    for root in (tmp_path / "serial", tmp_path / "dask"):
        assert_same_corpus(root, undisturbed)
        assert not list((root / "staging").iterdir())


def test_a_finished_ingest_starts_no_cluster_runs_no_task_and_writes_nothing(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "corpus"
    ingest([good], root, config=config(), serial=True)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file() and path.name != "lock"}
    monkeypatch.setattr(engine, "embedded_cluster", None)
    report = ingest([good], root)  # the configuration is the corpus' own
    assert (report.tasks, report.exit_code) == (0, 0)
    assert {(r.status, r.reason, r.message) for r in report.reports} == {("skipped", None, "already in the corpus")}
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file() and path.name != "lock"}
    assert after == before


def test_what_is_added_later_is_all_that_is_read(tmp_path: Path) -> None:
    data, root = archive(tmp_path / "data", 2), tmp_path / "corpus"
    ingest([data], root, config=config(), serial=True)
    write_scan(data / "later.h5", 7)
    report = ingest([data], root, serial=True)
    assert {name: r.status for name, r in by_name(report).items()} == {
        "scan0.h5": "skipped", "scan1.fil": "skipped", "later.h5": "done"}
    assert report.tasks == 1 + 3
    ingest([data], tmp_path / "at-once", config=config(), serial=True)
    assert_same_corpus(root, tmp_path / "at-once")


def test_a_range_of_the_band_ingests_only_that_and_sources_outside_it_are_done_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART_CHANNELS", COARSE)
    data = archive(tmp_path / "data", 1)
    write_scan(data / "elsewhere.h5", 1, fch1_mhz=1420.0)
    edge = header().channel_edge_mhz
    scan = replace(SCAN, f_start_mhz=edge(COARSE + 0.5), f_stop_mhz=edge(2 * COARSE + 300), keep_all=True)
    report = ingest([data], tmp_path / "corpus", config=config(scan), serial=True)
    assert {name: (r.status, r.windows_seen) for name, r in by_name(report).items()} == {
        "scan0.h5": ("done", 15 + 1), "elsewhere.h5": ("done", 0)}
    assert ingest([data], tmp_path / "corpus", serial=True).tasks == 0


def test_copies_and_the_other_format_are_one_source_all_paths_listed(tmp_path: Path) -> None:
    data = archive(tmp_path / "data", 1)
    shutil.copy(data / "scan0.h5", data / "copy.h5")
    write_scan(data / "other.fil", 0)
    (data / "link.h5").symlink_to(data / "scan0.h5")
    like = header()
    mirrored = replace(like, foff_mhz=-like.foff_mhz, fch1_mhz=like.fch1_mhz + (like.nchans - 1) * like.foff_mhz)
    write_filterbank(data / "mirrored.h5", noisy_power(0), mirrored)
    root = tmp_path / "corpus"
    report = ingest([data], root, config=config(), serial=True)
    found = by_name(report)
    names = {"copy.h5", "link.h5", "mirrored.h5", "other.fil", "scan0.h5"}
    assert found.pop("copy.h5").status == "done", "the first in order of names"
    assert {(r.status, r.reason) for r in found.values()} == {("skipped", Reason.DUPLICATE)}
    for name, r in found.items():
        assert {Path(path).name for path in r.also_at} == names - {name}
    (entry,) = CorpusStore.open(root).manifest().sources.values()
    assert {Path(path).name for path in entry.also_at} == names - {"copy.h5"}
    assert report.exit_code == 0, "duplicates are information"
    before = generation(root)
    assert ingest([data], root, serial=True).tasks == 0
    assert generation(root) == before
    write_scan(data / "yet-another.fil", 0)
    again = by_name(ingest([data], root, serial=True))["yet-another.fil"]
    assert (again.reason, {Path(path).name for path in again.also_at}) == (Reason.DUPLICATE, names)
    (entry,) = CorpusStore.open(root).manifest().sources.values()
    assert {Path(path).name for path in entry.also_at} == names - {"copy.h5"} | {"yet-another.fil"}


def test_the_copy_of_a_damaged_file_is_taken_by_the_next_run(tmp_path: Path) -> None:
    data, root = tmp_path / "data", tmp_path / "corpus"
    archive(data, 1)
    shutil.copy(data / "scan0.h5", data / "zcopy.h5")
    corrupt(data / "scan0.h5")
    first = by_name(ingest([data], root, config=config(), serial=True))
    assert [first[name].reason for name in ("scan0.h5", "zcopy.h5")] == [Reason.CORRUPT_CHUNK, Reason.DUPLICATE]
    second = by_name(ingest([data], root, serial=True))
    assert second["scan0.h5"].reason is Reason.CORRUPT_CHUNK
    assert second["zcopy.h5"].status == "done"
    assert ingest([data], root, serial=True).tasks == 0


# --- what is refused ------------------------------------------------------------------------------------------------


def test_data_that_is_missing_or_empty_or_holds_no_filterbank_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("no data")
    nothing = "no filterbank files"
    for name, message in (("missing", "no such file or folder"), ("empty", nothing), ("notes", nothing)):
        with pytest.raises(ConfigError, match=f"{name}: {message}"):
            ingest([tmp_path / name], tmp_path / "corpus", config=config(), serial=True)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("change", [{"step": 128}, {"f_start_mhz": 8419.49}, {"false_alarm": 0.01}, {"keep_all": True}])
def test_another_identity_is_refused_with_the_difference_named(
    undisturbed: Path, good: Path, change: dict[str, Any]
) -> None:
    before = generation(undisturbed)
    with pytest.raises(CorpusMismatch, match=f"{next(iter(change))}: corpus has .*, this run asks"):
        ingest([good], undisturbed, config=config(replace(SCAN, **change)), serial=True)
    assert generation(undisturbed) == before


def test_another_encoder_is_refused(undisturbed: Path, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.encoders import power_spectrum

    monkeypatch.setattr(power_spectrum.PowerSpectrum, "__init__", newer(power_spectrum.PowerSpectrum.__init__))
    from pipeline import encoders

    encoders._load.cache_clear()
    try:
        with pytest.raises(CorpusMismatch, match="made by power-spectrum-v1, this run asks for power-spectrum-v99"):
            ingest([good], undisturbed, config=config(), serial=True)
    finally:
        encoders._load.cache_clear()


def newer(really: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, *arguments: Any) -> None:
        really(self, *arguments)
        self.spec = replace(self.spec, version=99)

    return init


def test_an_encoder_that_cannot_be_had_stops_the_run_before_anything_is_made(good: Path, tmp_path: Path) -> None:
    asked = Config(SCAN, EncoderConfig("resnet50", str(tmp_path / "absent.h5")))
    with pytest.raises(EncoderError, match=r"absent\.h5"):
        ingest([good], tmp_path / "corpus", config=asked, serial=True)
    assert not (tmp_path / "corpus").exists()


def test_a_dry_run_tells_what_would_be_done_and_writes_nothing(good: Path, undisturbed: Path, tmp_path: Path) -> None:
    report = ingest([good], tmp_path / "corpus", config=config(), dry_run=True)
    assert {(r.status, r.message) for r in report.reports} == {("skipped", "would be ingested")}
    assert len(report.reports) == 6
    assert not (tmp_path / "corpus").exists()
    before = generation(undisturbed)
    report = ingest([good], undisturbed, config=config(), dry_run=True)
    assert {r.message for r in report.reports} == {"already in the corpus"}
    assert generation(undisturbed) == before


def test_a_second_run_finds_the_corpus_locked(undisturbed: Path, good: Path) -> None:
    with CorpusStore.open(undisturbed).lock(), pytest.raises(CorpusLocked, match=f"process {os.getpid()} on "):
        ingest([good], undisturbed, config=config(), serial=True)


# --- bounded -------------------------------------------------------------------------------------------------------


class Recorder(SerialEngine):
    """Holds tasks back until they are waited for, and notes how many and how large they are."""

    capacity = 5

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Any] = deque()
        self.most = self.largest = 0
        self.calls: list[tuple[str, bool]] = []

    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        self._waiting.append((ticket, task, *arguments))
        self.calls.append((task.__name__, on_gpu))
        self.most = max(self.most, len(self._waiting))
        self.largest = max(self.largest, len(pickle.dumps((task, arguments))))

    def wait(self) -> list[Any]:
        super().submit(*self._waiting.popleft())
        outcomes = super().wait()
        self.largest = max(self.largest, len(pickle.dumps(outcomes)))
        return outcomes


@contextmanager
def given(made: Any) -> Iterator[Any]:
    yield made


def test_work_in_flight_and_what_goes_through_the_client_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archive(tmp_path / "data", 8)
    recorder = Recorder()
    monkeypatch.setattr(plan, "PART_CHANNELS", COARSE)
    monkeypatch.setattr(run, "_engine", lambda *_: given(recorder))
    report = ingest([data], tmp_path / "corpus", config=config(replace(SCAN, keep_all=True)))
    assert report.windows_kept == 8 * 64
    assert recorder.most == recorder.capacity
    assert recorder.largest < 10_000, "bytes; the cutouts of one part are 65,536"
    # sources are finished one after the other, not all begun first
    commits = [n for n, (task, _) in enumerate(recorder.calls) if task == "commit"]
    scans = [n for n, (task, _) in enumerate(recorder.calls) if task == "scan_part"]
    assert commits[0] < scans[12]


@pytest.mark.parametrize(("embed_on", "offers", "expected"), [
    ("auto", True, True), ("auto", False, False), ("cpu", True, False), ("gpu", True, True),
])
def test_where_embedding_happens(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embed_on: str, offers: bool, expected: bool
) -> None:
    recorder = Recorder()
    recorder.offers_gpu = offers
    monkeypatch.setattr(run, "_engine", lambda *_: given(recorder))
    ingest([good / "scan0.h5"], tmp_path / "corpus", config=config(embed_on=embed_on))
    assert set(recorder.calls) == {
        ("probe_batch", False), ("scan_part", False), ("embed_part", expected), ("commit", False)}


def test_progress_grows_to_the_end(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.run import progress

    told: list[Progress] = []
    monkeypatch.setattr(progress.time, "perf_counter", iter(np.arange(1e6)).__next__)  # every snapshot is due
    report = ingest([good], tmp_path / "corpus", config=config(), serial=True, listener=told.append)
    assert [p.stage for p in told if p.stage == "probe"]
    assert (told[-1].stage, told[-1].done, told[-1].files_done) == ("scan", (6, 6), 6)
    seen = [p.windows_seen for p in told]
    assert seen == sorted(seen)
    assert seen[-1] == report.windows_seen == 384


# --- bad input, every kind, in both formats ------------------------------------------------------------------------


def corrupt(path: Path) -> None:
    """Damage the frame of one compressed chunk."""
    with h5py.File(path, "r") as file:
        info = file["data"].id.get_chunk_info_by_coord((3, 0, 0))
    with open(path, "r+b") as raw:
        raw.seek(info.byte_offset)
        raw.write(b"\xff" * 16)


def patch_keyword(path: Path, keyword: str, value: bytes) -> None:
    """Overwrite a keyword's value in a sigproc header."""
    raw = bytearray(path.read_bytes())
    at = raw.index(keyword.encode()) + len(keyword)
    raw[at : at + len(value)] = value
    path.write_bytes(raw)


def rename_keyword(path: Path, keyword: str, other: str) -> None:
    path.write_bytes(path.read_bytes().replace(keyword.encode(), other.encode(), 1))


def set_attribute(path: Path, name: str, value: Any) -> None:
    with h5py.File(path, "r+") as file:
        if value is None:
            del file["data"].attrs[name]
        else:
            file["data"].attrs[name] = value


def bad_archive(data: Path) -> dict[str, Reason]:
    """One file of each kind of bad input, in each format that can have it."""
    data.mkdir()
    expected: dict[str, Reason] = {}
    numbers = iter(range(100, 200))

    def fil(name: str, reason: Reason, **changes: Any) -> Path:
        expected[f"{name}.fil"] = reason
        return write_scan(data / f"{name}.fil", next(numbers), **changes)

    def h5(name: str, reason: Reason, **changes: Any) -> Path:
        expected[f"{name}.h5"] = reason
        return write_scan(data / f"{name}.h5", next(numbers), **changes)

    for suffix in ("fil", "h5"):
        (data / f"empty.{suffix}").write_bytes(b"")
        expected[f"empty.{suffix}"] = Reason.EMPTY
        (data / f"notes.{suffix}").write_text("this is no filterbank\n" * 1000)
        expected[f"notes.{suffix}"] = Reason.NOT_FILTERBANK
    with h5py.File(data / "other.h5", "w") as file:
        file["table"] = np.arange(5)
    expected["other.h5"] = Reason.NOT_FILTERBANK

    size = 4 * N_COARSE * COARSE * 16
    path = fil("header-only", Reason.NO_DATA)
    os.truncate(path, path.stat().st_size - size)
    with h5py.File(h5("header-only", Reason.NO_DATA), "r+") as file:
        attributes = dict(file["data"].attrs)
        del file["data"]
        row = (1, N_COARSE * COARSE)
        file.create_dataset("data", (0, *row), "f4", maxshape=(None, *row)).attrs.update(attributes)

    patch_keyword(fil("huge", Reason.HEADER_INCONSISTENT), "nchans", (2**30).to_bytes(4, "little"))
    set_attribute(h5("huge", Reason.HEADER_INCONSISTENT), "nchans", 2**30)
    path = fil("truncated", Reason.TRUNCATED)
    os.truncate(path, path.stat().st_size - size // 3)
    path = h5("truncated", Reason.TRUNCATED)
    os.truncate(path, path.stat().st_size // 2)

    os.truncate(fil("cut-header", Reason.BAD_HEADER), 100)
    rename_keyword(fil("lacking", Reason.BAD_HEADER), "tstart", "period")
    rename_keyword(fil("unknown", Reason.BAD_HEADER), "source_name", "source_nama")
    set_attribute(h5("lacking", Reason.BAD_HEADER), "fch1", None)
    axes = (("foff-zero", "foff", 0.0), ("foff-nan", "foff", np.nan), ("tsamp-negative", "tsamp", -1.0))
    for name, keyword, value in axes:
        patch_keyword(fil(name, Reason.BAD_AXIS), keyword, np.float64(value).tobytes())
        set_attribute(h5(name, Reason.BAD_AXIS), keyword, value)
    patch_keyword(fil("nbits", Reason.UNSUPPORTED_NBITS), "nbits", (4).to_bytes(4, "little"))
    with h5py.File(h5("nbits", Reason.UNSUPPORTED_NBITS), "r+") as file:
        attributes = dict(file["data"].attrs)
        del file["data"]
        data_set = file.create_dataset("data", data=np.ones((16, 1, N_COARSE * COARSE), "i8"))
        data_set.attrs.update(attributes | {"nbits": 64})
    for make in (fil, h5):
        make("short", Reason.TOO_FEW_SAMPLES, nsamples=15)
        make("narrow", Reason.TOO_FEW_CHANNELS, nchans=200)
    corrupt(h5("corrupt", Reason.CORRUPT_CHUNK))
    (data / "dangling.fil").symlink_to("nowhere.fil")
    (data / "loop.h5").symlink_to("loop.h5")
    expected |= {"dangling.fil": Reason.BAD_LINK, "loop.h5": Reason.BAD_LINK}
    (data / "up").symlink_to(data)
    expected["up"] = Reason.BAD_LINK
    outside = write_scan(data.parent / "outside.h5", next(numbers))
    with h5py.File(data / "external.h5", "w") as file:
        file["data"] = h5py.ExternalLink(str(outside), "/data")
        file.attrs["CLASS"] = "FILTERBANK"
    expected["external.h5"] = Reason.REFUSED_LINK
    return expected


def good_but_odd(data: Path) -> set[str]:
    """Files that must simply work."""
    like = header(90)
    power = noisy_power(90)
    power[:, :300], power[2, 5000:6000], power[4, 7000:8000], power[:, 9000:9100], power[7] = 0, np.nan, np.inf, -3, 5e8
    names = {"dead pixels.h5", "dead pixels.fil", "zwei Wörter ☆\nund Zeile.h5", os.fsdecode(b"latin-\xe9.fil"),
             "CAPITALS.FIL", "eight-bit.fil", "rising.h5", "two-products.h5", "good.hdf5"}
    write_filterbank(data / "dead pixels.h5", power, like)
    write_filterbank(data / "dead pixels.fil", power[:, ::-1], header(91))
    write_scan(data / "zwei Wörter ☆\nund Zeile.h5", 92)
    write_scan(data / os.fsdecode(b"latin-\xe9.fil"), 93)
    write_scan(data / "CAPITALS.FIL", 94)
    write_filterbank(data / "eight-bit.fil", noisy_power(95) / 1e8, header(95, nbits=8))
    write_scan(data / "rising.h5", 96, foff_mhz=-header().foff_mhz)
    write_scan(data / "good.hdf5", 97)
    path = write_scan(data / "two-products.h5", 98)
    with h5py.File(path, "r+") as file:
        samples, attributes = file["data"][:], dict(file["data"].attrs)
        del file["data"]
        both = file.create_dataset("data", data=np.concatenate([samples, 0 * samples], axis=1))
        both.attrs.update(attributes | {"nifs": 2})
    return names


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[Callable[[Path], threading.Event]]:
    """Keep touching a file, as one that is still being written is; the event stops it."""
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
            assert r.status == ("skipped" if r.reason.is_information else "busy" if name == "busy.h5" else "failed")
    manifest = CorpusStore.open(root).manifest()
    for source_id in manifest.sources:
        assert np.isfinite(VectorGroup.open(root, "power-spectrum-v1", source_id).vectors()).all()
    dead = SourceGroup.open(root, found["dead pixels.h5"].source_id)
    assert dead.exposure("windows_masked").sum() == found["dead pixels.h5"].windows_masked > 0

    # again: what may heal is tried again, all else is known
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

    # and once more: one probe, of the one file that may still heal
    report = ingest([data], root, client, config=config())
    assert (report.tasks, report.exit_code) == (1, 3)
    assert by_name(report)["truncated.h5"].reason is Reason.TRUNCATED
    (data / "truncated.h5").unlink()
    before = generation(root)
    assert ingest([data], root, client, config=config()).tasks == 0
    assert generation(root) == before
    assert len(contents(root)["files"]) == len(expected) - 3, "links that lead nowhere are no files"


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
               "--coarse-width", str(COARSE), "--serial"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment())
    assert done.returncode == 3, done.stderr
    assert "3 files: 1 done, 0 skipped, 2 failed" in done.stdout
    assert "2 PERMISSION" in done.stdout
    (data / "scan0.h5").chmod(0o644)
    (data / "closed").chmod(0o755)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 files: 1 done, 1 skipped, 0 failed" in done.stdout
