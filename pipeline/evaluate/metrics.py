"""Metrics of vectors: retrieval, clusters, and the accuracy of a linear classifier.

Retrieval is brute force: it compares every query with every other window by cosine similarity. The metrics do not
depend on the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate import NOISE

TOP_COUNT = 5
"""Number of results that a person looks at."""

_QUERIES_PER_BLOCK = 256


@dataclass(frozen=True, slots=True)
class QueryScores:
    """Retrieval metrics of each query. All arrays have one entry per query."""

    labels: NDArray[np.str_]
    """Family of the query."""
    average_precision: NDArray[np.float64]
    r_precision: NDArray[np.float64]
    """Share of the query's family among the first R results. R is the size of the family without the query."""
    first: NDArray[np.float64]
    """1 if the first result is of the query's family, else 0."""
    precision: NDArray[np.float64]
    """Share of the query's family among the first :data:`TOP_COUNT` results, or among the first R if R is smaller."""
    noise: NDArray[np.float64]
    """Share of noise among the first :data:`TOP_COUNT` results."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Retrieval metrics, averaged over queries."""

    queries: int
    """Number of queries."""
    mean_average_precision: float
    r_precision: float
    precision_at_5: float
    noise_at_5: float


def rank(
    vectors: NDArray[np.float32], labels: NDArray[np.str_], *, asked: NDArray[np.float32] | None = None
) -> QueryScores:
    """Search all other windows with each window of a signal, and score how well its family is found.

    Windows of noise are no queries, nor are windows whose family has no other member. Among results of equal
    similarity, windows of other families come first, so that ties do not favour the encoder.

    Parameters
    ----------
    vectors : (n, d) float32
        Vectors of unit length.
    labels : (n,) str
        Family of each window; :data:`~pipeline.simulate.NOISE` for noise.
    asked : (n, d) float32, optional
        Vectors of the same windows as queries, if they differ from those that are found.

    Returns
    -------
    QueryScores
        The queries are in the order of the windows.
    """
    family = np.unique(labels, return_inverse=True)[1]
    queries = _find_queries(labels)
    rows = [np.zeros((0, len(labels) - 1), np.int64)]
    for start in range(0, len(queries), _QUERIES_PER_BLOCK):
        at = queries[start : start + _QUERIES_PER_BLOCK]
        similarity = (vectors if asked is None else asked)[at] @ vectors.T
        similarity[np.arange(len(at)), at] = -np.inf  # the query itself comes last, and is cut off
        relevant = family[at][:, None] == family
        rows.append(np.lexsort((relevant, -similarity), axis=1)[:, :-1])
    return _score_order(np.concatenate(rows), labels, queries)


def rank_order(order: NDArray[np.int64], labels: NDArray[np.str_]) -> QueryScores:
    """Compute retrieval metrics from results that are already sorted.

    Parameters
    ----------
    order : (n, n) int64
        Row i lists all windows, including window i itself, nearest first.
    labels : (n,) str
        Family of each window; :data:`~pipeline.simulate.NOISE` for noise.
    """
    others = order[order != np.arange(len(order))[:, None]].reshape(len(order), -1)
    queries = _find_queries(labels)
    return _score_order(others[queries], labels, queries)


