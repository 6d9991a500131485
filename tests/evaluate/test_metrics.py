"""Metrics, compared with scikit-learn and naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, silhouette_samples

from pipeline.evaluate.metrics import (
    NOISE,
    QueryScores,
    cluster_spread,
    linear_accuracy,
    mean_differences,
    rank,
    rank_order,
    scores,
    silhouette,
)


def labelled(seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Draw unit vectors in loose clusters; one family has a single member, and some vectors are noise."""
    rng = np.random.default_rng(seed)
    labels = np.array([["a", "b", "c", NOISE][i] for i in rng.integers(0, 4, n - 1)] + ["lonely"])
    centres = {label: rng.standard_normal(6) for label in np.unique(labels)}
    vectors = np.array([centres[label] for label in labels]) + 1.5 * rng.standard_normal((n, 6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def naive(
    vectors: np.ndarray, labels: np.ndarray, asked: np.ndarray | None = None
) -> list[tuple[str, float, float, float, float, float]]:
    """Compute label, average precision, R-precision, P@1, P@5 and noise@5 of each query in a naive loop."""
    asked = vectors if asked is None else asked
    rows = []
    for i, label in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i]
        kin = sum(labels[j] == label for j in others)
        if label == NOISE or not kin:
            continue
        others.sort(key=lambda j: -float(asked[i] @ vectors[j]))
        precision = [np.mean([labels[j] == label for j in others[: k + 1]]) for k in range(len(others))]
        average = np.mean([precision[k] for k, j in enumerate(others) if labels[j] == label])
        noise = np.mean([labels[j] == NOISE for j in others[:5]])
        rows.append((str(label), float(average), float(precision[kin - 1]), float(precision[0]),
                     float(precision[min(kin, 5) - 1]), float(noise)))
    return rows


def metrics_of(ranked: QueryScores) -> np.ndarray:
    """Return the metrics (queries, 5) in the order of :func:`naive`."""
    columns = (ranked.average_precision, ranked.r_precision, ranked.first, ranked.precision, ranked.noise)
    return np.stack(columns, axis=1)


def test_rank_equals_a_loop() -> None:
    vectors, labels = labelled()
    ranked = rank(vectors, labels)
    expected = naive(vectors, labels)
    assert ranked.labels.tolist() == [row[0] for row in expected]
    found = metrics_of(ranked)
    np.testing.assert_allclose(found, np.array([row[1:] for row in expected]), atol=1e-12)
    assert 0 < found[:, 4].mean() < 1  # noise occurs among the results, so its share is tested


def test_rank_of_queries_that_were_made_otherwise_equals_a_loop() -> None:
    (vectors, labels), (asked, _) = labelled(5), labelled(6)
    asked = (vectors + 0.5 * asked).astype(np.float32)
    expected = naive(vectors, labels, asked)
    found = metrics_of(rank(vectors, labels, asked=asked))
    np.testing.assert_allclose(found, np.array([row[1:] for row in expected]), atol=1e-12)
    assert not np.allclose(found, metrics_of(rank(vectors, labels)))


def test_few_kin_can_all_be_found() -> None:
    labels = np.array(["a", "a", "a", "b", "b", "b", "b"])
    angles = np.radians([0, 5, 10, 90, 95, 100, 105])
    ranked = rank(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), labels)
    assert ranked.precision.tolist() == [1] * 7
    assert ranked.first.tolist() == [1] * 7


def test_average_precision_is_scikit_learns() -> None:
    vectors, labels = labelled(1)
    ranked = rank(vectors, labels)
    queries = [i for i, label in enumerate(labels) if label not in (NOISE, "lonely")]
    for found, i in zip(ranked.average_precision, queries, strict=True):
        others = np.arange(len(labels)) != i
        expected = average_precision_score((labels == labels[i])[others], (vectors @ vectors[i])[others])
        assert found == pytest.approx(expected, abs=1e-6)


def test_more_queries_than_are_ranked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = labelled(2)
    whole = scores(rank(vectors, labels))
    monkeypatch.setattr("pipeline.evaluate.metrics._QUERIES_PER_BLOCK", 7)
    assert scores(rank(vectors, labels)) == whole


