"""Embed: vectors of stored windows with other encoders, on both engines, also after a run or a worker died."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipeline import encoders, run, tasks
from pipeline.config import EncoderConfig
from pipeline.encoders import load_encoder
from pipeline.errors import ConfigError, CorpusLocked, CorpusMismatch, CorpusNotFound, EncoderError, Reason, RunError
from pipeline.execute import cluster as clusters
from pipeline.index import Segment
from pipeline.run import embed, index, ingest, make_corpus, task_sizes
from pipeline.search import open_corpus
from pipeline.store import CorpusStore, SourceGroup, VectorGroup, segment_folder, source_folder, vector_folder
from tests.run import fake
from tests.run.small import archive, by_name, config, noisy_power, write_scan
from tests.run.stored import FAKE, check_vectors, manifest, snapshot
from tests.run.test_index import no_graph
from tests.run.test_ingest import Recorder, given, newer
from tests.run.workers import are_gone, preload, started, wait_until, worker_processes

pytestmark = pytest.mark.usefixtures("fake_encoders")


# --- the vectors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["serial", "cluster"])
def test_vectors_are_those_of_an_ingest_and_need_no_file(
    root: Path, good: Path, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(task_sizes, "EMBED_BYTES", 3 * 16 * 256)  # three windows a task
    client.run(fake.register)
    before = snapshot(root / "sources") | snapshot(root / "vectors")
    report = embed(root, client, encoder="fake", config=config(), serial=where == "serial")
    assert {r.status for r in report.reports} == {"done"}
    entries = manifest(root).sources
    assert report.tasks == sum(max(1, -(-entry.windows_kept // 3)) + 1 for entry in entries.values()) > 12
    assert (report.encoder, report.exit_code) == (FAKE, 0)
    assert report.windows_embedded == check_vectors(root, FAKE, load_encoder("fake").encode) > 0
    assert (report.windows_seen, report.windows_kept) == (0, 0)
    assert report.timing.embed_s > 0
    after = snapshot(root)
    assert {path: after[path] for path in before} == before, "what was there stays as it was"
    assert not list((root / "staging").iterdir())

    other = tmp_path / "other"
    ingest([good], other, config=replace(config(), encoder=EncoderConfig("fake")), serial=True)
    for source_id in entries:
        ours, theirs = (VectorGroup.open(each, FAKE, source_id) for each in (root, other))
        assert ours.spec == theirs.spec
        np.testing.assert_allclose(ours.vectors(), theirs.vectors(), atol=1e-3)


def test_a_second_run_starts_no_cluster_and_writes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(root, encoder="fake", serial=True)
    before = snapshot(root)
    monkeypatch.setattr(clusters, "embedded_cluster", None)
    report = embed(root, encoder="fake")
    assert (report.tasks, report.exit_code, report.encoder) == (0, 0, FAKE)
    assert {(r.status, r.message) for r in report.reports} == {("skipped", "already embedded")}
    assert snapshot(root) == before


def test_a_dry_run_tells_what_would_be_done_and_writes_nothing(root: Path) -> None:
    before = snapshot(root)
    report = embed(root, encoder="fake", dry_run=True)
    assert [(r.status, r.message) for r in report.reports] == [("skipped", "would be embedded")] * 6
    assert (report.dry_run, report.tasks, report.encoder) == (True, 0, FAKE)
    assert {r.message for r in embed(root, dry_run=True).reports} == {"already embedded"}
    assert snapshot(root) == before


def test_tasks_are_bounded_and_ask_for_a_gpu_where_there_is_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    recorder.offers_gpu = True
    for bound in ("EMBED_BYTES", "GPU_EMBED_BYTES"):
        monkeypatch.setattr(task_sizes, bound, 2 * 16 * 256)
    monkeypatch.setattr(sys.modules["pipeline.run.embed"], "engine_for", lambda *_: given(recorder))
    report = embed(root, encoder="fake", config=config())
    assert set(recorder.calls) == {("embed_parts", True), ("commit_vectors", False)}
    assert report.windows_embedded > 2 * recorder.capacity == 2 * recorder.most
    assert recorder.largest < 10_000


def test_progress_counts_sources_and_windows(root: Path) -> None:
    told: list[run.Progress] = []
    report = embed(root, encoder="fake", serial=True, progress=told.append)
    assert {p.stage for p in told} == {"embed"}
    assert (told[-1].done, told[-1].files_done, told[-1].files) == ((6, 6), 6, 6)
    assert told[-1].windows_embedded == report.windows_embedded


# --- side by side --------------------------------------------------------------------------------------------------


def test_new_sources_get_vectors_of_the_corpus_own_encoder_and_of_others_by_embed(root: Path, tmp_path: Path) -> None:
    embed(root, encoder="fake", serial=True)
    later = ingest([write_scan(tmp_path / "later.h5", 11)], root, serial=True)
    (new,) = [r.source_id for r in later.by_status("done")]
    assert later.windows_embedded == later.windows_kept == manifest(root).sources[new].vectors["power-spectrum-v1"]
    assert manifest(root).lacking(FAKE) == [new]
    status = open_corpus(root).status()
    assert status.sources_embedded == {FAKE: 6, "power-spectrum-v1": 7}
    assert status.windows_lacking == {FAKE: later.windows_kept, "power-spectrum-v1": 0}
    report = embed(root, encoder="fake", serial=True)
    assert [r.source_id for r in report.by_status("done")] == [new]
    assert len(report.by_status("skipped")) == 6
    check_vectors(root, FAKE, load_encoder("fake").encode)
    check_vectors(root, "power-spectrum-v1", load_encoder("power-spectrum").encode)


def test_segments_are_built_for_each_encoder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_graph(monkeypatch)
    embed(root, encoder="fake", serial=True)
    limits = config().override({"index": {"exact_below": 2}})
    built = index(root, config=limits)
    assert sorted(entry.encoder_key for entry in built) == [FAKE, "power-spectrum-v1"]
    for entry in built:
        segment = Segment.open(segment_folder(root, entry.id))
        assert segment.rows == entry.count == sum(e.vectors[entry.encoder_key] for e in manifest(root).sources.values())
    source_id = next(iter(manifest(root).sources))
    query = f"{source_id}/{SourceGroup.open(root, source_id).numbers[0]}"
    for name in ("fake", "power-spectrum"):
        indexed = open_corpus(root).search(window=query, encoder=name)
        assert indexed.query["encoder"].startswith(f"{name}-v1")
        assert list(indexed) == list(open_corpus(root, encoder=name).search(window=query, exact=True))


def test_other_weights_under_one_name_are_another_encoder_and_remembered(root: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.npz"
    weights.write_bytes(b"taught")
    keys = [embed(root, encoder="fake", serial=True).encoder,
            embed(root, encoder="fake", weights=weights, serial=True).encoder]
    assert len({*keys}) == 2
    assert manifest(root).weights == {"power-spectrum-v1": "", keys[0]: "", keys[1]: str(weights)}
    check_vectors(root, keys[1], load_encoder("fake", weights=str(weights)).encode)
    power = noisy_power(9)[:, 5000:5256]
    answers = [open_corpus(root).search(power=power, encoder=key) for key in keys]  # embedded on the fly
    assert [hit.score for hit in answers[0]] != [hit.score for hit in answers[1]]

    moved = weights.rename(tmp_path / "moved.npz")
    with pytest.raises(FileNotFoundError):
        open_corpus(root).search(power=power, encoder=keys[1])
    assert embed(root, encoder="fake", weights=moved, serial=True).tasks == 0
    assert list(open_corpus(root).search(power=power, encoder=keys[1])) == list(answers[1])


def test_vectors_whose_folder_was_removed_are_made_anew(root: Path) -> None:
    embed(root, encoder="fake", serial=True)
    source_id = next(iter(manifest(root).sources))
    shutil.rmtree(vector_folder(root, FAKE, source_id))
    report = embed(root, serial=True)  # the corpus' own encoder lacks nothing …
    assert {r.status for r in report.reports} == {"skipped"}
    assert manifest(root).lacking(FAKE) == [source_id]  # … but the other does
    assert [r.source_id for r in embed(root, encoder="fake", serial=True).by_status("done")] == [source_id]
    check_vectors(root, FAKE, load_encoder("fake").encode)


# --- what is refused -----------------------------------------------------------------------------------------------


def test_what_cannot_be_embedded_is_said_and_nothing_is_written(root: Path, tmp_path: Path) -> None:
    before = snapshot(root)
    with pytest.raises(CorpusNotFound, match="there is no corpus here"):
        embed(tmp_path / "nowhere", encoder="fake", serial=True)
    with pytest.raises(ConfigError, match=r"no encoder '\.\./\.\.'; there are .*power-spectrum"):
        embed(root, encoder="../..", serial=True)
    with pytest.raises(EncoderError, match=r"absent\.h5"):
        embed(root, encoder="resnet50", weights=tmp_path / "absent.h5", serial=True)
    with CorpusStore.open(root).lock(), pytest.raises(CorpusLocked, match=f"process {os.getpid()} on "):
        embed(root, encoder="fake", serial=True)
    assert snapshot(root) == before


@pytest.mark.parametrize("error", [RuntimeError("of one task"), RunError("of the run")], ids=str)
@pytest.mark.parametrize("name", [fake.PLAIN, fake.PROJECTED])
def test_an_encoder_that_made_no_vectors_leaves_no_mark(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, name: str
) -> None:
    before = manifest(root)

    def broken(*_: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "embed_parts", broken)
        with pytest.raises(RunError) if isinstance(error, RunError) else nullcontext():
            report = embed(root, encoder=name, serial=True)
            assert {one.status for one in report.reports} == {"failed"}
    assert (manifest(root).encoders, manifest(root).weights) == (before.encoders, before.weights)
    assert not (root / "encoders" / name).exists()
    assert {one.status for one in embed(root, encoder=name, serial=True).reports} == {"done"}
    assert (root / "encoders" / name).exists() == (name == fake.PROJECTED)
    assert len(manifest(root).encoders) == len(before.encoders) + 1


def test_an_ingest_with_another_encoder_is_sent_to_embed(root: Path, good: Path) -> None:
    asked = replace(config(), encoder=EncoderConfig("fake"))
    message = (f"its encoder is power-spectrum, this run asks for fake; .*lookalike embed --encoder fake "
               f"--corpus {root}$")
    for _ in range(2):
        with pytest.raises(CorpusMismatch, match=message):
            ingest([good], root, config=asked, serial=True)
        embed(root, encoder="fake", serial=True)  # it stays a guest


def test_a_newer_version_of_the_own_encoder_takes_over_by_embed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.encoders import power_spectrum

    path = write_scan(tmp_path / "later.h5", 11)
    monkeypatch.setattr(power_spectrum.PowerSpectrum, "__init__", newer(power_spectrum.PowerSpectrum.__init__))
    encoders._load.cache_clear()
    again = f"lookalike embed --encoder power-spectrum --corpus {root}"
    try:
        with pytest.raises(CorpusMismatch, match=f"add vectors of this one with: {again}$"):
            ingest([path], root, serial=True)
        assert embed(root, serial=True).encoder == "power-spectrum-v99"
        assert ingest([path], root, serial=True).encoder == "power-spectrum-v99"
    finally:
        encoders._load.cache_clear()
    assert len(manifest(root).lacking("power-spectrum-v1")) == 1
    assert not manifest(root).lacking("power-spectrum-v99")


def test_another_encoder_under_the_same_key_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(root, encoder="fake", serial=True)
    really = fake.Fake.__init__

    def init(self: Any, *arguments: Any) -> None:
        really(self, *arguments)
        self.spec = replace(self.spec, input="pictures")

    monkeypatch.setattr(fake.Fake, "__init__", init)
    with pytest.raises(CorpusMismatch, match=r"its vectors fake-v1-e3b0c442 were made by EncoderSpec.*pictures"):
        embed(root, encoder="fake", serial=True)


def test_an_encoder_that_a_killed_embed_left_in_an_empty_corpus_stops_no_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first ingest was killed once it had made the corpus, and a later embed before it could clean up."""
    data, root = archive(tmp_path / "data", 2), tmp_path / "corpus"
    make_corpus(root, config())
    monkeypatch.setattr(sys.modules[embed.__module__], "forget_unused", lambda *_: None)
    embed(root, encoder="fake", config=config(), serial=True)
    assert (manifest(root).encoders.keys(), manifest(root).sources) == ({FAKE}, {})
    report = ingest([data], root, config=config(), serial=True)
    assert (report.exit_code, report.encoder, len(report.by_status("done"))) == (0, "power-spectrum-v1", 2)
    assert manifest(root).lacking("power-spectrum-v1") == []


