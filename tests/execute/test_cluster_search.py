"""A search on a cluster has the same hits as a search in this process, even if the corpus changes or workers die."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.config import RunConfig
from pipeline.errors import CorpusDamaged, QueryError, RunError
from pipeline.execute import cluster_search as search
from pipeline.execute.cluster import embedded_cluster
from pipeline.execute.cluster_search import MAX_OPEN_CORPORA, open_on_cluster
from pipeline.search import Corpus, Filters, open_corpus
from pipeline.store import segment_folder
from pipeline.web import ServeSettings, parts_of
from tests.search.conftest import SPEC, Made, unit

A, B, C, D, E = SOURCES = [f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABCDE")]
ASKED: list[dict[str, Any]] = [
    {},
    {"k": 3, "exact": True},
    {"k": 500},
    {"filters": Filters(not_file=(A, E))},
    {"filters": Filters(only_mhz=((1529.9985, 1529.9995),)), "k": 20},
    {"per_file": 2, "k": 8},
    {"per_mhz": 4, "k": 6},
]


def filled(root: Path, seed: int = 0) -> Made:
    """Make three segments of one, two and one source, and a source that is in no segment."""
    made = Made(root)
    for i, source_id in enumerate(SOURCES):
        rng = np.random.default_rng(10 * seed + i)
        made.add(source_id, rng.permutation(120)[: 20 + 10 * i].tolist(),
                 unit(1 + rng.normal(size=(20 + 10 * i, SPEC.dimension))))
    made.index(A)
    made.index(B, C)
    made.index(D)
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A corpus that tests must not change."""
    return filled(tmp_path_factory.mktemp("shared") / "corpus")


@pytest.fixture(scope="module", autouse=True)
def news_of_a_first_search(made: Made) -> None:
    """Let the first search of this machine say what it made and kept: its answer is unlike those of all others."""
    open_corpus(made.root).search(window=f"{A}/{made.numbers[A][0]}")


@pytest.fixture
def own(tmp_path: Path) -> Made:
    """A corpus that a test may change."""
    return filled(tmp_path / "corpus")


def windows(made: Made, each: int = 2) -> list[str]:
    return [f"{source_id}/{number}" for source_id in SOURCES for number in made.numbers[source_id][:each]]


def check(on_cluster: Corpus, here: Corpus, queries: list[str], asks: list[dict[str, Any]] = ASKED[:1]) -> None:
    for window in queries:
        for asked in asks:
            found, expected = (corpus.search(window=window, **asked).to_json() for corpus in (on_cluster, here))
            assert found == expected
            assert found["hits"]


def test_the_answers_are_those_of_this_process(made: Made, client: Any) -> None:
    check(open_on_cluster(made.root, client), open_corpus(made.root), windows(made, 1), ASKED)


