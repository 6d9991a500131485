"""Ingest without faults: both engines, files that are skipped or tried again, and bad input of every kind."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import tasks
from pipeline.config import Config, EncoderConfig
from pipeline.errors import ConfigError, CorpusLocked, CorpusMismatch, EncoderError, Reason
from pipeline.execute import cluster
from pipeline.execute.engine import SerialEngine
from pipeline.filterbank import write_filterbank
from pipeline.run import Progress, ingest, task_sizes
from pipeline.search import open_corpus
from pipeline.store import CorpusStore, VectorGroup, source_folder, vector_folder
from tests.run.bad import corrupt
from tests.run.small import (
    COARSE,
    N_COARSE,
    SCAN,
    archive,
    assert_same_corpus,
    by_name,
    config,
    header,
    noisy_power,
    write_scan,
)

SPEC_KEY = "power-spectrum-v1"
INGEST: Any = sys.modules["pipeline.run.ingest"]  # the package has a function of that name


def generation(root: Path) -> int:
    return CorpusStore.open(root).manifest().generation


# --- the same corpus -----------------------------------------------------------------------------------------------


def test_both_engines_make_the_same_corpus(
    good: Path, undisturbed: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_sizes, "PART_CHANNELS", COARSE)  # as many parts as there are coarse channels
    monkeypatch.setattr(task_sizes, "SHARED_SOURCES", 1)  # which sources share a task is a matter of time
    serial = ingest([good], tmp_path / "serial", config=config(), serial=True)
    cluster = ingest([good], tmp_path / "dask", client, config=config())
    assert serial.tasks == cluster.tasks == 1 + 6 * (N_COARSE + 3)
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
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")
              if path.is_file() and path.parent.name != "lock"}
    monkeypatch.setattr(cluster, "embedded_cluster", None)
    report = ingest([good], root)  # the configuration is the corpus' own
    assert (report.tasks, report.exit_code) == (0, 0)
    assert {(r.status, r.reason, r.message) for r in report.reports} == {("skipped", None, "already in the corpus")}
    after = {path: path.stat().st_mtime_ns for path in root.rglob("*")
             if path.is_file() and path.parent.name != "lock"}
    assert after == before


def test_what_is_added_later_is_all_that_is_read(tmp_path: Path) -> None:
    data, root = archive(tmp_path / "data", 2), tmp_path / "corpus"
    ingest([data], root, config=config(), serial=True)
    write_scan(data / "later.h5", 7)
    report = ingest([data], root, serial=True)
    assert {name: r.status for name, r in by_name(report).items()} == {
        "scan0.h5": "skipped", "scan1.fil": "skipped", "later.h5": "done"}
    assert report.tasks == 1 + 4
    ingest([data], tmp_path / "at-once", config=config(), serial=True)
    assert_same_corpus(root, tmp_path / "at-once")


def test_a_range_of_the_band_ingests_only_that_and_sources_outside_it_are_done_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_sizes, "PART_CHANNELS", COARSE)
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


def test_a_moved_file_is_followed_and_its_copy_too(tmp_path: Path) -> None:
    data, root = archive(tmp_path / "data", 1), tmp_path / "corpus"
    ingest([data], root, config=config(), serial=True)
    (data / "2026").mkdir()
    moved, copy = data / "2026" / "renamed.h5", data / "zcopy.h5"
    (data / "scan0.h5").rename(moved)
    report = ingest([data], root, serial=True)
    assert [(r.path, r.status, r.message) for r in report.reports] == [
        (str(moved), "skipped", f"already in the corpus; it was at {data / 'scan0.h5'} before")]
    manifest = CorpusStore.open(root).manifest()
    assert [(entry.path, entry.also_at) for entry in manifest.sources.values()] == [(str(moved), ())]
    assert set(manifest.files) == {str(moved)}
    before = generation(root)
    assert ingest([data], root, serial=True).tasks == 0
    assert generation(root) == before
    shutil.copy(moved, copy)
    ingest([data], root, serial=True)
    moved.unlink()
    ingest([data], root, serial=True)
    manifest = CorpusStore.open(root).manifest()
    assert [(entry.path, entry.also_at) for entry in manifest.sources.values()] == [(str(copy), ())]


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


def test_of_files_that_are_no_filterbank_no_corpus_is_made_by_workers_either(tmp_path: Path, client: Any) -> None:
    (tmp_path / "notes.h5").write_text("no filterbank")
    with pytest.raises(ConfigError, match=r"nothing to ingest: .*notes\.h5"):
        ingest([tmp_path / "notes.h5"], tmp_path / "corpus", client, config=config())
    assert not (tmp_path / "corpus").exists()


def test_a_file_that_cannot_be_read_is_no_reason_for_none(tmp_path: Path) -> None:
    """The file may be mended later, and its failures are counted."""
    (tmp_path / "empty.h5").touch()
    (tmp_path / "notes.h5").write_text("no filterbank")
    report = ingest([tmp_path], tmp_path / "corpus", config=config(), serial=True)
    assert {name: one.reason for name, one in by_name(report).items()} == {
        "empty.h5": Reason.EMPTY, "notes.h5": Reason.NOT_FILTERBANK}
    assert CorpusStore.open(tmp_path / "corpus").manifest().files


def test_a_corpus_that_another_run_makes_meanwhile_is_added_to(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copies := tmp_path / "copies").mkdir()
    for path in good.iterdir():
        shutil.copy(path, copies / path.name)
    root, really = tmp_path / "corpus", INGEST.require_filterbank

    def meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(INGEST, "require_filterbank", really)
        ingest([good], root, config=config(), serial=True)

    monkeypatch.setattr(INGEST, "require_filterbank", meanwhile)
    report = ingest([copies], root, config=config(), serial=True)
    assert {one.reason for one in report.reports} == {Reason.DUPLICATE}
    assert len(CorpusStore.open(root).manifest().sources) == 6


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
        with pytest.raises(CorpusMismatch, match=r"by power-spectrum-v1, this run asks for .*-v99;.* embed"):
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
    """Runs tasks only when their results are waited for, and records their number and sizes."""

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
    monkeypatch.setattr(task_sizes, "PART_CHANNELS", COARSE)
    monkeypatch.setattr(INGEST, "engine_for", lambda *_: given(recorder))
    report = ingest([data], tmp_path / "corpus", config=config(replace(SCAN, keep_all=True)))
    assert report.windows_kept == 8 * 64
    assert recorder.most == recorder.capacity
    assert recorder.largest < 10_000, "bytes; the cutouts of one part are 65,536"
    # sources are finished one after the other, not all begun first
    commits = [n for n, (task, _) in enumerate(recorder.calls) if task == "commit_vectors"]
    scans = [n for n, (task, _) in enumerate(recorder.calls) if task == "scan_part"]
    assert commits[0] < scans[16]


@pytest.mark.parametrize(("embed_on", "offers", "expected"), [
    ("auto", True, True), ("auto", False, False), ("cpu", True, False), ("gpu", True, True),
])
def test_where_embedding_happens(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embed_on: str, offers: bool, expected: bool
) -> None:
    recorder = Recorder()
    recorder.offers_gpu = offers
    monkeypatch.setattr(INGEST, "engine_for", lambda *_: given(recorder))
    ingest([good / "scan0.h5"], tmp_path / "corpus", config=config(embed_on=embed_on))
    assert set(recorder.calls) == {
        ("probe_batch", False), ("scan_part", False), ("commit_windows", False), ("embed_parts", expected),
        ("commit_vectors", False)}


def test_progress_grows_to_the_end(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.run import progress

    told: list[Progress] = []
    monkeypatch.setattr(progress.time, "perf_counter", iter(np.arange(1e6)).__next__)  # every snapshot is due
    report = ingest([good], tmp_path / "corpus", config=config(), serial=True, progress=told.append)
    assert [p.stage for p in told if p.stage == "probe"]
    assert (told[-1].stage, told[-1].done, told[-1].files_done) == ("scan", (12, 12), 6)
    seen = [p.windows_seen for p in told]
    assert seen == sorted(seen)
    assert seen[-1] == report.windows_seen == 384


@pytest.mark.parametrize("gone", ["sources", "vectors", "both"])
def test_a_source_whose_folder_was_removed_is_ingested_anew(tmp_path: Path, gone: str) -> None:
    data, root = archive(tmp_path / "data"), tmp_path / "corpus"
    ingest([data], root, config=config(), serial=True)
    before = open_corpus(root)
    source_id = sorted(CorpusStore.open(root).manifest().sources)[0]
    if gone != "vectors":
        shutil.rmtree(source_folder(root, source_id))
    if gone != "sources":
        shutil.rmtree(vector_folder(root, SPEC_KEY, source_id))
    again = ingest([data], root, config=config(), serial=True)
    assert [report.source_id for report in again.by_status("done")] == [source_id]
    assert len(again.by_status("skipped")) == 2
    assert open_corpus(root).status().vectors == before.status().vectors
    VectorGroup.open(root, SPEC_KEY, source_id).verify()


def test_what_was_committed_is_published_before_an_interrupt_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, root = archive(tmp_path / "data"), tmp_path / "corpus"
    scan_part, seen = tasks.scan_part, []

    def third_time_interrupted(*arguments: Any) -> Any:
        seen.append(arguments)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return scan_part(*arguments)

    monkeypatch.setattr(tasks, "scan_part", third_time_interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest([data], root, config=config(), serial=True)
    assert len(CorpusStore.open(root).manifest().sources) == 2


def test_a_corpus_is_not_made_among_other_things(tmp_path: Path) -> None:
    data = archive(tmp_path / "data", 1)
    before = sorted(data.iterdir())
    with pytest.raises(ConfigError, match=r"holds other things \(scan0\.h5\)"):
        ingest([data], data, config=config(), serial=True)
    assert sorted(data.iterdir()) == before
    with pytest.raises(ConfigError, match="cannot be a folder"):
        ingest([data], before[0], config=config(), serial=True)