# --- what dies -----------------------------------------------------------------------------------------------------


def test_a_source_that_is_damaged_fails_alone(root: Path) -> None:
    source_id = sorted(manifest(root).sources)[2]
    shard = source_folder(root, source_id) / "cutout/c.0.0.0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    report = embed(root, encoder="fake", serial=True)
    (failed,) = report.by_status("failed")
    assert (failed.source_id, failed.reason, report.exit_code) == (source_id, Reason.DAMAGED, 3)
    assert source_id in failed.message
    assert len(report.by_status("done")) == 5
    assert manifest(root).lacking(FAKE) == [source_id]
    assert {entry.status for entry in manifest(root).files.values()} == {"done"}, "nothing is wrong with the files"


def test_a_run_killed_in_the_middle_is_completed_by_the_next(root: Path, tmp_path: Path) -> None:
    slow = preload(tmp_path, "_encoded", "time.sleep(0.3)")
    with open(slow, "a") as file:
        file.write("from tests.run import fake\nfake.register()\n")
    command = [sys.executable, "-c", fake.COMMAND, "embed", "--corpus", str(root), "--encoder", "fake", "--workers",
               "1", "--json"]
    with started(command, tmp_path, DASK_DISTRIBUTED__WORKER__PRELOAD=slow) as process:
        wait_until(lambda: len(list(root.glob(f"vectors/{FAKE}/*"))) >= 2, seconds=60)
        family = worker_processes(psutil.Process(process.pid))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        wait_until(lambda: are_gone(family))
    made = {path: path.stat().st_ino for path in root.glob(f"vectors/{FAKE}/*")}
    with started(command, tmp_path, DASK_DISTRIBUTED__WORKER__PRELOAD=slow) as process:
        out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (0, "")
    record = json.loads(out)
    assert {r["source"] for r in record["sources"] if r["status"] == "skipped"} == {path.name for path in made}
    assert record["tasks"] == 2 * (6 - len(made)) > 0
    assert {path: path.stat().st_ino for path in made} == made, "what is committed is adopted, not made again"
    assert not list((root / "staging").iterdir())
    check_vectors(root, FAKE, load_encoder("fake").encode)


def test_an_ingest_killed_between_windows_and_vectors_scans_nothing_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archive(tmp_path / "data", 2)
    really, told = tasks.embed_parts, []

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks, "embed_parts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest([data], tmp_path / "new", config=config(), serial=True)
    assert manifest(tmp_path / "new").sources == {}
    monkeypatch.setattr(tasks, "embed_parts", really)
    report = ingest([data], tmp_path / "new", serial=True, progress=told.append)
    scanned = [name for name, r in by_name(report).items() if r.windows_seen]
    assert len(scanned) == 1, "the other was scanned by the first run"
    assert {r.status for r in report.reports} == {"done"}
    assert all(r.windows_embedded for r in report.reports)
    check_vectors(tmp_path / "new", "power-spectrum-v1", load_encoder("power-spectrum").encode)
    assert ingest([data], tmp_path / "new", serial=True).tasks == 0
