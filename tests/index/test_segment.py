from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import pipeline.index.graph
from pipeline.errors import ConfigError, QueryError
from pipeline.index import CAREFUL_BEAM, DEFAULT_BEAM, Neighbors, Segment, build_segment
from pipeline.index.folder import GRAPH_ARRAY_TYPES, map_arrays
from pipeline.index.graph import GraphSearch
from pipeline.index.segment import BEAM_PER_ROW, MAX_BEAM
from tests.index.heavy_tailed import SOURCES, Built, distinct_vectors, recall_by_distance

pytestmark = pytest.mark.timeout(400)  # the first test builds the graph


def same(one: Neighbors, other: Neighbors) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Neighbors.__slots__)


@pytest.mark.parametrize(("beam", "least"), [(DEFAULT_BEAM, 0.95), (CAREFUL_BEAM, 0.98)])
@pytest.mark.parametrize("which", [slice(0, 300), slice(300, 600)], ids=["new", "stored"])
def test_recall_on_heavy_tailed_vectors(heavy: Built, which: slice, beam: int, least: float) -> None:
    found = heavy.segment.search(heavy.queries[which], 10, beam=beam)
    exact = heavy.segment.search(heavy.queries[which], 10, exact=True)
    assert recall_by_distance(found.score, exact.score) >= least


@pytest.mark.parametrize("which", [slice(0, 300), slice(300, 600)], ids=["new", "stored"])
def test_recall_where_every_vector_occurs_ten_times(tenfold: Built, which: slice) -> None:
    assert (tenfold.segment.rows, distinct_vectors(tenfold.segment)) == (40_000, 4000)
    found = tenfold.segment.search(tenfold.queries[which], 50)
    exact = tenfold.segment.search(tenfold.queries[which], 50, exact=True)
    assert recall_by_distance(found.score[:, :10], exact.score[:, :10]) >= 0.95
    assert recall_by_distance(found.score, exact.score) >= 0.95


def test_recall_of_many(heavy: Built) -> None:
    found = heavy.segment.search(heavy.queries[:200], 100)
    assert recall_by_distance(found.score, heavy.segment.search(heavy.queries[:200], 100, exact=True).score) >= 0.95


def test_ten_copies_are_ten_answers(tenfold: Built) -> None:
    found = tenfold.segment.search(tenfold.vectors[:200], 10)
    for i in range(200):
        copies = np.flatnonzero((tenfold.vectors == tenfold.vectors[i]).all(axis=1))
        np.testing.assert_array_equal(np.sort(found.row_number[i]), copies)
    np.testing.assert_allclose(found.score, 1.0, rtol=0, atol=1e-6)


def test_the_vector_of_a_row_is_that_it_was_built_of(tenfold: Built) -> None:
    rows = np.random.default_rng(2).permutation(tenfold.segment.rows)[:500]
    given = tenfold.vectors[tenfold.segment.row_number[rows]]  # a window number is the index of its vector
    np.testing.assert_allclose(tenfold.segment.vectors_of(rows), given, rtol=0, atol=5e-4)


def test_a_scan_agrees_with_float64_arithmetic(heavy: Built) -> None:
    queries = heavy.queries[::20].astype(np.float64)
    stored = heavy.vectors.astype(np.float16).astype(np.float64)
    cosines = (queries @ stored.T) / np.linalg.norm(stored, axis=1) / np.linalg.norm(queries, axis=1)[:, None]
    found = heavy.segment.search(queries, 10, exact=True)
    np.testing.assert_allclose(found.score, -np.sort(-cosines, axis=1)[:, :10], rtol=0, atol=2e-7)
    rows = found.row_number // 3
    np.testing.assert_allclose(np.take_along_axis(cosines, rows, axis=1), found.score, rtol=0, atol=2e-7)
    np.testing.assert_array_equal(found.row_source, heavy.row_source[rows])


def test_graph_and_scan_give_a_row_the_same_score(heavy: Built) -> None:
    found = heavy.segment.search(heavy.queries, 10)
    exact = heavy.segment.search(heavy.queries, 10, exact=True)
    agreeing = 0
    for i in range(len(heavy.queries)):
        scores = dict(zip(exact.row_number[i], exact.score[i], strict=True))
        for number, score in zip(found.row_number[i], found.score[i], strict=True):
            assert scores.get(number, score) == score
            agreeing += number in scores
    assert agreeing > 5000
    assert (np.diff(found.score) <= 0).all()


@pytest.mark.parametrize("at_once", [1, 37])
def test_eight_threads_get_the_serial_answers(heavy: Built, at_once: int) -> None:
    segment = Segment.open(heavy.segment.folder)
    calls = [heavy.queries[i : i + at_once] for i in range(0, len(heavy.queries), at_once)] * 8
    serial = [heavy.segment.search(queries, 10) for queries in calls]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:  # the first of them load the graph
            threaded = list(pool.map(lambda queries: segment.search(queries, 10), calls))
    finally:
        sys.setswitchinterval(interval)
    assert sum(not same(one, other) for one, other in zip(serial, threaded, strict=True)) == 0


def test_more_queries_than_marks_can_tell_apart(heavy: Built) -> None:
    segment = Segment.open(heavy.segment.folder)
    many = np.tile(heavy.queries[:100], (6, 1))  # marks are bytes, so they are used again after 255 queries
    found = segment.search(many, 10)
    for i in range(6):
        np.testing.assert_array_equal(found.row_number[100 * i : 100 * i + 100], found.row_number[:100])
    assert same(segment.search(heavy.queries[:100], 10), Neighbors(*(getattr(found, name)[:100] for name in (
        "row_source", "row_number", "score"))))


