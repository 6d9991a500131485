from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import tasks
from pipeline.config import Config, IndexConfig
from pipeline.encoders import load_encoder
from pipeline.errors import CorpusDamaged, CorpusLocked, CorpusNotFound, RunError
from pipeline.index import Segment
from pipeline.model import CoarseLayout, EncoderSpec, Source, SourceReport
from pipeline.run import index, ingest
from pipeline.run.engine import SerialEngine
from pipeline.run.index import index_corpus, plan_segments
from pipeline.store import CorpusStore, Manifest, SourceGroup, VectorGroup, segment_folder
from tests.run.small import SCAN, archive, config, header, write_scan

SPEC: EncoderSpec = load_encoder("power-spectrum").spec
KEEP_ALL = replace(SCAN, keep_all=True)


# --- planning ------------------------------------------------------------------------------------------------------


def manifest_of(counts: list[int], tsamp_s: float = 18.0, manifest: Manifest | None = None) -> Manifest:
    manifest = manifest or Manifest()
    for count in counts:
        name = f"GBT_{len(manifest.sources):03d}"
        source = Source(name, header(tsamp_s=tsamp_s), CoarseLayout(1, "flag"), f"/{name}", 1, 1)
        manifest = manifest.with_source(source, SourceReport(f"/{name}", "done", name, windows_kept=count))
        manifest = manifest.with_vectors(name, SPEC, count)
    return manifest


@given(st.lists(st.integers(0, 50), max_size=20), st.lists(st.integers(0, 50), max_size=20),
       st.integers(0, 40), st.integers(1, 100))
def test_planned_segments_hold_each_vector_once_and_are_neither_too_small_nor_too_large(
    counts: list[int], others: list[int], exact_below: int, segment_vectors: int
) -> None:
    manifest = manifest_of(others, tsamp_s=1.0, manifest=manifest_of(counts))
    limits = IndexConfig(exact_below, segment_vectors)
    planned = list(plan_segments(manifest, limits))
    held = [source_id for entry in planned for source_id in entry.source_ids]
    assert len(held) == len(set(held))
    left = {source_id for source_id in manifest.sources if source_id not in held}
    for resolution in {entry.resolution for entry in manifest.sources.values()}:
        waiting = [e.windows_kept for i, e in manifest.sources.items() if i in left and e.resolution == resolution]
        assert sum(waiting) < max(exact_below, 1)
    for entry in planned:
        sizes = [manifest.sources[source_id].windows_kept for source_id in entry.source_ids]
        assert entry.count == sum(sizes) >= exact_below
        assert 0 not in sizes
        assert {manifest.sources[source_id].resolution for source_id in entry.source_ids} == {entry.resolution}
        # one more source than fits only where without it the segment would be too small
        assert sum(sizes) <= segment_vectors or sum(sizes[:-1]) < max(exact_below, 1)


def test_what_is_indexed_is_not_planned_again() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=25)
    manifest = manifest_of([10, 10, 10, 10])
    planned = list(plan_segments(manifest, limits))
    assert [entry.source_ids for entry in planned] == [("GBT_000", "GBT_001"), ("GBT_002", "GBT_003")]
    for entry in planned:
        manifest = manifest.with_segment(entry)
    assert list(plan_segments(manifest, limits)) == []
    (added,) = plan_segments(manifest_of([9, 12], manifest=manifest), limits)
    assert (added.source_ids, added.count) == (("GBT_004", "GBT_005"), 21)


def test_a_segment_is_named_by_what_is_in_it() -> None:
    limits = IndexConfig(exact_below=1)
    (one,) = plan_segments(manifest_of([5, 6]), limits)
    (same,) = plan_segments(manifest_of([5, 6]), limits)
    (other,) = plan_segments(manifest_of([5, 6, 7]), limits)
    assert one.id == same.id != other.id
    assert one.id.startswith("power-spectrum-v1-2.794Hz-18s-")


# --- building ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    data = archive(folder / "data", 4)
    write_scan(data / "coarse-time.h5", 9, tsamp_s=1.0)
    ingest([data], folder / "corpus", config=config(KEEP_ALL), serial=True)
    return folder / "corpus"


@pytest.fixture
def corpus(ingested: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(ingested, tmp_path / "corpus"))


def with_index(**limits: int) -> Config:
    return replace(config(KEEP_ALL), index=IndexConfig(**limits))


def rows_of(root: Path) -> list[tuple[str, int]]:
    """(source, window number) of every row of every segment of the manifest."""
    rows = []
    for entry in CorpusStore.open(root).manifest().segments:
        segment = Segment.open(segment_folder(root, entry.id))
        assert segment.rows == entry.count
        found = segment.search(np.ones((1, segment.dimension)), segment.rows, exact=True)
        rows += [(segment.source_ids[s], int(n)) for s, n in zip(found.row_source[0], found.row_number[0], strict=True)]
    return rows


def no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling pynndescent takes most of a minute; the index's own tests build graphs."""
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


def test_few_vectors_are_left_to_exact_scans(corpus: Path) -> None:
    assert index(corpus, config=with_index(exact_below=257)) == ()
    assert index(corpus) == (), "the corpus' own configuration says 20,000"
    assert CorpusStore.open(corpus).manifest().segments == ()


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
