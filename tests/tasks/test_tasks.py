from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import tasks
from pipeline.config import ScanConfig
from pipeline.encoders import load_encoder
from pipeline.errors import CorpusDamaged, EncoderError, Reason
from pipeline.filterbank import FoundFile, write_filterbank
from pipeline.model import EncoderSpec, Source, SourceReport
from pipeline.store import CorpusStore, SourceGroup, VectorGroup, arrays, commit, source_folder, vector_folder
from pipeline.store.staging import part_path
from pipeline.tasks import Probed, sample_keys
from pipeline.tasks import scan as scan_tasks
from tests.run.small import ENCODER, N_COARSE, SCAN, header, noisy_power, write_scan

Make = Callable[..., tasks.Work]
SPEC: EncoderSpec = load_encoder("power-spectrum").spec


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_scan(tmp_path / "scan.h5")


@pytest.fixture
def make_work(tmp_path: Path, path: Path) -> Make:
    """Return a function that makes the work on one source, with one part per coarse channel, as a driver would."""
    store = CorpusStore.create(tmp_path / "corpus", {"scan": "small"})

    def make(scan: ScanConfig = SCAN) -> tasks.Work:
        probed = tasks.probe(FoundFile(path, path.parent), scan)
        assert isinstance(probed, Probed)
        parts = tuple((i, i + 1) for i in range(N_COARSE))
        return tasks.Work(
            store.root, store.new_staging(), probed.source, (), path.parent, scan, ENCODER, "f00d", parts
        )

    return make


def run_all(work: tasks.Work) -> SourceReport:
    return embed_all(work, scan_all(work))


def scan_all(work: tasks.Work) -> SourceReport:
    report = SourceReport(work.source.path, "done", work.source.id)
    for part_no in range(len(work.parts)):
        part = tasks.scan_part(work, part_no)
        assert part.reason is None, part.message
        kept, seen = report.windows_kept + part.windows_kept, report.windows_seen + part.windows_seen
        report = replace(report, windows_kept=kept, windows_seen=seen, timing=report.timing + part.timing)
    return tasks.commit_windows(work, report)