def test_equal_similarities_count_against_the_encoder() -> None:
    labels = np.array(["a", "a", NOISE, NOISE, NOISE, NOISE, NOISE])
    same = np.ones((7, 1), np.float32)
    ranked = rank(same, labels)
    assert ranked.average_precision.tolist() == [1 / 6, 1 / 6]
    assert ranked.noise.tolist() == [1, 1]


def test_an_order_is_ranked_as_the_vectors_it_comes_from() -> None:
    vectors, labels = labelled(3)
    order = np.argsort(-(vectors @ vectors.T), axis=1)
    assert scores(rank_order(order, labels)) == scores(rank(vectors, labels))


def test_scores_of_some_families_and_of_none() -> None:
    vectors, labels = labelled()
    rows = [row for row in naive(vectors, labels) if row[0] == "b"]
    found = scores(rank(vectors, labels), ["b"])
    assert found.queries == len(rows)
    assert found.mean_average_precision == pytest.approx(np.mean([row[1] for row in rows]))
    nothing = scores(rank(vectors, np.full(len(labels), NOISE)))
    assert nothing.queries == 0
    assert np.isnan(nothing.precision_at_5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_silhouette_equals_a_loop(metric: str) -> None:
    vectors, labels = labelled(4, 40)
    vectors, labels = vectors[:-1] * np.float32(3), labels[:-1]

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        if metric == "euclidean":
            return float(np.linalg.norm(x - y))
        return 1 - float(x @ y) / float(np.linalg.norm(x) * np.linalg.norm(y))

    values = []
    for i, label in enumerate(labels):
        mean = {other: np.mean([distance(vectors[i], vectors[j]) for j in np.flatnonzero(labels == other) if j != i])
                for other in np.unique(labels)}
        own = mean.pop(label)
        nearest = min(mean.values())
        values.append((nearest - own) / max(nearest, own))
    assert silhouette(vectors, labels, metric) == pytest.approx(np.mean(values), abs=1e-5)
    assert silhouette(vectors, labels, metric) == pytest.approx(
        silhouette_samples(vectors, labels, metric=metric).mean(), abs=1e-6)


def test_cluster_spread_by_hand() -> None:
    # distances from the centroids: 1, 1, 1, 1 and 3, 1, 1, 1 (centroid 0: 3 − 1 − 1 − 1)
    square = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    line = [[10 + 3, 0], [10 - 1, 0], [10 - 1, 0], [10 - 1, 0]]
    labels = np.repeat([0, 1], 4)
    assert cluster_spread(np.array(square + line, np.float32), labels) == pytest.approx((1 + 3 / 1.5) / 2)


def test_a_linear_map_reads_what_is_linear_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((600, 5))
    corner = (features[:, 0] > 0) + 2 * (features[:, 1] > 0)
    assert linear_accuracy(1e-3 * features, corner) > 0.9  # the scale has no influence
    parity = (features[:, 0] > 0) ^ (features[:, 1] > 0)
    assert linear_accuracy(features, parity) < 0.65
    assert linear_accuracy(features, rng.integers(0, 4, 600)) < 0.4


def test_differences_of_vectors_that_say_nothing_say_nothing() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 800)
    differences = mean_differences(rng.standard_normal((3200, 6)).astype(np.float32), groups, rng, partners=800)
    assert linear_accuracy(differences, groups) < 0.35  # chance is 0.25


def test_mean_differences_show_what_a_group_has_in_common() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((40, 3)).astype(np.float32)
    groups = np.repeat([0, 1], 20)
    vectors[:20, 1] = 0.5
    found = mean_differences(vectors, groups, np.random.default_rng(2), partners=4000)
    assert (found[:20, 1] == 0).all()
    for i in (3, 25):  # among many partners, all members occur about equally often
        members = vectors[groups == groups[i]]
        np.testing.assert_allclose(found[i], np.abs(members - vectors[i]).mean(axis=0), atol=0.08)
