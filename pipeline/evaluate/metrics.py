"""How good vectors are: retrieval, clusters, and what a linear map reads from them.

Retrieval is brute force: every query against every other window, by cosine similarity. Nothing here knows an encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulate import NOISE

TOP = 5
"""How far down a person looks."""

_QUERIES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Ranked:
    """How each query of a set fared; all arrays have one entry a query."""

    labels: NDArray[np.str_]
    """Family of the query."""
    average_precision: NDArray[np.float64]
    r_precision: NDArray[np.float64]
    """Share of its family among its first R answers, R being the size of the family without itself."""
    precision: NDArray[np.float64]
    """Share of its family among its first :data:`TOP` answers."""
    noise: NDArray[np.float64]
    """Share of noise among its first :data:`TOP` answers."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over queries."""

    queries: int
    mean_average_precision: float
    r_precision: float
    precision_at_5: float
    noise_at_5: float


def rank(vectors: NDArray[np.float32], labels: NDArray[np.str_]) -> Ranked:
    """Let every window that is no noise look for its family among all others.

    Equal similarities count against the encoder: among them, windows of other families come first. Windows whose
    family has no other member are no queries.

    Parameters
    ----------
    vectors : (n, d) float32
        Unit length.
    labels : (n,) str
        Families; :data:`NOISE` for distractors.

    Returns
    -------
    Ranked
        Queries in the order of the windows.
    """
    family = np.unique(labels, return_inverse=True)[1]
    queries = _queries(labels)
    rows = [np.zeros((0, len(labels) - 1), np.int64)]
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        at = queries[start : start + _QUERIES_AT_ONCE]
        similarity = vectors[at] @ vectors.T
        similarity[np.arange(len(at)), at] = -np.inf  # itself comes last, and is cut off
        relevant = family[at][:, None] == family
        rows.append(np.lexsort((relevant, -similarity), axis=1)[:, :-1])
    return _ranked(np.concatenate(rows), labels, queries)


def rank_order(order: NDArray[np.int64], labels: NDArray[np.str_]) -> Ranked:
    """Score answers that are already in order: row i of (n, n) lists all windows, itself too, from the nearest on."""
    others = order[order != np.arange(len(order))[:, None]].reshape(len(order), -1)
    queries = _queries(labels)
    return _ranked(others[queries], labels, queries)


def _queries(labels: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the windows that look for something that is there."""
    _, family, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return np.flatnonzero((labels != NOISE) & (sizes[family] > 1))


def _ranked(order: NDArray[np.int64], labels: NDArray[np.str_], queries: NDArray[np.int64]) -> Ranked:
    """Score the answers (queries, n − 1) of each query."""
    relevant = labels[order] == labels[queries][:, None]
    found = np.cumsum(relevant, axis=1)
    precision = found / np.arange(1, relevant.shape[1] + 1)
    sizes = found[:, -1:]
    return Ranked(
        labels[queries],
        (precision * relevant).sum(axis=1) / sizes[:, 0],
        np.take_along_axis(precision, sizes - 1, 1)[:, 0],
        relevant[:, :TOP].mean(axis=1),
        (labels[order[:, :TOP]] == NOISE).mean(axis=1),
    )


def scores(ranked: Ranked, families: Sequence[str] | None = None) -> Scores:
    """Return the means over all queries, or over those of some families; NaN where there are none."""
    chosen = np.ones(len(ranked.labels), bool) if families is None else np.isin(ranked.labels, list(families))
    if not chosen.any():
        return Scores(0, *[float("nan")] * 4)
    columns = (ranked.average_precision, ranked.r_precision, ranked.precision, ranked.noise)
    return Scores(int(chosen.sum()), *(float(column[chosen].mean()) for column in columns))


def silhouette(vectors: NDArray[np.float32], labels: NDArray[Any], metric: str = "euclidean") -> float:
    """Return the mean silhouette, as scikit-learn defines it: 1 for tight clusters far apart, below 0 for muddled ones.

    Parameters
    ----------
    metric : str
        ``euclidean``, as published, or ``cosine``.
    """
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(vectors, labels, metric=metric))


def cluster_spread(vectors: NDArray[np.float32], labels: NDArray[Any]) -> float:
    """Return how far a cluster's farthest member lies from its centroid, relative to the mean one; mean of clusters."""
    spreads = []
    for label in np.unique(labels):
        members = vectors[labels == label].astype(np.float64)
        distance = np.linalg.norm(members - members.mean(axis=0), axis=1)
        spreads.append(distance.max() / distance.mean())
    return float(np.mean(spreads))


def linear_accuracy(
    features: NDArray[np.floating[Any]], labels: NDArray[Any], *, seed: int = 0, test_share: float = 0.33
) -> float:
    """Return how many of the held-out rows a linear softmax classifier names rightly.

    Features are standardised first, so that their scale decides nothing.

    Parameters
    ----------
    features : (n, d) float
    labels : (n,)
    test_share : float
        Share of the rows held out, chosen at random.
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
    """Return each vector's mean absolute difference, by component, to random members of its own group.

    Where a group's members have one property in common, the components that encode it differ little: a linear
    classifier of these differences measures how far properties are encoded apart from each other.

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