def embed_all(work: tasks.Work, report: SourceReport) -> SourceReport:
    """Embed the windows of a source in three tasks."""
    rows = [round(i * report.windows_kept / 3) for i in range(4)]
    for part_no, (start, stop) in enumerate(itertools.pairwise(rows)):
        (part,) = tasks.embed_parts(work, SPEC, (tasks.Piece(work.source.id, part_no, (start, stop)),))
        assert part.windows_embedded == stop - start
        report = replace(report, timing=report.timing + part.timing)
    return tasks.commit_vectors(work, SPEC, {work.source.id: 3}, report)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_probe_names_the_scan_and_its_coarse_channels(path: Path) -> None:
    probed = tasks.probe(FoundFile(path, path.parent), SCAN)
    assert isinstance(probed, Probed)
    assert isinstance(probed.source, Source)
    assert probed.source.path == str(path)
    assert (probed.source.coarse.width, probed.source.coarse.origin) == (4096, "flag")
    stat = path.stat()
    assert (probed.source.size_bytes, probed.source.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def test_probe_remarks_on_a_width_that_is_not_used(tmp_path: Path) -> None:
    like = header(nchans=4096, nfpc=3000)
    path = write_filterbank(tmp_path / "f.fil", noisy_power(1, like), like)
    probed = tasks.probe(FoundFile(path, path.parent), ScanConfig())
    assert isinstance(probed, Probed)
    assert list(probed.remarks) == ["nfpc"]
    assert probed.remarks["nfpc"].startswith("nfpc is 3,000, which does not divide its 4,096 channels")


def test_probing_a_bad_file_gives_a_report_and_the_batch_goes_on(path: Path) -> None:
    empty, text = path.with_name("empty.fil"), path.with_name("text.h5")
    empty.write_bytes(b"")
    text.write_text("no filterbank")
    files = [FoundFile(p, p.parent) for p in (empty, path, text)]
    bad, good, other = tasks.probe_batch(files, SCAN)
    assert isinstance(bad, SourceReport)
    assert isinstance(other, SourceReport)
    assert isinstance(good, Probed)
    assert (bad.status, bad.reason, bad.path) == ("failed", Reason.EMPTY, str(empty))
    assert (other.status, other.reason) == ("skipped", Reason.NOT_FILTERBANK)


@pytest.mark.parametrize(("reason", "status"), [
    (Reason.BUSY, "busy"), (Reason.GONE, "busy"), (Reason.NOT_FILTERBANK, "skipped"), (Reason.DUPLICATE, "skipped"),
    (Reason.TRUNCATED, "failed"),
])
def test_the_status_of_an_error(reason: Reason, status: str) -> None:
    report = tasks.report_of_error("/a", reason, "message", "GBT_1")
    assert report == SourceReport("/a", status, "GBT_1", reason, "message")


def test_a_source_through_all_tasks(make_work: Make) -> None:
    work = make_work()
    report = run_all(work)
    group = SourceGroup.open(work.corpus, work.source.id)
    vectors = VectorGroup.open(work.corpus, SPEC.key, work.source.id).vectors()
    assert 0 < group.n_windows == report.windows_kept < report.windows_seen == 64
    assert group.exposure("windows_searched").sum() == 64
    expected = load_encoder("power-spectrum").encode(group.cutouts())
    np.testing.assert_array_equal(vectors, expected.astype(np.float16).astype(np.float32))
    timing = report.timing
    assert min(timing.read_s, timing.scan_s, timing.embed_s, timing.write_s) > 0
    assert not list(work.staging.iterdir()), "parts go when they are committed"


def test_every_task_may_run_again_at_any_moment(make_work: Make) -> None:
    once = make_work()
    expected = run_all(once)
    source = source_folder(once.corpus, once.source.id)
    vectors = vector_folder(once.corpus, SPEC.key, once.source.id)
    rows = {path: content for path, content in files_of(source).items() if path != "group.json"}
    vector_files = files_of(vectors)
    shutil.rmtree(source)
    shutil.rmtree(vectors)

    again = make_work()
    for part_no in reversed(range(N_COARSE)):
        first, second = tasks.scan_part(again, part_no), tasks.scan_part(again, part_no)
        assert replace(first, timing=second.timing) == second
    scanned = replace(again, staging=shutil.copytree(again.staging, again.staging.with_name("scanned")))
    count = tasks.commit_windows(again, expected).windows_kept
    assert tasks.commit_windows(again, expected).windows_kept == count  # the parts are gone, but the group exists
    for _ in range(2):
        tasks.embed_parts(again, SPEC, (tasks.Piece(again.source.id, 0, (0, count)),))
        tasks.commit_windows(again, expected)  # a worker thought dead must not delete vectors
    embedded = replace(again, staging=shutil.copytree(again.staging, again.staging.with_name("embedded")))
    for work in (again, again, embedded):
        assert tasks.commit_vectors(work, SPEC, {work.source.id: 1}, expected).windows_kept == count
    assert tasks.commit_windows(scanned, expected).windows_kept == count
    assert {path: files_of(source)[path] for path in rows} == rows
    assert files_of(vectors) == vector_files


def test_vectors_are_made_of_what_is_stored_without_the_file(make_work: Make, path: Path) -> None:
    work = make_work()
    report = run_all(work)
    expected = VectorGroup.open(work.corpus, SPEC.key, work.source.id).vectors()
    shutil.rmtree(vector_folder(work.corpus, SPEC.key, work.source.id))
    shutil.rmtree(work.staging)
    path.unlink()
    assert embed_all(replace(work, is_stored=True), report).windows_kept == report.windows_kept
    np.testing.assert_array_equal(VectorGroup.open(work.corpus, SPEC.key, work.source.id).vectors(), expected)


@pytest.mark.parametrize("offset_mhz", [-1000.0, 0.0])
def test_parts_outside_the_searched_range_are_empty_not_errors(
    make_work: Make, offset_mhz: float
) -> None:
    header = make_work().source.header
    start = header.channel_edge_mhz(4096) + offset_mhz
    work = make_work(replace(SCAN, f_start_mhz=start, f_stop_mhz=start + 4096.5 * header.channel_width_mhz))
    report = run_all(work)
    group = SourceGroup.open(work.corpus, work.source.id)
    assert report.windows_seen == (0 if offset_mhz else 16)
    assert group.exposure("coarse_channel").tolist() == ([] if offset_mhz else [1])
    assert group.cutouts().shape == (report.windows_kept, 16, 256)
    vectors = VectorGroup.open(work.corpus, SPEC.key, work.source.id).vectors()
    assert vectors.shape == (report.windows_kept, SPEC.dimension)


def test_a_source_that_changes_between_probe_and_scan_is_busy(make_work: Make, path: Path) -> None:
    work = make_work()
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    report = tasks.scan_part(work, 0)
    assert report.reason is Reason.BUSY
    assert str(path) in report.message
    assert not part_path(work.staging, work.source.id, 0).exists()


def test_a_source_that_changes_during_the_scan_is_busy(
    make_work: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = make_work()
    really = scan_tasks.scan

    def touching(*arguments: object) -> object:
        yield from really(*arguments)  # type: ignore[arg-type]
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))

    monkeypatch.setattr(scan_tasks, "scan", touching)
    assert tasks.scan_part(work, 0).reason is Reason.BUSY
    assert not part_path(work.staging, work.source.id, 0).exists()


