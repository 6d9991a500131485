from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import CorpusDamaged, QueryError
from pipeline.index import exact_neighbors

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((5000, 24)).astype(np.float32)
VECTORS[3000:4000] = VECTORS[2000:3000]  # exact ties, blocks apart
VECTORS[4000:] = VECTORS[7] + 1e-6 * RNG.standard_normal((1000, 24))  # closer together than float32 rounding
QUERIES = np.concatenate([RNG.standard_normal((4, 24)), VECTORS[[7, 2500]], -VECTORS[[7]]])


def naive(vectors: NDArray[Any], queries: NDArray[Any], k: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Compute cosines by definition, one pair at a time in float64. Equal float32 scores are in the order of rows."""
    rows, scores = [], []
    for query in queries.astype(np.float64):
        unit = (query / np.sqrt(sum(x * x for x in query))).astype(np.float32).astype(np.float64)
        ranked = []
        for row, vector in enumerate(vectors.astype(np.float32).astype(np.float64)):
            cosine = (vector @ unit) / np.sqrt((vector @ vector) * (unit @ unit))
            ranked.append((-np.float32(cosine), row))
        ranked.sort()
        rows.append([row for _, row in ranked[:k]])
        scores.append([-score for score, _ in ranked[:k]])
    return np.array(rows), np.array(scores, dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_finds_what_a_naive_loop_finds(dtype: type) -> None:
    vectors = VECTORS[:3500].astype(dtype)
    rows, scores = exact_neighbors(vectors, QUERIES, 10)
    expected_rows, expected_scores = naive(vectors, QUERIES, 10)
    np.testing.assert_allclose(scores, expected_scores, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(rows, expected_rows)


def test_near_duplicates_are_ranked_by_their_true_scores() -> None:
    _, scores = exact_neighbors(VECTORS, QUERIES, 20)
    np.testing.assert_allclose(scores, naive(VECTORS, QUERIES, 20)[1], rtol=0, atol=6e-8)


def test_equal_vectors_come_in_the_order_of_rows() -> None:
    copies = np.tile(VECTORS[:10], (700, 1))
    rows, scores = exact_neighbors(copies, copies[3:4], 5)
    np.testing.assert_array_equal(rows, [[3, 13, 23, 33, 43]])
    np.testing.assert_array_equal(scores, 1.0)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 5000), max_size=6), first=st.integers(0, 6), k=st.integers(1, 60))
def test_answers_depend_neither_on_blocks_nor_on_company(cuts: list[int], first: int, k: int) -> None:
    blocks = np.split(VECTORS, sorted(cuts))
    rows, scores = exact_neighbors(iter(blocks), QUERIES[first:], k)
    whole_rows, whole_scores = exact_neighbors(VECTORS, QUERIES, k)
    np.testing.assert_array_equal(rows, whole_rows[first:])
    np.testing.assert_array_equal(scores, whole_scores[first:])


def test_known_unit_length_changes_nothing() -> None:
    unit = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float32)
    rows, scores = exact_neighbors(unit, QUERIES, 30)
    known_rows, known_scores = exact_neighbors(unit, QUERIES, 30, unit_length=True)
    np.testing.assert_array_equal(known_rows, rows)
    np.testing.assert_array_equal(known_scores, scores)


def test_scans_a_memory_map(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", VECTORS.astype(np.float16))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    np.testing.assert_array_equal(exact_neighbors(mapped, QUERIES, 3)[0],
                                  exact_neighbors(VECTORS.astype(np.float16), QUERIES, 3)[0])


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_vectors_than_asked_for_are_padded(count: int) -> None:
    rows, scores = exact_neighbors(VECTORS[:count], QUERIES, 6)
    assert (np.sort(rows[:, :count], axis=1) == np.arange(count)).all()
    assert np.isfinite(scores[:, :count]).all()
    assert (rows[:, count:] == -1).all()
    assert (scores[:, count:] == -np.inf).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_without_direction_is_named(value: float) -> None:
    vectors = VECTORS.copy()
    vectors[4321] = value
    with pytest.raises(CorpusDamaged, match="4321"):
        exact_neighbors(vectors, QUERIES, 3)


def _with(value: float) -> NDArray[np.float64]:
    queries = QUERIES.copy()
    queries[2, :] = value
    return queries


@pytest.mark.parametrize(
    ("queries", "k", "message"),
    [
        (_with(0.0), 3, "query 2 has length 0"),
        (_with(np.nan), 3, "query 2 holds NaN"),
        (_with(-np.inf), 3, "query 2 holds NaN or inf"),
        (QUERIES[:, :23], 3, "23 numbers.* 24"),
        (QUERIES[0], 3, "shape"),
        (QUERIES, 0, "at least 1, got 0"),
    ],
)
def test_bad_queries_are_refused(queries: NDArray[np.float64], k: int, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        exact_neighbors(VECTORS, queries, k)
    with pytest.raises(QueryError, match=message):
        exact_neighbors(iter([VECTORS]), queries, k)