def test_answers_do_not_depend_on_company(heavy: Built) -> None:
    together = heavy.segment.search(heavy.queries, 10)
    alone = [heavy.segment.search(query[None], 10) for query in heavy.queries]
    np.testing.assert_array_equal(together.row_number, np.concatenate([one.row_number for one in alone]))
    np.testing.assert_array_equal(together.score, np.concatenate([one.score for one in alone]))


def test_queries_of_any_length_are_compared_by_direction(heavy: Built) -> None:
    plain, scaled = (heavy.segment.search(heavy.queries[:50] * scale, 10) for scale in (1, 1024))
    assert same(plain, scaled)


def test_asking_for_more_than_there_is(tenfold: Built) -> None:
    found = tenfold.segment.search(tenfold.queries[:1], 40_003)
    np.testing.assert_array_equal(np.sort(found.row_number[0, :40_000]), np.arange(40_000))
    assert (found.row_number[0, 40_000:] == -1).all()
    assert (found.row_source[0, 40_000:] == -1).all()
    assert (found.score[0, 40_000:] == -np.inf).all()


def test_asking_for_very_many_scans(heavy: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heavy.segment, "_walk", None)
    found = heavy.segment.search(heavy.queries[:1], MAX_BEAM // BEAM_PER_ROW + 1)
    assert same(found, heavy.segment.search(heavy.queries[:1], MAX_BEAM // BEAM_PER_ROW + 1, exact=True))


def test_a_query_the_graph_strands_is_scanned(heavy: Built, tmp_path: Path) -> None:
    """If no vertex has neighbours, a walk sees only one leaf."""
    folder = shutil.copytree(heavy.segment.folder, tmp_path / "cut")
    segment = Segment.open(folder)
    arrays = map_arrays(folder, segment._record, GRAPH_ARRAY_TYPES)
    arrays["graph_indptr"] = np.zeros_like(arrays["graph_indptr"])
    arrays["graph_indptr"].flags.writeable = False  # as they are in a folder; for others, the walk would be compiled
    arrays["graph_indices"] = arrays["graph_indices"][:0]
    segment._graph = GraphSearch(segment._vectors, arrays)
    k = 500  # more than a leaf has
    assert same(segment.search(heavy.queries[:3], k), heavy.segment.search(heavy.queries[:3], k, exact=True))
    assert (segment._graph.nearest(heavy.queries[:3], k, k)[0][:, -1] == -1).all()


def _spoilt(value: float) -> NDArray[np.float32]:
    queries = np.ones((3, 64), dtype=np.float32)
    queries[1] = value
    return queries


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    ("queries", "k", "message"),
    [
        (_spoilt(0.0), 10, "query 1 has length 0"),
        (_spoilt(np.nan), 10, "query 1 holds NaN"),
        (np.ones((3, 63)), 10, "63 numbers.* 64"),
        (np.ones(64), 10, "shape"),
        (np.ones((3, 64)), 0, "at least 1"),
    ],
)
def test_bad_queries_are_refused_before_anything_is_searched(
    heavy: Built,
    monkeypatch: pytest.MonkeyPatch,
    queries: NDArray[np.float32],
    k: int,
    message: str,
    exact: bool,
) -> None:
    segment = Segment.open(heavy.segment.folder)
    monkeypatch.setattr(segment, "_walk", None)
    monkeypatch.setattr(segment, "_scan", None)
    with pytest.raises(QueryError, match=message):
        segment.search(queries, k, exact=exact)


def test_no_query_gets_no_answer(heavy: Built) -> None:
    assert heavy.segment.search(np.empty((0, 64)), 10).row_number.shape == (0, 10)


def test_the_graph_is_small(heavy: Built) -> None:
    files = heavy.segment.folder.iterdir()
    assert sum(path.stat().st_size for path in files if path.name != "vectors.npy") <= 90 * heavy.segment.rows


def test_another_release_of_the_library_searches_but_does_not_build(
    heavy: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline.index.graph, "version", lambda _: "0.8.0")
    found = Segment.open(heavy.segment.folder).search(heavy.queries, 10)
    assert same(found, heavy.segment.search(heavy.queries, 10))
    with pytest.raises(ConfigError, match=r"0\.8\.0 is installed.* 0\.7\.0"):
        build_segment(tmp_path / "s", heavy.vectors, heavy.row_source, heavy.row_number, SOURCES)


FRESH = """
import sys
from pathlib import Path
import numpy as np
from pipeline.index import Segment
segment, queries = Segment.open(Path(sys.argv[1])), np.load(sys.argv[2])
segment.search(queries, 10, exact=True)
assert not {"pynndescent", "numba", "scipy", "sklearn"} & set(sys.modules), "a scan needs numpy alone"
from numba.core import event
with event.install_recorder("numba:compile") as recorder:
    found = segment.search(queries, 10)
assert not {"pynndescent", "sklearn"} & set(sys.modules), "a walk needs numba, too"
np.save(sys.argv[3], found.row_number)
print(len(recorder.buffer))
"""


def test_a_fresh_process_scans_with_numpy_alone_and_compiles_nothing(heavy: Built, tmp_path: Path) -> None:
    np.save(tmp_path / "queries.npy", heavy.queries)
    expected = heavy.segment.search(heavy.queries, 10)  # leaves the compiled search in numba's cache
    root = Path(pipeline.index.graph.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FRESH, heavy.segment.folder, tmp_path / "queries.npy", tmp_path / "found.npy"],
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0"
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected.row_number)
