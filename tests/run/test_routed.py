"""Routed segments, compared with brute force: also after removals, kills and damage."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import Config, IndexConfig
from pipeline.errors import CorpusDamaged, RunError
from pipeline.execute.cluster_search import open_on_cluster
from pipeline.execute.engine import SerialEngine
from pipeline.index import Segment
from pipeline.integrity import set_aside as set_aside_module
from pipeline.integrity import verify
from pipeline.model import CoarseLayout, EncoderSpec
from pipeline.run import index, ingest
from pipeline.run.index import index_corpus
from pipeline.run.preconditions import for_new_corpus
from pipeline.search import Corpus, Filters, open_corpus
from pipeline.search.cells import routes_of
from pipeline.search.nearest import Nearest, best_scores, nearest
from pipeline.search.selection import Selection, is_approximate
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.status import IndexStatus
from pipeline.store import CorpusStore, segment_folder
from pipeline.tasks import index as routed_module
from tests.index.heavy_tailed import heavy_tailed, recall_by_distance
from tests.run.small import SCAN, archive, config
from tests.search.conftest import FINE, Made

SPEC = EncoderSpec("random", 1, 32, "none")
WIDE = replace(FINE, nchans=64_000)
SOURCES = [f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABCDEFGHIJ")]
EACH, NEW, K = 1500, 200, 10
LIMITS = IndexConfig(exact_below=50, segment_vectors=2000, routed_from=10_000)


def no_graph(patch: pytest.MonkeyPatch) -> None:
    """Build no graphs, because compiling pynndescent takes most of a minute. Only routing can then miss vectors."""
    patch.setattr("pipeline.index.build.MIN_GRAPH_VECTORS", 10**9)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Corpus of ten sources, all in one routed segment. One vector in fifty is also in another source."""
    made = Made(tmp_path_factory.mktemp("routed") / "corpus")
    drawn = vectors_and_queries()[:-NEW]
    drawn[1::50] = drawn[::50]
    for i, source_id in enumerate(SOURCES):
        rng = np.random.default_rng(i)
        made.add(source_id, rng.choice(8000, EACH, replace=False).tolist(), drawn[i::len(SOURCES)], header=WIDE,
                 coarse=CoarseLayout(64_000, "flag"), spec=SPEC)
    with pytest.MonkeyPatch.context() as patch:
        no_graph(patch)
        (entry,) = index_corpus(SerialEngine(), made.store, LIMITS)
    assert entry.count == sum(entry.cells) == EACH * len(SOURCES)
    assert len(entry.pieces) >= 15
    return made


