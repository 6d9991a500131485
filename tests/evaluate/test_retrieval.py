"""Retrieval with expanded queries, compared with a naive loop."""

from __future__ import annotations

import numpy as np

from pipeline.evaluate.retrieval import evaluate_set, expand_queries
from pipeline.evaluate.sets import LabelledSet, SetSpec


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def test_queries_are_expanded_by_their_two_nearest_among_the_others() -> None:
    rng = np.random.default_rng(0)
    asked, searched = (unit(rng.normal(size=(30, 5))) for _ in range(2))
    made = expand_queries(asked, searched)
    for i, query in enumerate(asked):
        best = sorted((j for j in range(30) if j != i), key=lambda j: -float(searched[j] @ query))[:2]
        mean = query + sum(max(float(searched[j] @ query), 0) ** 2 * searched[j] for j in best)
        np.testing.assert_allclose(made[i], unit(mean), atol=1e-6)


def test_a_set_is_scored_with_and_without_expansion() -> None:
    """The first of four directions of one family is nearer to noise than to the last of them."""
    angles = np.deg2rad([0, 20, 40, 75, -60])
    vectors = unit(np.column_stack([np.cos(angles), np.sin(angles)]))
    one = LabelledSet(SetSpec("fan"), np.zeros((5, 16, 256), np.uint8), np.array([*"aaaa", "noise"]))
    found = evaluate_set(lambda _: vectors, one)
    assert found.overall.mean_average_precision == np.mean([(1 + 1 + 3 / 4) / 3, 1, 1, 1])
    assert found.expanded.mean_average_precision == 1
