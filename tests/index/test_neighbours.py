"""The nearest neighbours within a set, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.index import neighbours, neighbours_within


def vectors(count: int) -> np.ndarray:
    made = np.random.default_rng(0).normal(size=(count, 8))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("is_descent", [False, True])
def test_neighbours_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch, is_descent: bool) -> None:
    if is_descent:
        monkeypatch.setattr(neighbours, "MAX_COMPARED_VECTORS", 10)
    made = vectors(600)
    rows, cosines = neighbours_within(made, 5)
    scores = made @ made.T
    np.fill_diagonal(scores, -2)
    best = np.argsort(-scores, axis=1)[:, :5]
    same = np.mean([len(set(a) & set(b)) for a, b in zip(rows.tolist(), best.tolist(), strict=True)]) / 5
    assert same >= (0.97 if is_descent else 1)
    assert (rows != np.arange(600)[:, None]).all()
    np.testing.assert_allclose(cosines, np.take_along_axis(scores, rows.astype(np.int64), 1), atol=2e-6)


def test_few_vectors_have_few_neighbours() -> None:
    rows, cosines = neighbours_within(vectors(3), 4)
    assert (rows[:, 2:] == -1).all()
    assert np.isneginf(cosines[:, 2:]).all()
    assert sorted(rows[0, :2].tolist()) == [1, 2]
