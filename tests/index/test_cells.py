"""Dividing vectors among cells, compared with integer arithmetic and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.index import cells
from pipeline.index.cells import cells_of, distances, margins_of, train_cells
from tests.index.heavy_tailed import heavy_tailed


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    drawn = heavy_tailed(8_000, 32, seed=3).astype(np.float16)
    drawn[100] = drawn[7]
    return drawn


@pytest.fixture(scope="module")
def centroids(vectors: np.ndarray) -> np.ndarray:
    return train_cells(vectors[::2], 20)


def test_cells_are_as_many_as_wanted_none_much_larger_than_the_mean(vectors: np.ndarray, centroids: np.ndarray) -> None:
    sizes = np.bincount(cells_of(vectors, centroids), minlength=len(centroids))
    assert 20 <= len(centroids) <= 40
    assert sizes.max() <= 2.5 * len(vectors) / 20
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, atol=2e-3)


def test_cells_gather_what_is_alike(vectors: np.ndarray, centroids: np.ndarray) -> None:
    of_row = cells_of(vectors, centroids)
    wide = vectors.astype(np.float64)
    nearest = np.argsort(-(wide[:300] @ wide.T), axis=1)[:, 1]
    assert (of_row[nearest] == of_row[:300]).mean() > 0.7  # by chance: 1 in 20


def test_the_cell_of_a_vector_is_exact_in_any_company(vectors: np.ndarray, centroids: np.ndarray) -> None:
    of_row = cells_of(vectors, centroids)
    whole = (centroids.astype(np.float64) * 2**12).astype(np.int64)
    assert (whole == centroids * 2**12).all()
    for row in range(0, len(vectors), 97):  # Python's integers do not round
        own = [int(number) for number in vectors[row].astype(np.float64) * 2**24]
        products = [sum(a * int(b) for a, b in zip(own, centroid, strict=True)) for centroid in whole]
        assert of_row[row] == products.index(max(products))
        assert cells_of(vectors[row : row + 1], centroids) == of_row[row]
    order = np.random.default_rng(0).permutation(len(vectors))
    np.testing.assert_array_equal(cells_of(vectors[order], centroids), of_row[order])


def test_equal_vectors_are_one_cell() -> None:
    same = np.tile(heavy_tailed(10, 16, seed=1)[:1], (100, 1))
    assert len(train_cells(same, 4)) == 1


def test_margins_reach_the_share_of_neighbours_they_were_measured_for(
    vectors: np.ndarray, centroids: np.ndarray
) -> None:
    rows = np.random.default_rng(1).choice(len(vectors), 200, replace=False)
    queries = vectors[rows].astype(np.float32)
    of_row, products = cells_of(vectors, centroids), queries @ vectors.astype(np.float32).T
    filled = np.unique(of_row)
    scores = []
    for cell in filled:
        best = -np.sort(-products[:, of_row == cell], axis=1)[:, : cells.NEIGHBOURS + 1]
        scores.append(np.pad(best, ((0, 0), (0, cells.NEIGHBOURS + 1 - best.shape[1])), constant_values=-np.inf))
    margins = margins_of(centroids, queries, scores, filled)
    products[np.arange(200), rows] = -1  # not itself
    true = np.argsort(-products, axis=1, kind="stable")[:, : cells.NEIGHBOURS]
    far = np.array([[np.sqrt(2 - 2 * query @ c / np.linalg.norm(query) / np.linalg.norm(c)) for c in centroids]
                    for query in queries.astype(np.float64)])
    np.testing.assert_allclose(distances(queries, centroids), far, atol=1e-3)
    for share, margin in zip(cells.SHARES, margins, strict=True):
        asked = far <= far.min(axis=1, keepdims=True) + margin + 1e-3
        assert np.take_along_axis(asked, of_row[true], axis=1).mean() >= share
        assert asked.mean() < 0.6, "and does not ask everything"
    assert margins[0] < margins[1]