def _find_queries(labels: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the windows that serve as queries: those of a signal whose family has another member."""
    _, family, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return np.flatnonzero((labels != NOISE) & (sizes[family] > 1))


def _score_order(order: NDArray[np.int64], labels: NDArray[np.str_], queries: NDArray[np.int64]) -> QueryScores:
    """Compute the metrics of each query from its sorted results (queries, n − 1)."""
    relevant = labels[order] == labels[queries][:, None]
    found = np.cumsum(relevant, axis=1)
    precision = found / np.arange(1, relevant.shape[1] + 1)
    sizes = found[:, -1:]
    return QueryScores(
        labels[queries],
        (precision * relevant).sum(axis=1) / sizes[:, 0],
        np.take_along_axis(precision, sizes - 1, 1)[:, 0],
        relevant[:, 0].astype(np.float64),
        np.take_along_axis(precision, np.minimum(sizes, TOP_COUNT) - 1, 1)[:, 0],
        (labels[order[:, :TOP_COUNT]] == NOISE).mean(axis=1),
    )


def scores(ranked: QueryScores, families: Sequence[str] | None = None) -> Scores:
    """Average the metrics over all queries, or over those of some families; NaN if there are no queries."""
    chosen = np.ones(len(ranked.labels), bool) if families is None else np.isin(ranked.labels, list(families))
    if not chosen.any():
        return Scores(0, *[float("nan")] * 4)
    columns = (ranked.average_precision, ranked.r_precision, ranked.precision, ranked.noise)
    return Scores(int(chosen.sum()), *(float(column[chosen].mean()) for column in columns))


def silhouette(vectors: NDArray[np.float32], labels: NDArray[Any], metric: str = "euclidean") -> float:
    """Return the mean silhouette score as scikit-learn defines it.

    It is near 1 for tight clusters that lie far apart, and below 0 for clusters that overlap.

    Parameters
    ----------
    vectors : (n, d) float32
        Vectors.
    labels : (n,) array
        Cluster of each vector.
    metric : str
        Distance: ``euclidean``, as published, or ``cosine``.
    """
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(vectors, labels, metric=metric))


def cluster_spread(vectors: NDArray[np.float32], labels: NDArray[Any]) -> float:
    """Return the largest distance from the centroid divided by the mean distance, averaged over clusters.

    Parameters
    ----------
    vectors : (n, d) float32
        Vectors.
    labels : (n,) array
        Cluster of each vector.
    """
    spreads = []
    for label in np.unique(labels):
        members = vectors[labels == label].astype(np.float64)
        distance = np.linalg.norm(members - members.mean(axis=0), axis=1)
        spreads.append(distance.max() / distance.mean())
    return float(np.mean(spreads))


def linear_accuracy(
    features: NDArray[np.floating[Any]], labels: NDArray[Any], *, seed: int = 0, test_share: float = 0.33
) -> float:
    """Return the accuracy of a linear softmax classifier on held-out rows.

    Features are standardised first, so that their scales have no influence.

    Parameters
    ----------
    features : (n, d) float
        Features of each row.
    labels : (n,) array
        Class of each row.
    seed : int
        Seed of the choice of held-out rows.
    test_share : float
        Share of the rows that are held out.

    Returns
    -------
    float
        Share of the held-out rows that are classified correctly.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    order = np.random.default_rng(seed).permutation(len(features))
    cut = round(test_share * len(features))
    test, train = order[:cut], order[cut:]
    scaler = StandardScaler().fit(features[train])
    model = LogisticRegression(C=100.0, max_iter=2000).fit(scaler.transform(features[train]), labels[train])
    return float(model.score(scaler.transform(features[test]), labels[test]))


def mean_differences(
    vectors: NDArray[np.float32], groups: NDArray[Any], rng: np.random.Generator, partners: int = 1000
) -> NDArray[np.float32]:
    """Return the mean absolute difference between each vector and random members of its group, by component.

    If the members of a group share a property, the components that encode it differ little within the group. The
    accuracy of a linear classifier on these differences therefore shows how well separated the properties are.

    Parameters
    ----------
    vectors : (n, d) float32
        Vectors.
    groups : (n,) array
        Group of each vector.
    rng : Generator
        Draws the partners.
    partners : int
        Number of members with which each vector is compared, with replacement.

    Returns
    -------
    (n, d) float32
    """
    out = np.empty_like(vectors)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        for i in members:
            chosen = vectors[rng.choice(members, partners)]
            out[i] = np.abs(chosen - vectors[i]).mean(axis=0)
    return out