def test_the_page_searches_on_the_cluster(made: Made, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parts_sent: list[Any] = []
    spread = search._parts
    monkeypatch.setattr(search, "_parts", lambda *a: [parts_sent.append(spread(*a)), spread(*a)][1])
    parts = parts_of(ServeSettings(corpus=made.root, port=0), b"k" * 32,
                     lambda opened: search.search_on_cluster(opened, client))
    try:
        check(parts.archive.pinned.corpus, open_corpus(made.root), windows(made, 1))
        assert len(parts_sent) == len(SOURCES)
    finally:
        parts.close()


def test_every_worker_has_its_share(made: Made, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[Any] = []
    spread = search._parts
    monkeypatch.setattr(search, "_parts", lambda *a: [parts.append(spread(*a)), spread(*a)][1])
    open_on_cluster(made.root, client).search(window=windows(made)[0])
    one, two = parts[0]
    assert one.segment_ids | two.segment_ids == {A, f"{B}-{C}", D}
    assert not one.segment_ids & two.segment_ids
    assert one.source_ids | two.source_ids == {E}


def test_the_generation_that_was_opened_is_searched_whatever_comes_after(own: Made, client: Any) -> None:
    on_cluster, here = open_on_cluster(own.root, client), open_corpus(own.root)
    queries = windows(own)
    before = here.search(window=queries[0]).to_json()
    own.index(A, B, C, D, E)  # its segments are in no generation now
    own.add("GBT_59000_9_NEW", range(120), np.repeat(own.vectors[A][:1], 120, axis=0))
    for _ in range(12):  # more than are kept on disk
        own.store.publish(lambda manifest: manifest)
    check(on_cluster, here, queries[:4])
    assert on_cluster.search(window=queries[0]).to_json() == before
    newer = open_on_cluster(own.root, client)
    assert newer.search(window=queries[0]).hits[0].source_id == "GBT_59000_9_NEW"
    check(newer, open_corpus(own.root), queries[:2])
    check(on_cluster, here, queries[:2])


def test_more_corpora_than_a_worker_keeps_open(tmp_path: Path, client: Any) -> None:
    several = [filled(tmp_path / str(seed), seed) for seed in range(MAX_OPEN_CORPORA + 2)]
    pairs = [(open_on_cluster(made.root, client), open_corpus(made.root), windows(made, 1)) for made in several]
    for turn in range(2):
        for on_cluster, here, queries in pairs:
            check(on_cluster, here, [queries[turn]])
    home = "pipeline.execute.cluster_search"
    held = client.run(lambda: len(__import__(home, fromlist=["_open_corpora"])._open_corpora))
    assert set(held.values()) == {MAX_OPEN_CORPORA}


def test_threads_share_a_corpus(made: Made, client: Any) -> None:
    on_cluster, here = open_on_cluster(made.root, client), open_corpus(made.root)
    queries = windows(made, 4)
    expected = [open_corpus(made.root).search(window=window).to_json() for window in queries]
    with ThreadPoolExecutor(8) as pool:
        for opened in (on_cluster, here):
            found = list(pool.map(lambda window, opened=opened: opened.search(window=window).to_json(), queries))
            assert found == expected


def test_a_worker_that_dies_is_replaced(made: Made) -> None:
    from distributed import Client

    here = open_corpus(made.root)
    queries = windows(made)
    expected = [here.search(window=window).to_json() for window in queries]
    with embedded_cluster(RunConfig(workers=2)) as cluster, Client(cluster, set_as_default=False) as client:
        on_cluster = open_on_cluster(made.root, client)
        assert on_cluster.search(window=queries[0]).to_json() == expected[0]
        (first, *_) = client.run(os.getpid).values()
        with ThreadPoolExecutor(1) as pool:
            searching = pool.submit(lambda: [on_cluster.search(window=window).to_json() for window in queries])
            os.kill(first, signal.SIGKILL)
            assert searching.result(timeout=60) == expected
        assert on_cluster.search(window=queries[0]).to_json() == expected[0]


def test_what_is_wrong_is_said_as_it_is_here(own: Made, client: Any) -> None:
    on_cluster = open_on_cluster(own.root, client)
    with pytest.raises(QueryError, match="k must be at least 1"):
        on_cluster.search(window=windows(own)[0], k=0)
    (segment_folder(own.root, D) / "vectors.npy").write_bytes(b"")
    with pytest.raises(CorpusDamaged, match=r"vectors\.npy: 0 bytes"):
        on_cluster.search(window=windows(own)[0])


def test_a_cluster_without_workers_is_named(made: Made) -> None:
    empty = SimpleNamespace(sync=lambda ask, n_workers: {"workers": {}},
                            scheduler=SimpleNamespace(address="tcp://here", identity=None))
    with pytest.raises(RunError, match="tcp://here: the cluster has no workers"):
        open_on_cluster(made.root, empty).search(window=windows(made)[0])


def test_parts_are_even(made: Made) -> None:
    opened = open_corpus(made.root)._corpus
    resolutions = frozenset(entry.resolution for entry in opened.manifest.sources.values())
    selection = search.Selection.of(opened, SPEC.key, resolutions)
    counts = {A: 20, f"{B}-{C}": 70, D: 50, E: 60}
    for count, sizes in ((1, [200]), (2, [90, 110]), (9, [20, 50, 60, 70])):
        parts = search._parts(selection, count)
        assert sorted(sum(counts[name] for name in part.segment_ids | part.source_ids) for part in parts) == sizes