@pytest.fixture
def root(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be changed."""
    no_graph(monkeypatch)
    return Path(shutil.copytree(made.root, tmp_path / "corpus"))


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    """New vectors of the same distribution."""
    return vectors_and_queries()[-NEW:]


def vectors_and_queries() -> np.ndarray:
    return heavy_tailed(EACH * len(SOURCES) + NEW, SPEC.dimension, seed=5)


def searched(root: Path, filters: Filters | None = None, without_index: bool = False) -> Selection:
    manifest = CorpusStore.open(root).manifest()
    if without_index:
        manifest = replace(manifest, segments=())
    resolutions = frozenset(entry.resolution for entry in manifest.sources.values())
    return Selection.of(OpenCorpus(root, manifest), SPEC.key, resolutions, filters)


def brute_force(made: Made, queries: np.ndarray, taken: Any = lambda source_id, numbers: True, k: int = K
                ) -> np.ndarray:
    """Return the cosines (q, k) of the nearest windows among those for which ``taken`` is true."""
    kept = [made.vectors[i][np.broadcast_to(taken(i, made.numbers[i]), EACH)] for i in made.numbers]
    vectors = np.concatenate(kept)
    products = queries.astype(np.float64) @ vectors.T / np.linalg.norm(vectors, axis=1)
    products /= np.linalg.norm(queries.astype(np.float64), axis=1, keepdims=True)
    return -np.sort(-products, axis=1)[:, :k]


def scores(where: Selection, queries: np.ndarray, k: int = K, **how: Any) -> np.ndarray:
    """Return the scores (q, k) of a separate search with each query."""
    return np.stack([nearest(where, query[None], k, **how).score for query in queries])


def same(one: Nearest, other: Nearest) -> None:
    for name in ("source", "number", "score", "query"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_every_window_is_in_one_cell_with_its_own_vector(made: Made) -> None:
    (entry,) = made.store.manifest().segments
    found = []
    for piece in entry.pieces:
        segment = Segment.open(segment_folder(made.root, piece.id), entry.source_ids)
        assert segment.rows == piece.count
        vectors = segment.vectors_of(np.arange(segment.rows))
        for source, number, vector in zip(segment.row_source, segment.row_number, vectors, strict=True):
            source_id = entry.source_ids[source]
            own = made.vectors[source_id][made.numbers[source_id] == number][0]
            np.testing.assert_allclose(vector, own / np.linalg.norm(own), atol=1e-6)
            found.append((source_id, int(number)))
    assert sorted(found) == sorted((i, int(number)) for i in SOURCES for number in made.numbers[i])


@pytest.mark.parametrize("k", [1, 10, 3000, EACH * len(SOURCES)])
def test_exactly_the_answers_are_those_of_a_corpus_without_index(made: Made, queries: np.ndarray, k: int) -> None:
    some = queries[: 300 // k + 1]
    exact = nearest(searched(made.root), some, k, exact=True)
    same(exact, nearest(searched(made.root, without_index=True), some, k))
    assert len(exact.score) == k


@pytest.mark.parametrize(("how", "least"), [({}, 0.95), ({"careful": True}, 0.98)])
def test_most_of_the_true_nearest_are_found_without_looking_everywhere(
    made: Made, queries: np.ndarray, how: dict[str, bool], least: float
) -> None:
    where = searched(made.root)
    assert recall_by_distance(scores(where, queries, **how), brute_force(made, queries).astype(np.float32)) >= least
    counts = {entry.id: entry.count for entry in where.segments}
    asked = sum(counts[cell] * len(which) for cell, which in routes_of(where, queries, K, **how).items())
    assert asked / len(queries) < 0.6 * sum(counts.values())


def test_a_query_gets_the_same_answer_in_any_company(made: Made, queries: np.ndarray) -> None:
    where = searched(made.root)
    together = routes_of(where, queries, K)
    for i, query in enumerate(queries[:40]):
        alone = routes_of(where, query[None], K)
        assert set(alone) == {cell for cell, which in together.items() if i in which}


@pytest.mark.parametrize("k", [400, 5000, EACH * len(SOURCES)])
def test_as_many_as_wanted_are_found_however_small_the_cells(made: Made, queries: np.ndarray, k: int) -> None:
    for query in queries[:3]:
        found = nearest(searched(made.root), query[None], k)
        assert len(found.score) == k
        assert len(set(zip(found.source.tolist(), found.number.tolist(), strict=True))) == k


LOW = WIDE.f_min_mhz + 0.3 * WIDE.nchans * WIDE.channel_width_mhz


@pytest.mark.parametrize(("filters", "taken"), [
    (Filters(only_file=tuple(SOURCES[:3])), lambda source_id, numbers: source_id in SOURCES[:3]),
    (Filters(only_file=(SOURCES[4],)), lambda source_id, numbers: source_id == SOURCES[4]),
    (Filters(only_mhz=((WIDE.f_min_mhz - 1, LOW),)), lambda source_id, numbers: numbers % 4000 < 1200),
], ids=["some files", "one file", "a band"])
@pytest.mark.parametrize("few", [0, 100_000], ids=["cells", "scanned"])
def test_filters_leave_the_nearest_of_what_passes(
    made: Made, queries: np.ndarray, filters: Filters, taken: Any, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.search.selection.MAX_SCANNED_VECTORS", few)
    where = searched(made.root, filters)
    expected = brute_force(made, queries, taken).astype(np.float32)
    scanned = bool(few) and bool(filters.only_file)
    assert bool(where.unindexed) == scanned
    found = nearest(where, queries[:1], 10**4, exact=True)
    assert len(found.score) == where.count_windows()
    for source, number in zip(found.source, found.number, strict=True):
        assert taken(where.source_ids[source], number)
    assert recall_by_distance(scores(where, queries), expected) >= (1.0 if scanned else 0.95)
    np.testing.assert_allclose(scores(where, queries[:50], exact=True), expected[:50], atol=1e-6)


def test_what_is_removed_is_not_found_and_the_rest_is(made: Made, root: Path, queries: np.ndarray) -> None:
    store = CorpusStore.open(root)
    store.publish(lambda manifest: manifest.with_removed(SOURCES[:2]))
    where = searched(root)
    expected = brute_force(made, queries, lambda source_id, numbers: source_id not in SOURCES[:2])
    assert recall_by_distance(scores(where, queries), expected.astype(np.float32)) >= 0.95
    np.testing.assert_allclose(scores(where, queries[:30], exact=True), expected[:30], atol=1e-6)
    assert index_corpus(SerialEngine(), store, LIMITS) == (), "a fifth is dead"
    store.publish(lambda manifest: manifest.with_removed(SOURCES[2:3]))
    (built,) = index_corpus(SerialEngine(), store, LIMITS)
    assert (built.count, built.source_ids) == (7 * EACH, tuple(SOURCES[3:]))
    assert store.manifest().segments == (built,)
    expected = brute_force(made, queries, lambda source_id, numbers: source_id in SOURCES[3:])
    assert recall_by_distance(scores(searched(root), queries), expected.astype(np.float32)) >= 0.95


def test_hits_are_those_of_a_corpus_without_index(made: Made, tmp_path: Path) -> None:
    plain = CorpusStore.open(shutil.copytree(made.root, tmp_path / "plain"))
    plain.publish(lambda manifest: manifest.without_segments([segment.id for segment in manifest.segments]))
    one, other = open_corpus(made.root), open_corpus(plain.root)
    agree = []
    for source_id in SOURCES[:5]:
        for number in made.numbers[source_id][:4]:
            window = f"{source_id}/{number}"
            for asked in ({}, {"per_file": 1}, {"filters": Filters(not_file=(SOURCES[0],))}):
                expected = list(other.search(window=window, **asked))
                assert list(one.search(window=window, exact=True, **asked)) == expected
                agree.append(list(one.search(window=window, **asked)) == expected)
    assert np.mean(agree) > 0.8
    status = one.status()
    [segment] = made.store.manifest().segments
    assert status.index[segment.encoder_key] == IndexStatus(segment.count, 0, 1, cells=len(segment.pieces))


def test_a_cluster_gives_the_same_answers(made: Made, client: Any) -> None:
    on_cluster, here = open_on_cluster(made.root, client), open_corpus(made.root)

    def both(corpus: Corpus) -> list[Any]:
        window = f"{SOURCES[1]}/{made.numbers[SOURCES[1]][7]}"
        return [corpus.search(window=window, **asked).to_json() for asked in (
            {}, {"k": 300}, {"careful": True}, {"exact": True}, {"per_file": 2},
            {"filters": Filters(only_mhz=((WIDE.f_min_mhz - 1, LOW),))})]

    assert both(on_cluster) == both(here)


def test_novelty_is_judged_by_the_best_of_the_cells(made: Made, queries: np.ndarray) -> None:
    best = brute_force(made, queries, k=1)[:, 0]
    earlier = Selection.of_sources(OpenCorpus(made.root), SPEC.key, SOURCES)
    assert is_approximate(earlier)
    np.testing.assert_allclose(best_scores(earlier, queries, exact=True), best, atol=1e-6)
    found = best_scores(earlier, queries)
    assert (found <= best + 1e-6).all()
    assert (found >= best - 1e-6).mean() > 0.95
    others = Selection.of_sources(OpenCorpus(made.root), SPEC.key, SOURCES[5:])
    expected = brute_force(made, queries, lambda source_id, numbers: source_id in SOURCES[5:], k=1)[:, 0]
    np.testing.assert_allclose(best_scores(others, queries, exact=True), expected, atol=1e-6)


class Killed(SerialEngine):
    """Fails every task after some."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def submit(self, ticket: Any, task: Any, *arguments: Any, on_gpu: bool = False) -> None:
        if self.left == 0:
            self._ended.append((ticket, OSError("killed")))
            return
        self.left -= 1
        super().submit(ticket, task, *arguments)


@pytest.mark.parametrize("after", [1, 20, *(pytest.param(tasks, marks=pytest.mark.slow) for tasks in (0, 5))])
def test_a_build_that_was_killed_is_gone_on_with(
    made: Made, root: Path, queries: np.ndarray, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = made.store.manifest().segments
    store = CorpusStore.open(root)
    store.publish(lambda manifest: manifest.without_segments([whole.id]))
    shutil.rmtree(segment_folder(root, whole.id))
    store.publish(lambda manifest: replace(manifest, retired={}))
    with pytest.raises(RunError, match="killed"):
        index_corpus(Killed(after), store, LIMITS)
    assert store.manifest().segments == ()
    built = []
    build = routed_module.build_segment
    monkeypatch.setattr(routed_module, "build_segment", lambda *a, **kw: [built.append(a[0]), build(*a, **kw)][1])
    (entry,) = index_corpus(SerialEngine(), store, LIMITS)
    assert entry == whole
    done_before = max(0, after - 1 - 10)  # cells come after k-means and one spool per source
    assert len(built) == len(entry.pieces) - done_before
    assert sorted(path.name for path in (root / "index").iterdir()) == [entry.id]
    assert {path.name for path in segment_folder(root, entry.id).iterdir()} == {
        "segment.json", "centroids.npy", *(piece.id.partition("/")[2] for piece in entry.pieces)}
    same(nearest(searched(root), queries, K), nearest(searched(made.root), queries, K))


# --- what is damaged, in a corpus that was ingested ----------------------------------------------------------------

CONFIG = replace(config(replace(SCAN, keep_all=True)),
                 index=IndexConfig(exact_below=50, segment_vectors=32, routed_from=100))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    with pytest.MonkeyPatch.context() as patch:
        no_graph(patch)
        ingest([archive(folder / "data", 3)], folder / "corpus", config=CONFIG, serial=True)
        (folder / "corpus" / "corpus.toml").write_text(for_new_corpus(CONFIG).to_toml())
        (entry,) = index(folder / "corpus", config=CONFIG)
    assert len(entry.cells) >= 8
    assert verify(folder / "corpus").damages == ()
    return folder / "corpus"


@pytest.fixture
def corpus(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_graph(monkeypatch)
    return Path(shutil.copytree(whole, tmp_path / "corpus"))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / "index").rglob("*") if path.is_file()}


@pytest.mark.parametrize("file", ["vectors.npy", "row_number.npy", "segment.json"])
@pytest.mark.parametrize("how", ["flip", "gone", "folder"])
def test_a_damaged_cell_is_named_and_rebuilt_alone(whole: Path, corpus: Path, file: str, how: str) -> None:
    (entry,) = CorpusStore.open(corpus).manifest().segments
    piece = entry.pieces[2]
    path = segment_folder(corpus, piece.id) / file
    if how == "flip":
        content = bytearray(path.read_bytes())
        content[-3] ^= 4
        path.write_bytes(content)
    elif how == "gone":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    others = {name: (corpus / name).stat().st_ino for name in contents(corpus) if piece.id not in name}
    found = verify(corpus)
    assert {(one.kind, one.id) for one in found.damages} == {("segment", piece.id)}
    assert found.objects == len(entry.pieces) + 1 + 6, "cells, their segment, three sources and their vectors"
    assert verify(corpus, repair=True, serial=True).damages == ()
    assert contents(corpus) == contents(whole)
    assert {name: (corpus / name).stat().st_ino for name in others} == others


@pytest.mark.parametrize("file", ["centroids.npy", "segment.json", "more"])
def test_a_damaged_routing_is_named_refused_and_rebuilt(corpus: Path, file: str) -> None:
    store = CorpusStore.open(corpus)
    (entry,) = store.manifest().segments
    (segment_folder(corpus, entry.id) / file).write_bytes(b"damaged")
    assert {(one.kind, one.id) for one in verify(corpus).damages} == {("segment", entry.id)}
    if file != "more":
        with pytest.raises(CorpusDamaged, match=file):
            OpenCorpus(corpus).routing(entry.id)
    assert verify(corpus, repair=True, serial=True).damages == ()
    assert store.manifest().segments == (entry,)
    assert verify(corpus).damages == ()


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_segment_that_is_rebuilt_with_fewer_cells_gets_none_of_the_damaged_ones(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    store = CorpusStore.open(corpus)
    (entry,) = store.manifest().segments
    (segment_folder(corpus, entry.id) / "segment.json").unlink()
    limits = replace(CONFIG.index, segment_vectors=4 * CONFIG.index.segment_vectors)
    (corpus / "corpus.toml").write_text(replace(Config.of_corpus(corpus), index=limits).to_toml())
    if is_killed:  # when the new segment is there, and the damaged one not yet deleted
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(set_aside_module, "discard", interrupted)
            verify(corpus, repair=True, serial=True)
        assert (corpus / "damaged" / "index" / entry.id / "cell-0007").exists()
    assert verify(corpus, repair=True, serial=True).damages == ()
    (left,) = store.manifest().segments
    assert (left.id, left.count, len(left.cells)) == (entry.id, entry.count, -(-len(entry.cells) // 4))
    assert verify(corpus).damages == ()
    assert not (corpus / "damaged").exists()


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_damaged_cell_some_of_whose_sources_are_gone_is_rebuilt_of_the_others(corpus: Path) -> None:
    store = CorpusStore.open(corpus)
    (entry,) = store.manifest().segments
    gone = entry.source_ids[0]
    store.publish(lambda manifest: manifest.with_removed([gone]))
    for piece in entry.pieces[:2]:
        (segment_folder(corpus, piece.id) / "vectors.npy").unlink()
    assert verify(corpus, repair=True, serial=True).damages == ()
    (left,) = store.manifest().segments
    assert left.source_ids == entry.source_ids[1:]
    assert sum(left.cells) == left.count == sum(e.windows_kept for e in store.manifest().sources.values())
    assert verify(corpus).damages == ()
