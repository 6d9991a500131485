"""Retrieval with re-ranking, compared with lists that are sorted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluate import rerank as rerank_module
from pipeline.evaluate.rerank import RERANK_SETS, evaluate_rerank
from pipeline.evaluate.retrieval import evaluate_set
from pipeline.evaluate.sets import SNR_BANDS, LabelledSet, SetSpec, labelled_set
from pipeline.search.correlate import DRIFTS, WEIGHT, correlate
from pipeline.simulate import NOISE

SPEC = SetSpec("small", "catalogue", (4.0, 20.0), signals=24, noise=24, kinds=4)


@pytest.fixture(scope="module")
def small() -> LabelledSet:
    return labelled_set(SPEC, seed=1)


def noisy_hint(cutouts: np.ndarray) -> np.ndarray:
    """Encode windows weakly: brightness of rows and columns, next to random numbers, at unit length."""
    rng = np.random.default_rng(0)
    rows = np.sort(cutouts.max(axis=2).astype(float), axis=1)
    vectors = np.concatenate([rows / np.linalg.norm(rows, axis=1, keepdims=True), 0.2 * rng.normal(size=rows.shape)], 1)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def by_hand(one: LabelledSet, pool: int, weight: float, **options: object) -> tuple[float, float, float]:
    """Compute mean average precision, P@5 and the share of noise in the top five, list by list."""
    vectors, found = noisy_hint(one.cutouts), []
    for query in range(len(vectors)):
        if one.labels[query] == NOISE:
            continue
        cosines = {i: float(vectors[query] @ vectors[i]) for i in range(len(vectors)) if i != query}
        nearest = sorted(cosines, key=lambda i: -cosines[i])
        second = {i: float(correlate(one.cutouts[query], one.cutouts[i][None], **options).correlation[0])  # type: ignore[arg-type]
                  for i in nearest[:pool]}
        front = sorted(second, key=lambda i: -((1 - weight) * cosines[i] + weight * second[i]))
        labels = [one.labels[i] for i in front + nearest[pool:]]
        good = [rank for rank, label in enumerate(labels, start=1) if label == one.labels[query]]
        precision = sum(count / rank for count, rank in enumerate(good, start=1)) / len(good)
        found.append((precision, sum(rank <= 5 for rank in good) / 5, labels[:5].count(NOISE) / 5))
    return tuple(np.mean(found, axis=0))


@pytest.mark.parametrize(("pool", "drift", "mirror"), [(15, False, False), (4, True, True), (200, False, False)])
def test_equals_lists_sorted_by_hand(
    small: LabelledSet, monkeypatch: pytest.MonkeyPatch, pool: int, drift: bool, mirror: bool
) -> None:
    monkeypatch.setattr(rerank_module, "MIN_REORDERED_HITS", pool)
    [found] = evaluate_rerank(noisy_hint, [small], drift=drift, mirror=mirror)
    assert found.spec == SPEC
    assert found.vectors == evaluate_set(noisy_hint, small).overall
    options = {"drifts": DRIFTS if drift else (0.0,), "mirror": mirror}
    for scores, weight in ((found.correlation, 1.0), (found.both, WEIGHT)):
        told = scores.mean_average_precision, scores.precision_at_5, scores.noise_at_5
        assert told == pytest.approx(by_hand(small, pool, weight, **options))
        assert scores.queries == 24
        assert scores != found.vectors


def test_a_second_look_helps_vectors_that_know_little(small: LabelledSet) -> None:
    [found] = evaluate_rerank(noisy_hint, [small])
    assert found.both.mean_average_precision > found.vectors.mean_average_precision + 0.1
    [unmoved] = evaluate_rerank(noisy_hint, [small], weight=0.0)
    assert unmoved.both == found.vectors


def test_every_strength_and_kind_is_looked_at() -> None:
    assert {(spec.families, spec.snr) for spec in RERANK_SETS} >= {
        (kind, snr) for kind in ("mixed", "unseen") for snr in SNR_BANDS}
    assert all(spec.signals // spec.kinds >= 6 for spec in RERANK_SETS)  # each query has five others to find
