from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import durable, tasks
from pipeline.config import Config, IndexConfig
from pipeline.encoders import load_encoder
from pipeline.errors import CorpusDamaged, CorpusLocked, CorpusNotFound, RunError
from pipeline.index import Segment
from pipeline.model import CoarseLayout, EncoderSpec, Source, SourceReport
from pipeline.run import index, ingest, remove
from pipeline.run.engine import SerialEngine
from pipeline.run.index import index_corpus, is_worn, plan_segments
from pipeline.search.nearest import nearest
from pipeline.search.opened import OpenCorpus
from pipeline.search.scope import Scope
from pipeline.search.searched import Searched
from pipeline.store import CorpusStore, FileEntry, Manifest, SegmentEntry, SourceGroup, VectorGroup, segment_folder
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


def night(manifest: Manifest, counts: list[int], limits: IndexConfig) -> tuple[Manifest, list[SegmentEntry]]:
    """Add sources, index them; return also what was built."""
    manifest = manifest_of(counts, manifest=manifest)
    built = list(plan_segments(manifest, limits))
    for entry in built:
        manifest = manifest.with_segment(entry)
    assert list(plan_segments(manifest, limits)) == [], "all that is worth it was done at once"
    return manifest, built


def test_equal_nights_are_joined_four_by_four_and_full_segments_are_left_alone() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=1000)
    manifest, sizes = Manifest(), []
    for _ in range(24):
        manifest, _ = night(manifest, [10], limits)
        sizes.append(sorted(segment.live_count for segment in manifest.segments))
    assert sizes[:5] == [[10], [10, 10], [10, 10, 10], [40], [10, 40]]
    assert sizes[14:17] == [[10, 10, 10, 40, 40, 40], [160], [10, 160]]
    # two thirds of a full segment are as good as one, and the next nights leave it alone
    tiny = IndexConfig(exact_below=10, segment_vectors=100)
    manifest, sizes = Manifest(), []
    for _ in range(14):
        manifest, _ = night(manifest, [10], tiny)
        sizes.append(sorted(segment.live_count for segment in manifest.segments))
    assert sizes[5:8] == [[10, 10, 40], [70], [10, 70]]
    assert sizes[13] == [70, 70]


@given(st.lists(st.integers(0, 300), max_size=60), st.sampled_from([1, 5, 40]))
def test_nights_leave_few_segments_and_each_vector_is_built_a_few_times(counts: list[int], exact_below: int) -> None:
    limits = IndexConfig(exact_below=exact_below, segment_vectors=1000)
    manifest, work = Manifest(), 0
    for count in counts:
        manifest, built = night(manifest, [count], limits)
        work += sum(entry.count for entry in built)
        assert all(entry.count <= 1000 for entry in built)
    indexed = [source_id for segment in manifest.segments for source_id in segment.live_ids]
    assert len(indexed) == len(set(indexed))
    assert sum(count for count in counts) - sum(s.live_count for s in manifest.segments) < exact_below
    # a vector is built once, once more for each fourfold growth, and once for the last two thirds
    smallest = min((count for count in counts if count), default=1)
    total = sum(counts)
    assert work <= total * (2 + math.log(1000 / smallest, 4))
    # sums of the smallest grow by 4/3 from one segment to the next, up to two thirds of a full one; one may be over
    growing = 2 + math.log(max(1, 1000 * 2 / 3 / max(smallest, exact_below)), 4 / 3)
    full = [segment for segment in manifest.segments if segment.live_count > 500]
    assert len(manifest.segments) - len(full) <= growing + 1


def test_without_compaction_old_segments_stay() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=1000, compact=False)
    manifest = Manifest()
    for _ in range(6):
        manifest, built = night(manifest, [10], limits)
        assert [entry.count for entry in built] == [10]
    manifest = manifest.without_sources(["GBT_000", "GBT_001"])
    assert list(plan_segments(manifest, limits)) == []


def test_segments_are_joined_within_one_encoder_and_resolution() -> None:
    limits = IndexConfig(exact_below=10, segment_vectors=1000)
    manifest = Manifest()
    for tsamp_s in (18.0, 1.0) * 3:
        manifest = manifest_of([10], tsamp_s=tsamp_s, manifest=manifest)
        for entry in plan_segments(manifest, limits):
            manifest = manifest.with_segment(entry)
    assert sorted(segment.live_count for segment in manifest.segments) == [10] * 6
    (joined,) = plan_segments(manifest_of([10], manifest=manifest), limits)
    assert {manifest.sources[i].resolution for i in joined.source_ids[:3]} == {joined.resolution} == {"2.794Hz-18s"}
    assert joined.source_ids == ("GBT_000", "GBT_002", "GBT_004", "GBT_006")


@pytest.mark.parametrize(("removed", "built", "left"), [
    (["GBT_000"], [], [40]),                                 # 10 of 50
    (["GBT_000", "GBT_001"], [30], [30]),                    # 20 of 50
    (["GBT_000", "GBT_001", "GBT_002", "GBT_003"], [], []),  # too little is left
])
def test_a_segment_is_built_anew_once_a_quarter_is_dead(removed: list[str], built: list[int], left: list[int]) -> None:
    limits = IndexConfig(exact_below=20, segment_vectors=1000)
    manifest, _ = night(Manifest(), [10] * 5, limits)
    manifest = manifest.without_sources(removed)
    planned = list(plan_segments(manifest, limits))
    assert [entry.count for entry in planned] == built
    for entry in planned:
        assert not set(entry.source_ids) & set(removed)
        manifest = manifest.with_segment(entry)
    worn = [s.id for s in manifest.segments if is_worn(s) and s.live_count < 20]
    assert [s.live_count for s in manifest.without_segments(worn).segments] == left


def test_a_segment_of_what_came_anew_bears_another_name() -> None:
    limits = IndexConfig(exact_below=10)
    manifest, (first,) = night(Manifest(), [10, 10], limits)
    manifest = manifest.without_vectors({("GBT_000", SPEC.key)}).with_vectors("GBT_000", SPEC, 10)
    (again,) = plan_segments(manifest, limits)
    assert again.source_ids == first.source_ids
    assert again.id != first.id


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


# --- joining, and what is killed at it -----------------------------------------------------------------------------


def answers(root: Path, query: int = 0) -> list[tuple[str, int, float]]:
    """What a search of all vectors of the fine scans finds, everything compared."""
    opened = OpenCorpus(root)
    scope = Scope.of(opened.manifest, SPEC.key, frozenset({"2.794Hz-18.25s"}))
    vector = VectorGroup.open(root, SPEC.key, scope.source_ids[-1]).vectors(query, query + 1)
    found = nearest(Searched(opened, scope), vector, 10_000, exact=True)
    return [(scope.source_ids[i], int(number), float(score))
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
    # a day later they go
    monkeypatch.setattr("pipeline.store.retired.GRACE_S", 0.0)
    index(corpus, config=with_index(exact_below=50))
    assert {path.name for path in (corpus / "index").iterdir()} == {s.id for s in manifest.segments}


def test_a_source_that_vanishes_leaves_the_others_of_its_segment_to_be_found(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

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
    """Nothing but a test looks for it."""


MOST_STEPS = 400


@pytest.mark.parametrize("what", ["joining", "removing"])
def test_killed_at_any_step_the_corpus_answers_and_the_next_run_goes_on(
    corpus: Path, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

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
    """Do some work up to its n-th step that changes names on the disk; tell whether it came so far."""
    left = step

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:  # neither this nor what would clear up after it
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
