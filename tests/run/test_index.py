from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import tasks
from pipeline.catalogue import FileEntry
from pipeline.config import CONFIG_FILE, Config, IndexConfig
from pipeline.encoders import load_encoder
from pipeline.errors import CorpusDamaged, CorpusLocked, CorpusNotFound, RunError
from pipeline.execute.engine import SerialEngine
from pipeline.index import Segment
from pipeline.model import CoarseLayout, EncoderSpec, Source, SourceReport
from pipeline.run import Progress, index, ingest, remove, segment_plan
from pipeline.run.index import index_corpus
from pipeline.run.progress import COMPILING
from pipeline.run.segment_plan import plan_segments
from pipeline.search.nearest import nearest
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import (
    CorpusStore,
    Part,
    SourceCommit,
    SourceGroup,
    VectorGroup,
    commit_source_groups,
    commit_vector_groups,
    fingerprint,
    segment_folder,
    write_part,
    write_part_vectors,
)
from pipeline.support import durable
from tests.run.small import COARSE, SCAN, archive, config, header, write_scan

SPEC: EncoderSpec = load_encoder("power-spectrum").spec
KEEP_ALL = replace(SCAN, keep_all=True)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    data = archive(folder / "data", 4)
    write_scan(data / "coarse-time.h5", 9, tsamp_s=1.0)
    ingest([data], folder / "corpus", config=config(KEEP_ALL), serial=True)
    return folder / "corpus"


@pytest.fixture
def corpus(ingested: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ingested, tmp_path / "corpus"))


def with_index(**limits: int) -> Config:
    return replace(config(KEEP_ALL), index=IndexConfig(**limits))


def rows_of(root: Path) -> list[tuple[str, int]]:
    """Return (source, window number) of every row of every segment in the manifest."""
    rows = []
    for entry in CorpusStore.open(root).manifest().segments:
        segment = Segment.open(segment_folder(root, entry.id))
        assert segment.rows == entry.count
        found = segment.search(np.ones((1, segment.dimension)), segment.rows, exact=True)
        rows += [(segment.source_ids[s], int(n)) for s, n in zip(found.row_source[0], found.row_number[0], strict=True)]
    return rows