def test_a_source_that_vanishes_or_shrinks_comes_back_as_a_report(make_work: Make, path: Path) -> None:
    work = make_work()
    path.write_bytes(path.read_bytes()[:-10_000])
    assert tasks.scan_part(work, 0).reason in {Reason.TRUNCATED, Reason.BUSY}
    path.unlink()
    assert tasks.scan_part(work, 0).reason is Reason.GONE


def test_what_is_no_fault_of_the_source_is_raised_for_a_retry(
    make_work: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    work = make_work()
    monkeypatch.setattr(scan_tasks, "scan", broken)
    with pytest.raises(OSError, match="Input/output error"):
        tasks.scan_part(work, 0)


def test_a_worker_with_another_encoder_than_the_run_is_refused(make_work: Make) -> None:
    work = make_work()
    report = scan_all(work)
    other = replace(SPEC, weights_sha256="0" * 64)
    with pytest.raises(EncoderError, match=r"a worker has EncoderSpec.*the run EncoderSpec.*00000"):
        tasks.embed_parts(work, other, (tasks.Piece(work.source.id, 0, (0, report.windows_kept)),))
    assert not list(work.staging.rglob("*.npy"))


def test_embedding_a_source_that_is_not_there_says_which(make_work: Make) -> None:
    work = make_work()
    (part,) = tasks.embed_parts(work, SPEC, (tasks.Piece(work.source.id, 0, (0, 1)),))
    assert part.reason is Reason.DAMAGED
    assert work.source.id in part.message


def test_a_sample_is_of_the_windows_with_the_smallest_keys_whatever_source_they_are_of(
    make_work: Make, path: Path
) -> None:
    cutouts: dict[int, np.ndarray] = {}
    for scan_no in range(2):
        write_scan(path, scan_no)
        work = make_work()
        report = scan_all(work)
        CorpusStore.open(work.corpus).publish(lambda m, w=work, r=report: m.with_sources([(w.source, r)]))
        group = SourceGroup.open(work.corpus, work.source.id)
        keys = sample_keys(work.source.id, group.numbers).tolist()
        cutouts.update(zip(keys, group.cutouts(), strict=True))
    in_order = [cutouts[key] for key in sorted(cutouts)]
    for count in (1, 7, len(cutouts), 10_000):
        np.testing.assert_array_equal(tasks.sample(work.corpus, count, work.scan.grid), in_order[:count], strict=True)


@pytest.mark.parametrize("kind", ["source", "vector"])
def test_a_commit_that_outlives_its_run_publishes_nothing_of_what_was_cleaned_away(
    make_work: Make, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    work = make_work()
    report = run_all(work)
    if kind == "source":
        shutil.rmtree(source_folder(work.corpus, work.source.id))
    shutil.rmtree(vector_folder(work.corpus, SPEC.key, work.source.id))
    again = make_work()
    for part_no in range(N_COARSE):
        tasks.scan_part(again, part_no)
    if kind == "vector":
        tasks.embed_parts(again, SPEC, (tasks.Piece(again.source.id, 0, (0, report.windows_kept)),))
    module, name, at = {"source": (arrays, "write_array", 2), "vector": (commit, "write_raw", 3)}[kind]
    really, cleaned = getattr(module, name), []

    def and_then_the_next_run_cleans(*arguments: Any) -> None:
        pieces = list(arguments[at])
        CorpusStore.open(work.corpus).clean_staging()
        cleaned.append(name)
        really(*arguments[:at], pieces, *arguments[at + 1 :])

    monkeypatch.setattr(module, name, and_then_the_next_run_cleans)
    commit_again = tasks.commit_windows if kind == "source" else partial(
        tasks.commit_vectors, spec=SPEC, n_parts={work.source.id: 1})
    with pytest.raises((CorpusDamaged, OSError)):
        commit_again(again, report=report)
    assert cleaned == [name]
    assert source_folder(work.corpus, work.source.id).exists() == (kind == "vector")
    assert not vector_folder(work.corpus, SPEC.key, work.source.id).exists()