def no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build no graphs, because compiling pynndescent takes most of a minute. The tests of the index build graphs."""
    monkeypatch.setattr("pipeline.index.build.MIN_GRAPH_VECTORS", 10**9)


def test_segments_hold_every_vector_once_apart_by_resolution(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_graph(monkeypatch)
    built = index(corpus, config=with_index(exact_below=50, segment_vectors=150))
    assert sorted(entry.count for entry in built) == [64, 128, 128]
    store = CorpusStore.open(corpus)
    expected = [(source_id, int(n)) for source_id in store.manifest().sources
                for n in SourceGroup.open(corpus, source_id).numbers]
    rows = rows_of(corpus)
    assert len(rows) == 320
    assert sorted(rows) == sorted(expected)
    assert set(store.manifest().segments) == set(built)


def test_a_first_build_says_that_code_is_compiled(
    ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_graph(monkeypatch)
    for is_compiled in (False, True):
        corpus, seen = shutil.copytree(ingested, tmp_path / str(is_compiled)), list[Progress]()
        monkeypatch.setattr(sys.modules["pipeline.run.index"], "must_compile",
                            lambda count, found=is_compiled: count > 100 and not found)
        built = index(corpus, config=with_index(exact_below=50, segment_vectors=150), progress=seen.append)
        assert {one.note for one in seen} == {"" if is_compiled else COMPILING}
        assert [one.done for one in seen] == [(done, len(built)) for done in range(len(built) + 1)]
        assert {one.stage for one in seen} == {"index"}


def test_a_segment_answers_with_the_windows_own_vectors(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_graph(monkeypatch)
    for entry in index(corpus, config=with_index(exact_below=50, segment_vectors=150)):
        segment = Segment.open(segment_folder(corpus, entry.id))
        for ordinal, source_id in enumerate(segment.source_ids):
            vectors = VectorGroup.open(corpus, SPEC.key, source_id).vectors()
            numbers = SourceGroup.open(corpus, source_id).numbers
            found = segment.search(vectors[::9], 1, exact=True)
            np.testing.assert_array_equal(found.row_source[:, 0], ordinal)
            np.testing.assert_array_equal(found.row_number[:, 0], numbers[::9])


def test_indexing_again_builds_nothing_and_publishes_nothing(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_graph(monkeypatch)
    limits = with_index(exact_below=50)
    assert len(index(corpus, config=limits)) == 2
    generation = CorpusStore.open(corpus).manifest().generation
    assert index(corpus, config=limits) == ()
    assert CorpusStore.open(corpus).manifest().generation == generation


def test_few_vectors_become_a_segment_without_a_graph(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.index.build.build_graph", None)  # no graph is built
    built = index(corpus, config=with_index(exact_below=300))
    assert sorted(entry.count for entry in built) == [64, 256]
    assert not any(Segment.open(segment_folder(corpus, entry.id)).has_graph for entry in built)
    assert len(set(rows_of(corpus))) == 320
    assert index(corpus, config=with_index(exact_below=300)) == ()
    assert index(corpus) == (), "the corpus' own configuration says 20,000"


def test_flat_segments_become_one_with_a_graph_once_there_are_vectors_enough(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = with_index(exact_below=300)
    index(corpus, config=limits)
    before = answers(corpus, source=0)
    ingest([write_scan(tmp_path / "later.h5", 11)], corpus, config=config(KEEP_ALL), serial=True)
    no_graph(monkeypatch)
    (grown,) = index(corpus, config=limits)
    assert (grown.count, len(grown.source_ids)) == (320, 5)
    assert {entry.count for entry in CorpusStore.open(corpus).manifest().segments} == {320, 64}
    assert [one for one in answers(corpus, source=0) if one[0] in {source_id for source_id, _, _ in before}] == before


def many(root: Path, count: int, per_source: int = 3) -> CorpusStore:
    """Make a corpus of many small sources, which are in no segment."""
    store = CorpusStore.create(root, with_index().identity())
    (root / CONFIG_FILE).write_text(with_index().to_toml())
    staging, made, rng = store.new_staging(), [], np.random.default_rng(0)
    for number in range(count):
        source = Source(f"GBT_{number:05d}", header(number), CoarseLayout(COARSE, "flag"), f"/{number}.h5", 1, 2)
        windows = {"number": np.arange(per_source), "cutout": np.ones((per_source, 16, 256), np.uint8),
                   "spread": np.full(per_source, 0.1, np.float32), "snr": np.ones(per_source, np.float32)}
        write_part(staging, source.id, 0, Part(windows, {}))
        vectors = rng.normal(size=(per_source, SPEC.dimension))
        write_part_vectors(staging, source.id, 0, SPEC.key, vectors / np.linalg.norm(vectors, axis=1)[:, None])
        made.append((source, SourceReport(source.path, "done", source.id, windows_kept=per_source)))
    commits = [SourceCommit(source, 1, report) for source, report in made]
    commit_source_groups(root, staging, commits, fingerprint=fingerprint(store.identity))
    commit_vector_groups(root, staging, {source.id: 1 for source, _ in made}, spec=SPEC)
    store.publish(lambda manifest: manifest.with_sources(made).with_vectors_of(
        SPEC, {source.id: per_source for source, _ in made}))
    store.clean_staging()
    return store


def test_an_ingest_gathers_many_small_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipeline.index.build.build_graph", None)  # no graph is built
    monkeypatch.setattr(segment_plan, "MIN_GATHERED", 30)
    root, limits = tmp_path / "corpus", with_index(exact_below=50)
    store = many(root, 40)
    before = sorted(answers(root, source=0))
    ingest([write_scan(tmp_path / "a.h5", 3)], root, config=limits, serial=True)
    segments = store.manifest().segments
    assert [entry.count for entry in segments] == [48, 48, 24], "each holds fewer than get a graph"
    assert {source_id for entry in segments for source_id in entry.source_ids} == {f"GBT_{i:05d}" for i in range(40)}
    after = [one for one in answers(root, source=0) if one[0].startswith("GBT_0")]
    assert sorted(after) == before
    ingest([tmp_path / "a.h5"], root, config=limits, serial=True)
    assert store.manifest().segments == segments, "nothing is left to gather"

    # what cannot be read stays outside, and the ingest goes on
    store.publish(lambda manifest: manifest.without_segments([entry.id for entry in segments]))
    for folder in (root / "index").iterdir():  # retired ones would be used again
        shutil.rmtree(folder)
    (root / "vectors" / SPEC.key / "GBT_00000" / "vector" / "c.0.0").write_bytes(b"")
    report = ingest([write_scan(tmp_path / "b.h5", 4)], root, config=limits, serial=True)
    assert report.exit_code == 0
    assert [entry.count for entry in store.manifest().segments] == [48, 24]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "vectors of 16 sources are not gathered" in warning
    assert "GBT_00000" in warning


def test_a_segment_built_by_a_run_that_died_before_publishing_is_taken_over(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_graph(monkeypatch)
    limits = with_index(exact_below=50)
    planned = list(plan_segments(CorpusStore.open(corpus).manifest(), limits.index))
    tasks.index_sources(corpus, planned[0])
    folder = segment_folder(corpus, planned[0].id)
    before = folder.stat().st_ino
    assert {entry.id for entry in index(corpus, config=limits)} == {entry.id for entry in planned}
    assert folder.stat().st_ino == before

    # … but not if it is damaged
    manifest = CorpusStore.open(corpus).manifest()
    CorpusStore.open(corpus).publish(lambda m: m.without_segments([e.id for e in manifest.segments]))
    (folder / "vectors.npy").write_bytes(b"")
    with pytest.raises(CorpusDamaged, match=r"vectors\.npy"):
        index(corpus, config=limits)


def test_vectors_that_come_later_make_a_segment_of_their_own(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_graph(monkeypatch)
    limits = with_index(exact_below=50)
    first = index(corpus, config=limits)
    ingest([write_scan(tmp_path / "later.h5", 11)], corpus, config=config(KEEP_ALL), serial=True)
    (later,) = index(corpus, config=limits)
    assert (later.count, len(later.source_ids)) == (64, 1)
    assert CorpusStore.open(corpus).manifest().segments == (*first, later)
    assert len(set(rows_of(corpus))) == 320 + 64


class Failing(SerialEngine):
    """Fails a task after the first."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error: Exception | None = None
        self._next = error

    def submit(self, ticket: Any, task: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> None:
        def fail(*_: Any) -> None:
            raise self._next

        super().submit(ticket, fail if self._error else task, *arguments)
        self._error = self._next


@pytest.mark.parametrize(("error", "expected"), [
    (OSError(28, "No space left on device"), RunError), (MemoryError("no memory"), RunError),
    (CorpusDamaged("vectors of GBT_1 are altered"), CorpusDamaged),
])
def test_a_build_that_fails_keeps_the_segments_that_are_finished(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: type[Exception]
) -> None:
    no_graph(monkeypatch)
    store = CorpusStore.open(corpus)
    with pytest.raises(expected, match=str(error.args[-1])):
        index_corpus(Failing(error), store, IndexConfig(exact_below=50))
    assert len(store.manifest().segments) == 1
    assert len(index(corpus, config=with_index(exact_below=50))) == 1


def test_what_killed_builds_left_is_removed(corpus: Path) -> None:
    half = corpus / "index" / "power-spectrum-v1-half.0123.partial"
    half.mkdir()
    (half / "vectors.npy").write_bytes(b"half")
    index(corpus)
    assert not half.exists()


def test_segments_are_built_on_a_cluster_where_one_is_given(corpus: Path, client: Any) -> None:
    # 64 distinct vectors are too few for a graph
    (entry,) = index(corpus, client, config=with_index(exact_below=60, segment_vectors=64))[-1:]
    assert Segment.open(segment_folder(corpus, entry.id)).rows == entry.count == 64
    assert len(set(rows_of(corpus))) == 320


# --- joining, and what is killed at it -----------------------------------------------------------------------------


def answers(root: Path, query: int = 0, source: int = -1) -> list[tuple[str, int, float]]:
    """Return the hits of an exact search among all vectors of the fine scans."""
    opened = OpenCorpus(root)
    selection = Selection.of(opened, SPEC.key, frozenset({"2.794Hz-18.25s"}))
    vector = VectorGroup.open(root, SPEC.key, selection.source_ids[source]).vectors(query, query + 1)
    found = nearest(selection, vector, 10_000, exact=True)
    return [(selection.source_ids[i], int(number), float(score))
            for i, number, score in zip(found.source, found.number, found.score, strict=True)]


def test_joined_segments_answer_as_the_small_ones_did_and_searches_under_way_go_on(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_graph(monkeypatch)
    index(corpus, config=with_index(exact_below=50, segment_vectors=64, compact=False))
    before, small = answers(corpus), CorpusStore.open(corpus).manifest().segments
    under_way = OpenCorpus(corpus)
    assert len(small) == 5
    (joined,) = index(corpus, config=with_index(exact_below=50))
    assert (joined.count, len(joined.source_ids)) == (256, 4)
    assert answers(corpus) == before
    manifest = CorpusStore.open(corpus).manifest()
    assert {s.live_count for s in manifest.segments} == {256, 64}
    gone = {segment.id for segment in small} - {segment.id for segment in manifest.segments}
    assert set(manifest.retired) == {f"index/{segment_id}" for segment_id in gone}
    for segment in small:
        assert under_way.segment(segment.id).rows == 64
    assert index(corpus, config=with_index(exact_below=50)) == ()
    assert sorted(rows_of(corpus)) == sorted({*rows_of(corpus)})
    # a day later they are deleted
    monkeypatch.setattr("pipeline.store.retirement.GRACE_S", 0.0)
    index(corpus, config=with_index(exact_below=50))
    assert {path.name for path in (corpus / "index").iterdir()} == {s.id for s in manifest.segments}


def test_a_source_that_vanishes_leaves_the_others_of_its_segment_to_be_found(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_graph(monkeypatch)
    limits = with_index(exact_below=50)
    index(corpus, config=limits)
    before = answers(corpus)
    gone = min(CorpusStore.open(corpus).manifest().sources)
    shutil.rmtree(corpus / "sources" / gone)
    (rebuilt,) = index(corpus, config=limits)  # 64 of 256 rows are dead
    assert gone not in rebuilt.source_ids
    assert answers(corpus) == [one for one in before if one[0] != gone]
    assert len(before) - len(answers(corpus)) == 64


class Killed(BaseException):
    """Simulates a kill; only a test catches it."""


MOST_STEPS = 400


@pytest.mark.parametrize("what", ["joining", "removing"])
def test_killed_at_any_step_the_corpus_answers_and_the_next_run_goes_on(
    corpus: Path, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_graph(monkeypatch)
    monkeypatch.setattr(durable, "_sync", lambda *_: None)  # each step is tried: flushing would take minutes
    joined, small = with_index(exact_below=50), with_index(exact_below=50, segment_vectors=64, compact=False)
    index(corpus, config=small if what == "joining" else joined)
    gone = min(CorpusStore.open(corpus).manifest().sources)
    for number in range(10):  # from now on, each generation drops one
        entry = {f"/{number}": FileEntry(1, 2, "done")}
        CorpusStore.open(corpus).publish(lambda m, entry=entry: m.with_files(entry))  # type: ignore[misc]
    before = answers(corpus)
    after = before if what == "joining" else [one for one in before if one[0] != gone]
    assert len(after) == (256 if what == "joining" else 192)

    def work(root: Path) -> None:
        if what == "removing" and gone in CorpusStore.open(root).manifest().sources:
            remove([gone], root)
        index(root, config=joined)

    seen = set()
    for step in range(1, MOST_STEPS):
        root = Path(shutil.copytree(corpus, tmp_path / f"{what}{step}"))
        under_way = OpenCorpus(root)
        if not killed_at(step, lambda root=root: work(root), monkeypatch):  # type: ignore[misc]
            break
        found = answers(root)
        assert found in (before, after)
        manifest = CorpusStore.open(root).manifest()
        seen.add((len(found), len(manifest.segments), any((root / "index").glob("*.partial"))))
        for segment in under_way.manifest.segments:
            under_way.segment(segment.id)
        for source_id in under_way.manifest.sources:
            assert under_way.vectors(source_id, SPEC.key).count == 64
        work(root)
        assert answers(root) == after
        manifest = CorpusStore.open(root).manifest()
        retired = {name.removeprefix("index/") for name in manifest.retired if name.startswith("index/")}
        assert {path.name for path in (root / "index").iterdir()} == retired | {s.id for s in manifest.segments}
        assert not list((root / "staging").iterdir())
        shutil.rmtree(root)
    assert step < MOST_STEPS - 1
    # (found, segments, half a segment there)
    assert seen == ({(256, 5, False), (256, 5, True), (256, 2, False)} if what == "joining"
                    else {(256, 2, False), (192, 2, False), (192, 2, True)})


def killed_at(step: int, work: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Do some work up to its n-th step that changes names on the disk; return whether it had that many steps."""
    left = step

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:  # neither this step nor any later one, such as a clean-up
                raise Killed
            return call(*arguments, **named)

        return wrapper

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "mkdir", "rmdir", "unlink"):
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        except Killed:
            return True
    return False


def test_no_corpus_and_a_locked_one_are_said(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFound, match="there is no corpus here"):
        index(tmp_path / "nowhere")
    with CorpusStore.open(corpus).lock(), pytest.raises(CorpusLocked):
        index(corpus)


@pytest.mark.slow
def test_the_graph_of_an_ingested_corpus_is_built_and_answers(corpus: Path) -> None:
    (entry,) = [e for e in index(corpus, config=with_index(exact_below=100)) if e.count > 100]
    segment = Segment.open(segment_folder(corpus, entry.id))
    assert segment.has_graph
    vectors = np.concatenate([VectorGroup.open(corpus, SPEC.key, i).vectors() for i in entry.source_ids])
    walked, scanned = segment.search(vectors[:40], 10), segment.search(vectors[:40], 10, exact=True)
    assert (walked.score >= scanned.score[:, -1:] - 1e-6).mean() >= 0.95
